-- Security fields in every answer of a mapping, pages of errors too. What a handler has set itself stays.
--
--     require 'lgateway.headers'.use {['content-security-policy'] = "default-src 'self'; img-src *"}
local httpd = require 'httpd'

-- Fields of one answer, and bytes of a value: browsers and proxies refuse heads of more than some 8 to 16 KiB.
local FIELDS_MAX = 32
local VALUE_BYTES_MAX = 4096

local HSTS = 'strict-transport-security'

local DEFAULTS = {
    -- nothing from elsewhere, no scripts in pages, no frames around them
    ['content-security-policy'] =
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    -- browsers from before frame-ancestors
    ['x-frame-options'] = 'DENY',
    -- a year; without includeSubDomains, which is not for one mapping to say
    [HSTS] = 'max-age=31536000',
    ['x-content-type-options'] = 'nosniff',
    ['referrer-policy'] = 'strict-origin-when-cross-origin',
    ['permissions-policy'] = 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    ['cross-origin-opener-policy'] = 'same-origin',
    ['cross-origin-resource-policy'] = 'same-origin',
}

-- They say how an answer is sent, or are several, and are not for all answers alike.
local REFUSED = {
    status = true, connection = true, ['content-length'] = true, ['content-type'] = true, ['transfer-encoding'] = true,
    ['set-cookie'] = true, date = true,
}

local headers = {}

local function check(condition, message)
    if not condition then
        error(message, 3)
    end
end

-- `fields`: other values for these fields, false for none, and further fields. A value may be function(env, head), which returns a string,
-- or nil for none; it cannot wait.
function headers.use(fields)
    fields = fields or {}
    check(type(fields) == 'table', 'headers needs a table of fields')
    local values = {}
    for name, value in pairs(DEFAULTS) do
        values[name] = value
    end
    local seen = {}
    for name, value in pairs(fields) do
        check(type(name) == 'string' and name:find("^[%w!#$%%&'*+%-.^_`|~]+$"), 'headers: names of fields were expected')
        local lower = name:lower()
        check(not REFUSED[lower], 'headers cannot set the field "' .. name .. '"')
        check(not seen[lower], 'headers: the field "' .. name .. '" is given twice')
        seen[lower] = true
        check(value == false or type(value) == 'function'
            or type(value) == 'string' and not value:find('%c') and #value <= VALUE_BYTES_MAX,
            'headers: the value of "' .. name .. '" has to be a string without control characters of at most ' .. VALUE_BYTES_MAX
            .. ' bytes, a function, or false')
        values[lower] = value or nil
    end

    -- a list: it is gone through for each answer
    local list = {}
    for name, value in pairs(values) do
        list[#list + 1] = {name = name, value = value}
    end
    check(#list <= FIELDS_MAX, 'headers: ' .. #list .. ' fields were given and the limit is ' .. FIELDS_MAX)
    httpd.hook('response', function(env, head)
        for i = 1, #list do
            local name, value = list[i].name, list[i].value
            -- browsers pass over it without TLS (RFC 6797 §8.1)
            if head[name] == nil and (name ~= HSTS or env.SCHEME == 'https') then
                head[name] = type(value) == 'function' and value(env, head) or type(value) == 'string' and value or nil
            end
        end
    end)
end

return headers
