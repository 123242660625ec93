-- Stores what is uploaded, piece by piece as it arrives, and lists it with size and SHA-256.
-- curl --cacert certs/development/certificate.pem -T photo.jpg "https://localhost:8443/upload?name=photo.jpg"
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")
local shelf = dofile(folder .. "lib/shelf.lua")
local store = shelf.store

store.open(folder .. "data/")

-- Pages of other sites may not make a visitor's browser store files here.
httpd.hook("request", require 'lgateway.csrf'.check())

local SCRIPT = [[
const drop = document.getElementById('drop');
const input = document.getElementById('file');
const jobs = document.getElementById('jobs');
const list = document.getElementById('list');
const { target, listing, limit } = drop.dataset;
/** Bytes up to which the browser hashes the file itself, to compare: it has to be in memory for that. */
const COMPARED_MAX = 64 * 1024 * 1024;

function element(name, className, text) {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
}

function units(bytes) {
    if (bytes < 1024) return bytes + ' B';
    const unit = bytes < 1048576 ? 1024 : 1048576;
    return (bytes / unit).toFixed(1).replace('.0', '') + (unit === 1024 ? ' KiB' : ' MiB');
}

async function refresh() {
    const response = await fetch(listing);
    if (response.ok) list.innerHTML = await response.text();
}

async function ownHash(file) {
    if (!crypto.subtle || file.size > COMPARED_MAX) return undefined;
    const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
    return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function send(file, bar, note) {
    return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        request.open('PUT', target + '?name=' + encodeURIComponent(file.name));
        request.setRequestHeader('content-type', 'application/octet-stream');
        request.upload.onprogress = (event) => {
            bar.value = file.size === 0 ? 1 : event.loaded / file.size;
            note.textContent = units(event.loaded) + ' of ' + units(file.size);
        };
        request.onload = () => {
            if (request.status === 201) resolve(request.responseText.slice(0, 64));
            else reject(new Error(request.responseText || 'status ' + request.status));
        };
        request.onerror = () => reject(new Error('the connection broke'));
        request.send(file);
    });
}

async function upload(file) {
    const job = element('li', '', '');
    const bar = document.createElement('progress');
    const note = element('span', 'soft', 'waiting');
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute('aria-label', 'Upload of ' + file.name);
    job.append(element('b', '', file.name), bar, note);
    jobs.prepend(job);
    try {
        if (file.size > Number(limit)) throw new Error('longer than the limit of ' + units(Number(limit)));
        const sha256 = await send(file, bar, note);
        const own = await ownHash(file);
        bar.value = 1;
        note.className = own === undefined || own === sha256 ? 'good' : 'bad';
        note.textContent = own === undefined ? units(file.size) + ' stored' :
            own === sha256 ? units(file.size) + ' stored; the SHA-256 is the one your browser computed' :
            'The SHA-256 differs from the one your browser computed';
        const hash = element('div', 'mono sha256', sha256);
        job.append(hash);
    } catch (error) {
        note.className = 'bad';
        note.textContent = 'Not stored: ' + error.message;
    }
}

let queue = Promise.resolve();
function uploadAll(files) {
    for (const file of files) queue = queue.then(() => upload(file)).then(refresh).catch(() => undefined);
}

input.addEventListener('change', () => { uploadAll([...input.files]); input.value = ''; });
for (const name of ['dragover', 'dragenter']) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add('over'); });
for (const name of ['dragleave', 'drop']) drop.addEventListener(name, () => drop.classList.remove('over'));
drop.addEventListener('drop', (event) => { event.preventDefault(); uploadAll([...event.dataTransfer.files]); });
for (const name of ['dragover', 'drop']) window.addEventListener(name, (event) => event.preventDefault());
]]

local function show_page(env, header)
    local target = page.link(env, "/")
    page.inner("Upload",
        'The file goes to the disk piece by piece while it arrives; it is never in memory as a whole. '
        .. 'The answer names its SHA-256.',
        table.concat {
            '<section class="sheet"><label class="drop" id="drop" data-target="', page.escape(target), '" data-listing="',
            page.escape(page.link(env, "/list")), '" data-limit="', tostring(store.upload_bytes_max), '">',
            '<input type="file" id="file" multiple><b>Drop files here</b><span class="soft">or click to choose them, up to ',
            shelf.readable_size(store.upload_bytes_max), ' each</span></label>',
            '<ul class="jobs" id="jobs" aria-live="polite"></ul></section>\n',
            '<section class="sheet"><h2>Stored</h2><div id="list">', shelf.list(env, store.list()), '</div>',
            '<p class="soft">Each worker keeps its last ',
            tostring(store.places_max), ' uploads, for everybody to see, in <code>handlers/data/</code>.</p></section>\n',
            '<section class="sheet"><h2>Without a browser</h2><pre>curl -k -T photo.jpg ',
            page.escape("'" .. page.origin(env, header) .. env.SCRIPT_PREFIX .. "?name=photo.jpg'"), '</pre>',
            '<p class="soft">answers in the format of <code>sha256sum</code>.</p></section>',
        }, {script = SCRIPT})
end

local function take_upload(env, header)
    local query, message = httpd.query(env)
    if query == nil then
        page.text("400", message .. "\n")
        return
    end
    local declared = math.tointeger(header["content-length"])
    if declared and declared > store.upload_bytes_max then
        page.text("413", "The file has " .. declared .. " bytes and the limit is " .. store.upload_bytes_max .. "\n")
        return
    end
    local name = type(query.name) == "string" and query.name or "unnamed"
    local entry, status, reason = store.receive(env.WORKER_ID, name)
    if entry == nil then
        page.text(status, reason .. "\n")
        return
    end
    page.text("201", entry.sha256 .. "  " .. entry.name .. "\n", {
        location = shelf.link(env, entry),
        ["x-upload-size"] = entry.size,
    })
end

httpd.register_handler("/", function(env, header)
    local method = env.REQUEST_METHOD
    if method == "PUT" or method == "POST" then
        take_upload(env, header)
    elseif method == "GET" or method == "HEAD" then
        show_page(env, header)
    else
        page.text("405", "Use GET, PUT or POST\n", {allow = "GET, HEAD, PUT, POST"})
    end
end)

httpd.register_handler("/list", function(env)
    page.head("200", "text/html; charset=utf-8")
    httpd.write(nil, shelf.list(env, store.list()))
end)

httpd.register_handler("/file", shelf.send)
