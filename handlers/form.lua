-- A form with files: each part of the multipart body goes to the disk while it arrives, and limits answer with clear errors.
-- curl --cacert certs/development/certificate.pem -F title=Holiday -F photo=@photo.jpg https://localhost:8443/form
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")
local shelf = dofile(folder .. "lib/shelf.lua")
local store = shelf.store

local FILE_BYTES_MAX = 8 * 1024 * 1024
local TITLE_CHARACTERS_MAX = 100
-- What httpd.multipart takes: parts, bytes of a part that is no file, and bytes of the whole body.
local LIMITS = {parts = 10, field = 4096, size = 32 * 1024 * 1024}

store.open(folder .. "data/form-", FILE_BYTES_MAX)

-- Pages of other sites cannot send this form in the name of a visitor.
httpd.hook("request", require 'lgateway.csrf'.check())

-- The limits as the page and its errors name them.
local LIMITS_TEXT = "up to " .. shelf.readable_size(FILE_BYTES_MAX) .. " each and "
    .. shelf.readable_size(LIMITS.size) .. " in all, at most " .. LIMITS.parts - 1 .. " files"

-- Reads the title from its part. Returns it, or nil, a status and a message.
local function read_title(part)
    local title, message, code = part:read("a")
    if message then
        return nil, code == "limit" and "413" or "400", message
    end
    local characters = utf8.len(title or "")
    if not characters then
        return nil, "422", "The title is not UTF-8"
    elseif characters > TITLE_CHARACTERS_MAX then
        return nil, "422", "The title has " .. characters .. " characters and the limit is " .. TITLE_CHARACTERS_MAX
    end
    return title or ""
end

-- Reads the form part by part: its title and the entries of its files go into sent. Returns true, or nil, a status and a message.
local function receive(env, sent)
    local parts = httpd.multipart(LIMITS)
    while true do
        local part, message, code = parts()
        local status
        if message then
            return nil, code == "limit" and "413" or "400", message
        elseif not part then
            return true
        elseif part.filename and part.filename ~= "" then
            sent[#sent + 1], status, message = store.receive(env.WORKER_ID, part.filename, part)
            message = message and store.clean_name(part.filename) .. ": " .. message
        elseif part.name == "title" and not part.filename then
            sent.title, status, message = read_title(part)
        end
        if status then
            return nil, status, message
        end
    end
end

local function show(env, status, notice)
    page.inner("Form", "A form with files, as browsers send it: each part is a stream, and no file is in memory as a whole.",
        table.concat {
            '<section class="sheet">', notice or '', '<form method="post" enctype="multipart/form-data">',
            '<label class="field">Title <input name="title" maxlength="', tostring(TITLE_CHARACTERS_MAX), '"></label>',
            '<label class="field">Files <input type="file" name="file" multiple required aria-describedby="limits"></label>',
            '<p class="soft" id="limits">Files ', LIMITS_TEXT, '.</p><p><button class="button">Send</button></p></form></section>\n',
            '<section class="sheet"><h2>Stored</h2>', shelf.list(env, store.list()), '<p class="soft">Each worker keeps the last ',
            tostring(store.places_max), ' files, for everybody to see.</p></section>',
        }, {status = status})
end

-- For a browser the page with a notice on top, for a program a line for each file, behind the message if there is one.
local function answer(env, header, status, sent, message)
    local lines, items = {}, {}
    for i, entry in ipairs(sent) do
        lines[i] = entry.sha256 .. "  " .. entry.name .. "\n"
        items[i] = '<li>' .. page.escape(entry.name) .. ', ' .. shelf.readable_size(entry.size) .. '</li>'
    end
    local title = message or sent.title
    if not page.wants_html(header) then
        page.text(status, title .. "\n" .. table.concat(lines))
        return
    end
    local list = #items == 0 and '' or '<p>Stored of this form:</p><ul id="sent">' .. table.concat(items) .. '</ul>'
    show(env, status, page.notice(message and "bad" or "good", message and "Not stored" or "Stored", title) .. list)
end

httpd.register_handler("/", function(env)
    show(env)
end, {methods = {"GET"}})

httpd.register_handler("/", function(env, header)
    local sent = {title = "Without a title"}
    if not (header["content-type"] or ""):lower():find("^multipart/form%-data") then
        return answer(env, header, "415", sent, "The form has to be multipart/form-data")
    end
    local done, status, message = receive(env, sent)
    if done and #sent == 0 then
        status, message = "422", "No file was chosen"
    end
    return answer(env, header, status or "201", sent, message)
end, {methods = {"POST"}})

httpd.register_handler("/file", shelf.send, {methods = {"GET"}})
