-- The last events of a program, numbered, for all workers: each sees them in order, and who comes back takes up where it was.
local httpd = require 'httpd'

local ring = {}
ring.__index = ring

-- An event that is missing though later ones are there is just being written by another worker. When so many later ones
-- are there, its worker has died.
local LATER_MAX = 16
-- Seconds after which a reader looks by itself, should nobody have been able to wake it.
local LOOK_SECONDS = 30

-- Opens the ring of this name: the dictionary that keeps so many events, and the channel that tells of new ones.
function ring.open(name, kept)
    local entries = assert(httpd.shared(name))
    -- numbers begin anew with each gateway; cursors of an earlier one have another life
    entries:add("life", httpd.encode("hex", httpd.crypto.random(4)))
    return setmetatable({name = name, kept = kept, entries = entries, life = entries:get("life")}, ring)
end

-- Adds a text. Returns its number, or nil, message, code.
function ring:add(text)
    local number, message, code = self.entries:incr("last", 1, 0)
    if not number then
        return nil, message, code
    end
    local done
    done, message, code = self.entries:set("event " .. number, text)
    self.entries:delete("event " .. number - self.kept)
    -- says that there is something, not what: readers look here, so that it does not matter what a slow one misses
    httpd.publish(self.name, "new")
    if not done then
        return nil, message, code
    end
    return number
end

-- What a client keeps to say later where it was.
function ring:cursor(number)
    return self.life .. "-" .. number
end

-- The number in a client's cursor; 0, the beginning, for a cursor of another life, or none.
function ring:seen(cursor)
    local life, number = (cursor or ""):match("^(%x+)-(%d+)$")
    return life == self.life and math.tointeger(tonumber(number)) or 0
end

-- The next event that is there behind the number seen. Returns its text and number, or nil.
function ring:after(seen)
    local last = self.entries:get("last") or 0
    for number = math.max(seen, last - self.kept) + 1, last do
        local text = self.entries:get("event " .. number)
        if text then
            return text, number
        elseif last - number < LATER_MAX then
            return nil
        end
    end
end

-- Wakes whoever waits for events. It is to be closed by who has it, which ends follow.
function ring:subscribe()
    return httpd.subscribe(self.name, {queue = 1})
end

-- For each event behind the number seen, and each that comes: its text and number. sub comes from subscribe.
function ring:follow(sub, seen)
    return function()
        while true do
            local text, number = self:after(seen)
            if text then
                seen = number
                return text, number
            end
            local woken, _, code = sub:recv(LOOK_SECONDS)
            if not woken and code ~= "timeout" then
                return nil
            end
        end
    end
end

return ring
