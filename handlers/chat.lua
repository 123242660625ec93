-- A chat over WebSocket for all workers: what one says, everybody hears, and who comes back hears what was said meanwhile.
-- curl --cacert certs/development/certificate.pem -d name=Ada -d text=Hello https://localhost:8443/chat
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")
local ring = dofile(folder .. "lib/ring.lua")

local NAME_CHARACTERS_MAX, TEXT_CHARACTERS_MAX = 30, 500
-- Bytes of a message as it comes in: JSON, where an escape has six for a character.
local MESSAGE_BYTES_MAX = 8192
-- Messages of one address in so many seconds, over all its connections.
local MESSAGES_MAX, MESSAGES_SECONDS = 10, 10
-- A socket that has sent so many messages that were refused is closed.
local REFUSED_MAX = 20
-- Messages that somebody who comes hears.
local KEPT_MAX = 30
-- RFC 6455 §7.4.1
local POLICY_VIOLATION = 1008

local room = ring.open("chat", KEPT_MAX)
local rates = assert(httpd.shared("chat-rates"))

-- Pages of other sites send nothing in the name of a visitor: neither this form, nor a message (see origins).
httpd.hook("request", require 'lgateway.csrf'.check())

-- A text without control characters and blanks around it. Returns it, or nil and what is wrong with it.
local function clean(what, text, characters_max)
    if type(text) ~= "string" or not utf8.len(text) then
        return nil, "The " .. what .. " has to be a string in UTF-8"
    end
    text = text:gsub("%c+", " "):match("^%s*(.-)%s*$")
    local characters = utf8.len(text)
    if characters == 0 then
        return nil, "The " .. what .. " is empty"
    elseif characters > characters_max then
        return nil, "The " .. what .. " has " .. characters .. " characters and the limit is " .. characters_max
    end
    return text
end

-- Tells everybody. Returns true, or nil, a status and a message.
local function say(env, message)
    local name, text, reason
    name, reason = clean("name", message.name, NAME_CHARACTERS_MAX)
    if name then
        text, reason = clean("text", message.text, TEXT_CHARACTERS_MAX)
    end
    if not text then
        return nil, "422", reason
    end
    local count = rates:incr(env.CLIENT_ADDR, 1, 0, MESSAGES_SECONDS)
    if not count or count > MESSAGES_MAX then
        return nil, "429", "More than " .. MESSAGES_MAX .. " messages in " .. MESSAGES_SECONDS .. " seconds"
    end
    local time = os.date("!%H:%M")
    local number, failure = room:add(httpd.json.encode{name = name, text = text, time = time, worker = env.WORKER_ID})
    if not number then
        return nil, "503", failure
    end
    return true
end

-- A task: sends what was said and what is said, each with the cursor that takes up behind it.
local function send_all(ws, sub, seen)
    for text, number in room:follow(sub, seen) do
        local message = httpd.json.decode(text)
        message.cursor = room:cursor(number)
        if not ws:send(httpd.json.encode(message)) then
            return
        end
    end
end

httpd.register_handler("/socket", function(env)
    local query = httpd.query(env) or {}
    local sub <close>, message = room:subscribe()
    if not sub then
        return page.text("503", message .. "\n")
    end
    local ws <close> = httpd.websocket{origins = "same", max = MESSAGE_BYTES_MAX}
    if not ws then
        return
    end
    httpd.spawn(send_all, ws, sub, room:seen(type(query.after) == "string" and query.after or nil))
    local refused = 0
    for text in ws:messages() do
        local given = httpd.json.decode(text)
        local done, reason, _ = nil, "The message has to be a JSON object with name and text"
        if type(given) == "table" then
            done, _, reason = say(env, given)
        end
        if not done then
            refused = refused + 1
            ws:send(httpd.json.encode{refused = reason})
            if refused == REFUSED_MAX then
                ws:close(POLICY_VIOLATION, "too many messages were refused")
            end
        end
    end
end, {methods = {"GET"}})

local SCRIPT = [[
const log = document.getElementById('log');
const state = document.getElementById('state');
const form = document.getElementById('say');
const WAIT_MAX_MS = 10000;
let socket, sent, cursor = form.dataset.cursor, waitMs = 250;
function show({ name, text, time }) {
    const item = log.appendChild(document.createElement('li'));
    const [who, what, when] = ['b', 'span', 'small'].map((tag) => item.appendChild(document.createElement(tag)));
    what.className = 'grow';
    when.className = 'soft';
    [who.textContent, what.textContent, when.textContent] = [name, text, time];
    while (log.children.length > 100) log.firstChild.remove();
    item.scrollIntoView({ block: 'nearest' });
}
function open() {
    socket = new WebSocket('wss://' + location.host + form.dataset.socket + '?after=' + cursor);
    socket.onopen = () => { waitMs = 250; state.textContent = 'Connected'; };
    socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.refused) {
            state.textContent = 'Not sent: ' + message.refused;
            form.elements.text.value ||= sent;
        } else {
            cursor = message.cursor;
            show(message);
        }
    };
    socket.onclose = ({ code, reason }) => {
        state.textContent = 'Closed with ' + code + (reason && ', ' + reason) + '; connecting again …';
        setTimeout(open, waitMs);
        waitMs = Math.min(2 * waitMs, WAIT_MAX_MS);
    };
}
form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (socket.readyState !== WebSocket.OPEN) return;
    state.textContent = 'Connected';
    sent = form.elements.text.value;
    socket.send(JSON.stringify({ name: form.elements.name.value, text: sent }));
    form.elements.text.value = '';
    form.elements.text.focus();
});
open();
]]

-- What was said last, each message decoded, and the number of the last one.
local function said()
    local messages, last = {}, 0
    local text, number = room:after(last)
    while text do
        messages[#messages + 1], last = httpd.json.decode(text), number
        text, number = room:after(last)
    end
    return messages, last
end

local function show(env, header, status, notice)
    local messages, last = said()
    local items = {}
    for i, message in ipairs(messages) do
        items[i] = '<li><b>' .. page.escape(message.name) .. '</b><span class="grow">' .. page.escape(message.text)
            .. '</span><small class="soft">' .. page.escape(message.time) .. '</small></li>'
    end
    page.inner("Chat", "One room, whichever worker you meet: a message goes over WebSocket to one of them, and from there to all.",
        table.concat {
            '<section class="sheet"><h2>The room</h2><div class="log" role="log" aria-label="Messages" tabindex="0">',
            '<ul class="rows" id="log">', table.concat(items), '</ul></div><p class="soft" id="state" role="status">',
            'Without scripts: reload the page for new messages.</p></section>\n',
            '<section class="sheet"><h2>Say something</h2>', notice or '', '<form method="post" id="say" data-socket="',
            page.escape(page.link(env, "/socket")), '" data-cursor="', room:cursor(last), '">',
            '<label class="field">Name <input name="name" required autocomplete="nickname" maxlength="', NAME_CHARACTERS_MAX,
            '"></label><label class="field">Text <input name="text" required autocomplete="off" maxlength="',
            TEXT_CHARACTERS_MAX, '"></label>',
            '<p><button class="button">Send</button></p></form><p class="soft">Everybody hears the last ', KEPT_MAX, ' messages; ',
            'an address sends up to ', MESSAGES_MAX, ' in ', MESSAGES_SECONDS, ' seconds.</p></section>\n',
            '<section class="sheet"><h2>Without a browser</h2><pre>', page.escape('curl -k -d name=Ada -d text=Hello '
            .. page.origin(env, header) .. env.SCRIPT_PREFIX), '</pre></section>',
        }, {script = SCRIPT, status = status})
end

httpd.register_handler("/", function(env, header)
    if page.wants_html(header) then
        return show(env, header)
    end
    local lines = {}
    for i, message in ipairs((said())) do
        lines[i] = message.time .. " " .. message.name .. ": " .. message.text .. "\n"
    end
    page.text("200", table.concat(lines))
end, {methods = {"GET"}})

-- Where no script runs, and for programs.
httpd.register_handler("/", function(env, header)
    local form, message, code = httpd.form{size = MESSAGE_BYTES_MAX}
    local done, status
    if form then
        done, status, message = say(env, form)
    else
        status = code == "limit" and "413" or "400"
    end
    if not page.wants_html(header) then
        page.text(done and "201" or status, done and "Said\n" or message .. "\n")
    elseif done then
        httpd.redirect(page.link(env, "/"), 303)
    else
        show(env, header, status, page.notice("bad", "Not sent", message))
    end
end, {methods = {"POST"}})
