-- A JSON API: routes with parameters, methods, validation, pages of a list; notes that all workers share.
-- curl --cacert certs/development/certificate.pem --json '{"text":"Buy milk"}' https://localhost:8443/api/notes
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")
local show_notes = dofile(folder .. "lib/notes-page.lua")

local BODY_BYTES_MAX = 4096
local TEXT_CHARACTERS_MAX = 200
-- Notes that are kept: with each further one the oldest goes.
local NOTES_MAX = 100
local PAGE_MAX, PAGE_DEFAULT = 50, 10

-- "last" is the number of the newest note, the other keys are numbers with notes in JSON.
local notes = assert(httpd.shared("notes"))

local function answer(status, value, more)
    page.head(status, "application/json", more)
    httpd.write(nil, httpd.json.encode(value, {sorted = true}) .. "\n")
end

-- All errors look alike; fields (optional) = what is wrong with which field.
local function refuse(status, message, fields)
    answer(status, {error = message, fields = fields})
end

-- The body as a table; nil when it was refused.
local function read_object(header)
    if not (header["content-type"] or ""):lower():find("^application/json%f[;%s\0]") then
        return refuse("415", "The content type has to be application/json")
    end
    local body, message = httpd.read(nil, BODY_BYTES_MAX + 1)
    if body and #body > BODY_BYTES_MAX then
        return refuse("413", "The body is longer than the limit of " .. BODY_BYTES_MAX .. " bytes")
    end
    local value
    if body then
        value, message = httpd.json.decode(body)
    end
    if type(value) ~= "table" then
        return refuse("400", message or "The body has to be a JSON object")
    end
    return value
end

-- A note of what a client has sent; nil when it was refused. Unknown names are refused, so that a typing error shows.
local function read_note(header)
    local given = read_object(header)
    if not given then
        return nil
    end
    local wrong = {}
    for name in pairs(given) do
        if name ~= "text" and name ~= "done" then
            wrong[tostring(name)] = "is unknown"
        end
    end
    local characters = type(given.text) == "string" and utf8.len(given.text) or 0
    if characters < 1 or characters > TEXT_CHARACTERS_MAX then
        wrong.text = "has to be a string of 1 to " .. TEXT_CHARACTERS_MAX .. " characters"
    end
    if given.done ~= nil and type(given.done) ~= "boolean" then
        wrong.done = "has to be true or false"
    end
    if next(wrong) then
        return refuse("422", "The note is not valid", wrong)
    end
    return {text = given.text, done = given.done or false}
end

-- The number and the note that a path names; nil when it was refused.
local function find(params)
    local id = params.id:match("^[1-9]%d*$") and math.tointeger(params.id)
    local text = id and notes:get("note " .. id)
    if not text then
        return refuse("404", "There is no such note")
    end
    return id, httpd.json.decode(text)
end

-- An integer of the query from least to most, or the default; nil when it was refused.
local function read_number(query, name, default, least, most)
    local value = query[name] == nil and default or math.tointeger(query[name])
    if not value or value < least or value > most then
        return refuse("422", "The query is not valid", {[name] = "has to be an integer from " .. least .. " to " .. most})
    end
    return value
end

httpd.register_handler("/notes", function(env)
    local query, message = httpd.query(env)
    if not query then
        return refuse("400", message)
    end
    local limit = read_number(query, "limit", PAGE_DEFAULT, 1, PAGE_MAX)
    local after = limit and read_number(query, "after", 0, 0, math.maxinteger)
    if not after then
        return
    end
    local last = notes:get("last") or 0
    local list = httpd.json.array()
    local id = math.max(after, last - NOTES_MAX)
    while id < last and #list < limit do
        id = id + 1
        local text = notes:get("note " .. id)
        list[#list + 1] = text and httpd.json.decode(text)
    end
    answer("200", {notes = list, next = id < last and page.link(env, "/notes?limit=" .. limit .. "&after=" .. id) or nil})
end, {methods = {"GET"}})

httpd.register_handler("/notes", function(env, header)
    local note = read_note(header)
    if not note then
        return
    end
    note.id = notes:incr("last", 1, 0)
    notes:set("note " .. note.id, httpd.json.encode(note))
    notes:delete("note " .. note.id - NOTES_MAX)
    answer("201", note, {location = page.link(env, "/notes/" .. note.id)})
end, {methods = {"POST"}})

httpd.register_handler("/notes/{id}", function(_, _, params)
    local id, note = find(params)
    if id then
        answer("200", note)
    end
end, {methods = {"GET"}})

httpd.register_handler("/notes/{id}", function(_, header, params)
    local id = find(params)
    local note = id and read_note(header)
    if not note then
        return
    end
    note.id = id
    -- gone meanwhile: somebody else has deleted it
    if not notes:replace("note " .. id, httpd.json.encode(note)) then
        return refuse("404", "There is no such note")
    end
    answer("200", note)
end, {methods = {"PUT"}})

httpd.register_handler("/notes/{id}", function(_, _, params)
    local id = find(params)
    if id then
        notes:delete("note " .. id)
        page.head("204")
    end
end, {methods = {"DELETE"}})

-- For people: a page whose script calls the routes above.
httpd.register_handler("/", show_notes, {methods = {"GET"}})

httpd.register_handler("/notfound", function()
    refuse("404", "There is no such address")
end)
