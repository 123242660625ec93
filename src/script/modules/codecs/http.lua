--- HTTP/1 as functions of read and write, to be chained: the server's side and the client's.

local http_codec = require 'http-codec'

--- Reads bytes, writes heads, pieces of bodies and "" at their ends.
local function decode(read, write)
    local decode_item = http_codec.decoder()
    local rest = ''
    for bytes in read do
        rest = rest .. bytes
        while true do
            local item
            item, rest = decode_item(rest)
            if item == nil then break end
            write(item)
        end
    end
    local item = decode_item(nil)
    if item ~= nil then write(item) end
    write()
end

--- Reads items, writes their bytes.
local function encode(read, write)
    local encode_item = http_codec.encoder()
    for item in read do
        local bytes = encode_item(item)
        if bytes ~= '' then write(bytes) end
    end
    local bytes = encode_item(nil)
    if bytes ~= '' then write(bytes) end
    write()
end

return {
    server = { decoder = decode, encoder = encode },
    client = { decoder = decode, encoder = encode },
}
