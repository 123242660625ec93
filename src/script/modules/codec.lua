--- Joins functions that read and write items, and makes such pairs of sockets and emitters.

local codec = {}

local create, resume, yield, running, status =
    coroutine.create, coroutine.resume, coroutine.yield, coroutine.running, coroutine.status

--- Resumes a coroutine of a link; an error in it is raised here.
local function run(thread, ...)
    local ok, message = resume(thread, ...)
    if not ok then error(message, 0) end
end

--- A queue of one item between a writer and a reader.
local function new_link()
    local item, full, ended
    local reader, writer

    local link = {}

    function link.read()
        if not full and writer then
            local thread = writer
            writer = nil
            run(thread)
        end
        if not full and not ended then
            reader = running()
            yield()
            reader = nil
        end
        if full then
            local taken = item
            item, full = nil, false
            return taken
        end
        return nil
    end

    function link.write(value)
        if ended then return nil, 'closed' end
        if value == nil then
            ended = true
        else
            if full then
                writer = running()
                yield()
                writer = nil
                if ended then return nil, 'closed' end
            end
            item, full = value, true
        end
        if reader and status(reader) == 'suspended' then
            local thread = reader
            reader = nil
            run(thread)
        end
        return true
    end

    --- The reader has ended: nobody waits for what is written.
    function link.close()
        ended = true
        item, full = nil, false
        if writer then
            local thread = writer
            writer = nil
            run(thread)
        end
    end

    return link
end

--- Makes one function(read, write) of several: what one writes the next reads. Each runs in a coroutine of its own.
function codec.chain(...)
    local parts, count = { ... }, select('#', ...)
    return function(read, write)
        local links = {}
        for i = 1, count - 1 do links[i] = new_link() end
        -- the last first: when an item is written, whoever reads it waits for it already
        for i = count, 1, -1 do
            local before, after = links[i - 1], links[i]
            run(create(function()
                parts[i](before and before.read or read, after and after.write or write)
                if after then after.write(nil) end
                if before then before.close() end
            end))
        end
    end
end

--- Collects what comes in calls for a reader that waits in its coroutine. `pause` and `go_on` tell the source.
local function new_inbox(pause, go_on)
    local queue, first, last = {}, 1, 0
    local waiting
    local is_paused = true

    local function push(...)
        if waiting then
            local thread = waiting
            waiting = nil
            run(thread, ...)
            return
        end
        last = last + 1
        queue[last] = { ... }
        if not is_paused then
            is_paused = true
            pause()
        end
    end

    local function read()
        if first <= last then
            local values = queue[first]
            queue[first] = nil
            first = first + 1
            return values[1], values[2]
        end
        if is_paused then
            is_paused = false
            go_on(push)
            -- it may have called at once
            if first <= last then return read() end
        end
        waiting = running()
        return yield()
    end

    return push, read
end

--- `read, write` of a socket with the methods of luv's streams: read_start, read_stop, write, shutdown, close.
function codec.wrapStream(socket)
    local is_reading, is_writing, is_closed = true, true, false
    local push, read

    local function check()
        if is_reading or is_writing or is_closed then return end
        is_closed = true
        socket:close()
    end

    push, read = new_inbox(
        function() socket:read_stop() end,
        function()
            socket:read_start(function(message, chunk)
                if not chunk then is_reading = false end
                if message then push(nil, message) else push(chunk) end
                if not chunk then check() end
            end)
        end
    )

    local function write(chunk)
        if chunk ~= nil then
            if not is_writing then return nil, 'closed' end
            socket:write(chunk)
            return true
        end
        if not is_writing then return end
        is_writing = false
        socket:shutdown(check)
        check()
    end

    return read, write
end

--- `read, write` of an emitter: its events 'data', 'end' and 'error', its methods write and shutdown (or finish).
function codec.wrapEmitter(emitter)
    local function tell(name)
        return function() if emitter[name] then emitter[name](emitter) end end
    end
    local push, read = new_inbox(tell('pause'), tell('resume'))
    local has_ended = false

    local function finish(message)
        if has_ended then return end
        has_ended = true
        push(nil, message)
    end

    emitter:on('data', function(chunk) if not has_ended then push(chunk) end end)
    emitter:on('end', function() finish() end)
    emitter:on('error', function(message) finish(message) end)

    local function write(item)
        if item ~= nil then
            emitter:write(item)
            return true
        end
        local close = emitter.shutdown or emitter.finish
        if close then close(emitter) end
    end

    return read, function(...) return write((...)) end
end

return codec
