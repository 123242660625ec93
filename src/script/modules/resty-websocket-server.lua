-- The server of lua-resty-websocket on httpd.websocket, for scripts that come from OpenResty: its calls, results and errors. Pings are
-- answered, and fragments joined, before a script sees them.
local httpd = require 'httpd'

local server = { _VERSION = '0.13 (lgateway)' }
local methods = { __index = server }

-- what nginx has where a script says nothing: bytes of a message, and lua_socket_read_timeout
local PAYLOAD_BYTES_DEFAULT = 65535
local TIMEOUT_MS_DEFAULT = 60000
-- seconds between two pings, where the script does not wait for less
local PING_SECONDS_MAX = 30
local CONTROL_BYTES_MAX = 125
-- stand for a close frame without a code, and for an end without one (RFC 6455 section 7.4.1)
local NO_CODE, NO_FRAME = 1005, 1006

local OPCODES = { TEXT = 0x1, BINARY = 0x2, CLOSE = 0x8, PING = 0x9, PONG = 0xa }

-- bytes of a frame with this payload
local function frame_size(payload)
    local size = #payload
    return size + (size <= 125 and 2 or size <= 65535 and 4 or 10)
end

-- the client's first choice: a script that never looks at protocols takes any, and an answer may name only one
local function first_protocol()
    local request = httpd.request()
    local offered = request and request.header['sec-websocket-protocol']
    if type(offered) == 'table' then offered = offered[1] end
    return offered and offered:match('^[\t ]*([^,\t ]+)')
end

function server.new(_, options)
    options = options or {}
    if options.send_masked then return nil, 'send_masked is not for servers' end
    local timeout = options.timeout or TIMEOUT_MS_DEFAULT
    local payload = options.max_payload_len or PAYLOAD_BYTES_DEFAULT
    local ok, ws, message = pcall(httpd.websocket, {
        protocols = { first_protocol() },
        origins = options.origins,
        max = options.max_recv_len or payload,
        ping = math.min(PING_SECONDS_MAX, timeout / 1000),
    })
    if not ok then return nil, ws end
    if not ws then return nil, message end
    return setmetatable({ ws = ws, timeout = timeout, max_send_len = options.max_send_len or payload }, methods)
end

function server:set_timeout(ms)
    self.timeout = ms
    return 1
end

function server:recv_frame()
    local ws = self.ws
    if self.fatal then return nil, nil, 'fatal error already happened' end
    local data, kind, code = ws:recv(self.timeout / 1000)
    if data then return data, kind end
    if not ws.code and code == 'timeout' then return nil, nil, 'failed to receive the first 2 bytes: timeout' end
    if not self.closing and code == 'closed' and ws.code ~= NO_FRAME then
        self.closing = true
        return ws.reason, 'close', ws.code ~= NO_CODE and ws.code or nil
    end
    self.fatal = true
    -- here the second value is the message
    return nil, nil, 'failed to receive the first 2 bytes: ' .. (code == 'closed' and 'closed' or kind)
end

local function failed(self, why)
    self.fatal = true
    return nil, why
end

local function send_message(self, data, kind)
    data = tostring(data or '')
    if #data > self.max_send_len then return failed(self, 'payload too big') end
    local ok, sent, message = pcall(self.ws.send, self.ws, data, kind)
    if not ok then return failed(self, 'failed to send frame: ' .. sent) end
    if not sent then return failed(self, 'failed to send frame: ' .. message) end
    return frame_size(data)
end

local function send_control(self, data)
    data = tostring(data or '')
    if #data > CONTROL_BYTES_MAX then return failed(self, 'too much payload for control frame') end
    if self.ws.code then return failed(self, 'failed to send frame: closed') end
    return frame_size(data)
end

local function send_close(self, payload)
    if #payload > CONTROL_BYTES_MAX then return failed(self, 'too much payload for control frame') end
    if #payload == 1 then return failed(self, 'a close frame with a body must carry a 2-byte status code') end
    local ok, message = pcall(self.ws.close, self.ws, payload ~= '' and payload:byte(1) << 8 | payload:byte(2) or nil, payload:sub(3))
    if not ok then return failed(self, 'failed to send frame: ' .. message) end
    self.closing = true
    return frame_size(payload)
end

function server:send_frame(fin, opcode, payload)
    if self.fatal then return nil, 'fatal error already happened' end
    if not fin then return failed(self, 'fragments are made by the gateway: send the message whole') end
    if opcode == OPCODES.TEXT then return send_message(self, payload, 'text') end
    if opcode == OPCODES.BINARY then return send_message(self, payload, 'binary') end
    if opcode == OPCODES.CLOSE then return send_close(self, tostring(payload or '')) end
    if opcode == OPCODES.PING or opcode == OPCODES.PONG then return send_control(self, payload) end
    return failed(self, 'bad opcode')
end

function server:send_text(data) return self:send_frame(true, OPCODES.TEXT, data) end
function server:send_binary(data) return self:send_frame(true, OPCODES.BINARY, data) end

-- the gateway sends pings while it waits, and ends a WebSocket whose client answers none: none is sent here
function server:send_ping(data) return self:send_frame(true, OPCODES.PING, data) end

-- the gateway has answered the ping before a script could see it
function server:send_pong(data) return self:send_frame(true, OPCODES.PONG, data) end

function server:send_close(code, message)
    if not code then return self:send_frame(true, OPCODES.CLOSE, '') end
    if math.type(code) ~= 'integer' or code < 0 or code > 0x7fff then return nil, 'bad status code' end
    return self:send_frame(true, OPCODES.CLOSE, string.pack('>I2', code) .. (message or ''))
end

return server
