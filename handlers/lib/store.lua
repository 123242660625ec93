-- Keeps uploaded files in one folder: a few places for each worker, the oldest upload makes room for the next one.
--
-- A worker writes to places of its own only, so that workers need no lock. Its index file has one line of fixed length
-- for each place, which is rewritten where it stands; whoever lists the uploads reads the index files of all workers.
local httpd = require 'httpd'

-- Places of one worker: with them, what strangers can leave on the disk is bounded.
local PLACES_MAX = 8
-- The gateway's own limit of workers.
local WORKERS_MAX = 256
-- Bytes of a line of the index, its end included; a name of NAME_BYTES_MAX bytes fits when each is escaped (%XX).
local LINE_BYTES = 512
local NAME_BYTES_MAX = 120
-- Bytes read from the client in one go.
local CHUNK_BYTES = 65536

local store = {places_max = PLACES_MAX, upload_bytes_max = 256 * 1024 * 1024}

-- What the names of all files begin with, a folder and perhaps more; set by store.open.
local start
-- Of this worker: what each place holds, and which are being written.
local entries
local busy = {}
-- The place that was written last.
local turn

-- Each script needs names of its own: its places are no other script's. limit (optional): bytes of an upload.
function store.open(path, limit)
    start = path
    store.upload_bytes_max = limit or store.upload_bytes_max
end

-- A stranger's file name as one that can be shown and saved: its last part, without control characters.
function store.clean_name(name)
    name = name:match("[^/\\]*$"):gsub("[%c\127]", ""):gsub("^[%s.]+", ""):gsub("%s+$", "")
    if not utf8.len(name) then
        name = name:gsub("[\128-\255]", "_")
    end
    while #name > NAME_BYTES_MAX do
        -- cut before a whole character, never inside of one
        name = name:sub(1, utf8.offset(name, -1) - 1)
    end
    return name == "" and "unnamed" or name
end

local function index_name(worker)
    return start .. worker .. ".index"
end

local function data_name(worker, place)
    return start .. worker .. "-" .. place .. ".data"
end

-- What stands in a line: size, hash, time, name; nil for an empty place. The time has milliseconds: uploads of one second are in order.
local function parse_line(worker, place, line)
    local size, sha256, time, name = line:match("^(%d+) (%x+) (%d+%.?%d*) (%S+) *$")
    name = name and httpd.decode("url", name)
    if not name then
        return nil
    end
    return {
        id = worker .. "-" .. place, worker = worker, place = place,
        size = math.tointeger(size), sha256 = sha256, time = tonumber(time), name = name,
    }
end

-- The entries of a worker by place; nil when it has never stored anything.
local function read_index(worker)
    local file <close> = io.open(index_name(worker), "rb")
    if file == nil then
        return nil
    end
    local found = {}
    for place = 1, PLACES_MAX do
        local line = httpd.read(file, LINE_BYTES)
        if line == nil then
            break
        end
        found[place] = parse_line(worker, place, line:sub(1, -2))
    end
    return found
end

-- Writes the line of a place; returns true, or nil and a message.
local function write_line(worker, place, entry)
    local text = ""
    if entry then
        text = string.format("%d %s %.3f %s", entry.size, entry.sha256, entry.time, httpd.encode("url", entry.name))
    end
    -- opened to append first: that makes the file without emptying one that is there
    local made, message = io.open(index_name(worker), "ab")
    if made == nil then
        return nil, message
    end
    made:close()
    local file <close>, reason = io.open(index_name(worker), "r+b")
    if file == nil then
        return nil, reason
    end
    local position, failure = file:seek("set", (place - 1) * LINE_BYTES)
    if position == nil then
        return nil, failure
    end
    local written, problem = httpd.write(file, text .. (" "):rep(LINE_BYTES - 1 - #text) .. "\n")
    if written == nil then
        return nil, problem
    end
    return file:close()
end

-- The entries of this worker, read when they are first needed.
local function own_entries(worker)
    if entries == nil then
        local found = read_index(worker) or {}
        -- another request may have read them while this one waited
        entries = entries or found
    end
    return entries
end

-- The next place in turn that nobody writes to now, so the one with the oldest upload; nil when all are being written.
local function choose_place(own)
    if turn == nil then
        turn = 0
        for place, entry in pairs(own) do
            if turn == 0 or entry.time > own[turn].time then
                turn = place
            end
        end
    end
    for step = 0, PLACES_MAX - 1 do
        local place = (turn + step) % PLACES_MAX + 1
        if not busy[place] then
            turn = place
            return place
        end
    end
    return nil
end

-- Copies a source to a file; returns its length, or nil, a status and a message.
local function receive(file, source)
    local size = 0
    while true do
        local chunk, message, code = httpd.read(source, CHUNK_BYTES)
        if chunk == nil then
            if message then
                return nil, code == "limit" and "413" or "400", message
            end
            return size
        end
        size = size + #chunk
        if size > store.upload_bytes_max then
            return nil, "413", "The file is longer than the limit of " .. store.upload_bytes_max .. " bytes"
        end
        local written, problem = httpd.write(file, chunk)
        if written == nil then
            return nil, "507", problem
        end
    end
end

-- Writes a source to a file beside its place and hashes it; returns size and hash, or nil, a status and a message.
local function write_part(name, source)
    local file <close>, message = io.open(name, "w+b")
    if file == nil then
        return nil, "507", message
    end
    local size, status, reason = receive(file, source)
    if size == nil then
        return nil, status, reason
    end
    local position, failure = file:seek("set")
    if position == nil then
        return nil, "507", failure
    end
    local sha256, problem = httpd.crypto.hash("sha256", file, "hex")
    if sha256 == nil then
        return nil, "507", problem
    end
    return size, sha256
end

-- Stores what a source gives (nil: the body of the request under way); returns its entry, or nil, a status and a message.
function store.receive(worker, name, source)
    local own = own_entries(worker)
    local place = choose_place(own)
    if place == nil then
        return nil, "503", "All " .. PLACES_MAX .. " places of this worker are being written; try again"
    end
    busy[place] = true
    local part = start .. worker .. "-" .. place .. ".part"
    -- also when the client goes away half-way: the place is free again, and nothing half-written stays
    local _ <close> = setmetatable({}, {__close = function()
        busy[place] = nil
        os.remove(part)
    end})
    local size, sha256, message = write_part(part, source)
    if size == nil then
        return nil, sha256, message
    end
    local entry = {
        id = worker .. "-" .. place, worker = worker, place = place,
        size = size, sha256 = sha256, time = httpd.now(), name = store.clean_name(name),
    }
    -- the old line goes first, so that it never stands beside the new content
    local blanked, problem = write_line(worker, place, nil)
    if not blanked then
        return nil, "507", problem
    end
    own[place] = nil
    local renamed, reason = os.rename(part, data_name(worker, place))
    if not renamed then
        return nil, "507", reason
    end
    local noted, failure = write_line(worker, place, entry)
    if not noted then
        return nil, "507", failure
    end
    own[place] = entry
    return entry
end

-- All uploads of all workers, the newest first.
function store.list()
    local all = {}
    for worker = 1, WORKERS_MAX do
        for _, entry in pairs(read_index(worker) or {}) do
            all[#all + 1] = entry
        end
    end
    table.sort(all, function(a, b)
        if a.time ~= b.time then
            return a.time > b.time
        end
        return a.id > b.id
    end)
    return all
end

-- Opens an upload by its id; returns its entry and file, or nil.
function store.find(id)
    local worker, place = id:match("^(%d%d?%d?)%-(%d%d?)$")
    local found = worker and read_index(math.tointeger(worker))
    local entry = found and found[math.tointeger(place)]
    if entry == nil then
        return nil
    end
    local file = io.open(data_name(entry.worker, entry.place), "rb")
    if file == nil then
        return nil
    end
    return entry, file
end

return store
