--- HTTP/1 messages to items (heads, pieces of bodies, "" at their ends) and back; no input and no output of its own.

local byte, find, format, gsub, lower, match, sub =
    string.byte, string.find, string.format, string.gsub, string.lower, string.match, string.sub
local concat, tonumber, tostring, type = table.concat, tonumber, tostring, type

--- Bytes of a head.
local HEAD_BYTES_MAX <const> = 8 * 1024
--- Digits of a chunk's size: what an integer holds.
local SIZE_DIGITS_MAX <const> = 16
--- Bytes of a chunk's size line with its extensions.
local SIZE_LINE_BYTES_MAX <const> = 4096

local REASONS <const> = {
    [100] = 'Continue', [101] = 'Switching Protocols', [102] = 'Processing',
    [200] = 'OK', [201] = 'Created', [202] = 'Accepted', [203] = 'Non-Authoritative Information',
    [204] = 'No Content', [205] = 'Reset Content', [206] = 'Partial Content', [207] = 'Multi-Status',
    [300] = 'Multiple Choices', [301] = 'Moved Permanently', [302] = 'Moved Temporarily', [303] = 'See Other',
    [304] = 'Not Modified', [305] = 'Use Proxy', [307] = 'Temporary Redirect', [308] = 'Permanent Redirect',
    [400] = 'Bad Request', [401] = 'Unauthorized', [402] = 'Payment Required', [403] = 'Forbidden',
    [404] = 'Not Found', [405] = 'Method Not Allowed', [406] = 'Not Acceptable',
    [407] = 'Proxy Authentication Required', [408] = 'Request Time-out', [409] = 'Conflict', [410] = 'Gone',
    [411] = 'Length Required', [412] = 'Precondition Failed', [413] = 'Request Entity Too Large',
    [414] = 'Request-URI Too Large', [415] = 'Unsupported Media Type', [416] = 'Requested Range Not Satisfiable',
    [417] = 'Expectation Failed', [418] = "I'm a teapot", [422] = 'Unprocessable Entity', [423] = 'Locked',
    [424] = 'Failed Dependency', [425] = 'Unordered Collection', [426] = 'Upgrade Required',
    [428] = 'Precondition Required', [429] = 'Too Many Requests', [431] = 'Request Header Fields Too Large',
    [500] = 'Internal Server Error', [501] = 'Not Implemented', [502] = 'Bad Gateway', [503] = 'Service Unavailable',
    [504] = 'Gateway Time-out', [505] = 'HTTP Version not supported', [506] = 'Variant Also Negotiates',
    [507] = 'Insufficient Storage', [509] = 'Bandwidth Limit Exceeded', [510] = 'Not Extended',
    [511] = 'Network Authentication Required',
}

--- The line that begins at `at` without its end, and where the next begins; nil where it is not whole.
local function line_at(bytes, at)
    local stop = find(bytes, '\n', at, true)
    if not stop then return nil end
    local last = stop - 1
    if byte(bytes, last) == 13 and last >= at then last = last - 1 end
    return sub(bytes, at, last), stop + 1
end

--- Where the head that begins at `at` ends (behind its empty line); nil where it is not whole.
local function head_end(bytes, at)
    local stop = at
    while true do
        stop = find(bytes, '\n', stop, true)
        if not stop then return nil end
        stop = stop + 1
        local following = byte(bytes, stop)
        if following == 10 then return stop end
        if following == 13 and byte(bytes, stop + 1) == 10 then return stop + 1 end
    end
end

--- The first line of a head as a table; raises where it is none.
local function first_line(line)
    local method, path, version = match(line, '^(%u+) ([^ ]+) HTTP/(%d%.%d)$')
    if method then return { method = method, path = path, version = tonumber(version) } end
    local code, reason
    version, code, reason = match(line, '^HTTP/(%d%.%d) (%d%d%d) ?(.*)$')
    if not version then error('expected HTTP data', 0) end
    return { code = tonumber(code), reason = reason, version = tonumber(version) }
end

--- A whole head as an item, and how its body is framed: 'none', 'chunked', 'close', or a length.
local function parse_head(bytes, at)
    local line
    line, at = line_at(bytes, at)
    local head = first_line(line)
    local keep_alive = head.version > 1.0
    local length, is_chunked
    local n = 0
    while true do
        line, at = line_at(bytes, at)
        if line == '' then break end
        local name, value = match(line, '^([^:%s]+):[ \t]*(.-)[ \t]*$')
        if not name then error('expected HTTP data', 0) end
        n = n + 1
        head[n] = { name, value }
        local key = lower(name)
        if key == 'connection' then
            keep_alive = lower(value) == 'keep-alive' or (head.version > 1.0 and lower(value) ~= 'close')
        elseif key == 'content-length' then
            local given = match(value, '^%d+$') and #value <= SIZE_DIGITS_MAX - 1 and tonumber(value)
            if not given or (length and length ~= given) then error('expected HTTP data', 0) end
            length = given
        elseif key == 'transfer-encoding' then
            is_chunked = lower(value) == 'chunked'
            if not is_chunked and head.method then error('expected HTTP data', 0) end
        end
    end
    head.keepAlive = keep_alive
    if is_chunked then
        -- two lengths that differ are how requests are smuggled
        if length then error('expected HTTP data', 0) end
        return head, 'chunked'
    end
    local code = head.code
    if code and (code < 200 or code == 204 or code == 304) then return head, 'none' end
    if length then return head, length > 0 and length or 'none' end
    if head.method or keep_alive then return head, 'none' end
    return head, 'close'
end

--- A function that takes bytes and gives the first item of them and the bytes behind it; nil and the bytes where they are
--- not enough. Without bytes: the connection has ended.
local function decoder()
    local read_head, read_empty, read_length, read_close, read_size, read_chunk, read_trailers
    local mode, left

    function read_head(bytes)
        -- empty lines before a message are forgiven
        local at = match(bytes, '^[\r\n]*()')
        local stop = head_end(bytes, at)
        if (stop or #bytes) - at > HEAD_BYTES_MAX then error('entity too large', 0) end
        if not stop then return nil, bytes end
        local head, framing = parse_head(bytes, at)
        if framing == 'none' then mode = read_empty
        elseif framing == 'chunked' then mode = read_size
        elseif framing == 'close' then mode = read_close
        else mode, left = read_length, framing end
        return head, sub(bytes, stop + 1)
    end

    function read_empty(bytes)
        mode = read_head
        return '', bytes
    end

    function read_length(bytes)
        if left == 0 then return read_empty(bytes) end
        if bytes == '' then return nil, bytes end
        local piece = sub(bytes, 1, left)
        left = left - #piece
        return piece, sub(bytes, #piece + 1)
    end

    function read_close(bytes)
        if bytes == '' then return nil, bytes end
        return bytes, ''
    end

    function read_size(bytes)
        local digits, after = match(bytes, '^(%x*)()')
        if #digits > SIZE_DIGITS_MAX then error('chunk-size field too large', 0) end
        local line, next_at = line_at(bytes, 1)
        if not line then
            if #bytes > SIZE_LINE_BYTES_MAX then error('chunk-size field too large', 0) end
            if after <= #bytes and (digits == '' or not find(bytes, '^[ \t;\r]', after)) then
                error('expected HTTP data', 0)
            end
            return nil, bytes
        end
        if digits == '' or not find(line, '^%x+[ \t]*$') and not find(line, '^%x+[ \t]*;') then
            error('expected HTTP data', 0)
        end
        left = tonumber(digits, 16)
        if left < 0 then error('chunk-size field too large', 0) end
        mode = left == 0 and read_trailers or read_chunk
        return mode(sub(bytes, next_at))
    end

    function read_chunk(bytes)
        if left > 0 then
            if bytes == '' then return nil, bytes end
            -- a chunk is one item where it has come as one
            local piece = sub(bytes, 1, left)
            left = left - #piece
            return piece, sub(bytes, #piece + 1)
        end
        local line, next_at = line_at(bytes, 1)
        if not line then
            if bytes ~= '' and bytes ~= '\r' then error('expected HTTP data', 0) end
            return nil, bytes
        end
        if line ~= '' then error('expected HTTP data', 0) end
        mode = read_size
        return read_size(sub(bytes, next_at))
    end

    function read_trailers(bytes)
        local at = 1
        while true do
            local line, next_at = line_at(bytes, at)
            if #bytes > HEAD_BYTES_MAX and (not next_at or next_at > HEAD_BYTES_MAX) then
                error('entity too large', 0)
            end
            if not line then return nil, bytes end
            if line == '' then return read_empty(sub(bytes, next_at)) end
            at = next_at
        end
    end

    mode = read_head
    return function(bytes)
        if bytes == nil then
            if mode == read_close then return read_empty('') end
            return nil, ''
        end
        return mode(bytes)
    end
end

local function clean(value)
    return (gsub(tostring(value), '[\r\n]+', ' '))
end

--- A function that takes an item and gives its bytes: a head, a piece of the body, "" for its end, nil for the very end.
local function encoder()
    local is_chunked = false

    local function finish()
        if not is_chunked then return '' end
        is_chunked = false
        return '0\r\n\r\n'
    end

    local function encode_head(head)
        local parts = { finish() }
        local version = head.version or 1.1
        if type(version) == 'number' then version = format('%.1f', version) end
        if head.method then
            local path = head.path
            if not path or path == '' then error('the head has no path', 0) end
            parts[2] = clean(head.method) .. ' ' .. clean(path) .. ' HTTP/' .. version .. '\r\n'
        else
            local code = head.code
            if not code then error('the head has neither code nor method', 0) end
            local reason = head.reason or REASONS[tonumber(code)] or 'Unknown reason'
            parts[2] = 'HTTP/' .. version .. ' ' .. clean(code) .. ' ' .. clean(reason) .. '\r\n'
        end
        for i = 1, #head do
            local name, value = clean(head[i][1]), clean(head[i][2])
            if lower(name) == 'transfer-encoding' then is_chunked = lower(value) == 'chunked' end
            parts[i + 2] = name .. ': ' .. value .. '\r\n'
        end
        parts[#parts + 1] = '\r\n'
        return concat(parts)
    end

    return function(item)
        if item == nil then return finish() end
        if type(item) == 'table' then return encode_head(item) end
        if type(item) ~= 'string' then error('an item is a head or a string, not a ' .. type(item), 0) end
        if not is_chunked then return item end
        if item == '' then return finish() end
        return format('%x\r\n', #item) .. item .. '\r\n'
    end
end

return { decoder = decoder, encoder = encoder }
