-- Shows two ways to store a request body: counting by hand in small pieces, as for lhttpd, and simply until its end.
-- curl --cacert certs/development/certificate.pem --data-binary @photo.jpg https://localhost:8443/stream
local httpd = require 'httpd'

-- Bytes read in one go: enough that the calls do not count, little enough that a thousand uploads fit in memory.
local CHUNK_BYTES = 65536

local function answer(status, text)
    httpd.header{[':status'] = status, ['content-type'] = 'text/plain'}
    httpd.write(nil, text .. '\n')
end

local function open_file(name)
    local file, message = io.open(name, 'wb')
    if file == nil then
        answer(500, message)
    end
    return file
end

-- As a script for lhttpd has to do it: it trusts the declared length, and reads no more than what is surely there.
local function upload_counting(_, header)
    local file <close> = open_file('counted.bin')
    if file == nil then
        return
    end
    local length = math.tointeger(header['content-length']) or 0
    local saved = 0
    while length > 0 do
        local data = httpd.read(nil, math.min(4, length))
        if data == nil then
            break
        end
        httpd.write(file, data)
        saved = saved + #data
        length = length - #data
    end
    answer(200, 'counted ' .. saved .. ' bytes')
end

-- The better way: read until nil. It needs no length, so that chunked bodies work, and it tells an end from a failure.
local function upload_streaming()
    local file <close> = open_file('streamed.bin')
    if file == nil then
        return
    end
    local saved = 0
    while true do
        local data, message = httpd.read(nil, CHUNK_BYTES)
        if data == nil and message then
            answer(400, message)
            return
        elseif data == nil then
            break
        end
        local written, problem = httpd.write(file, data)
        if written == nil then
            answer(507, problem)
            return
        end
        saved = saved + written
    end
    answer(200, 'streamed ' .. saved .. ' bytes')
end

httpd.register_handler('/upload', upload_counting)
httpd.register_handler('/stream', upload_streaming)
