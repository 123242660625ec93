-- Cross-origin requests for a mapping (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol): answers preflights, and adds the fields
-- by which browsers let pages of other origins read the answers.
--
--     require 'lgateway.cors'.use {origins = {'https://app.example'}, methods = {'GET', 'PUT'}, headers = {'content-type'}}
--
-- It keeps nobody from sending requests: that is what lgateway.csrf is for.
local httpd = require 'httpd'
local options = require 'lgateway.options'

-- Seconds: browsers keep the answer to a preflight for a day at most.
local AGE_MAX = 86400
-- Bytes of an origin that is looked at: names of hosts have 253.
local ORIGIN_BYTES_MAX = 512

local KINDS = {
    origins = 'string table function', methods = 'table', headers = 'table', expose = 'table', credentials = 'boolean', max_age = 'number',
}
local DEFAULTS = {credentials = false, max_age = 600}
local SAFE_METHODS = {'GET', 'HEAD', 'POST'}

-- Where ctx has what a function has said of the origin: a hook of the head may not wait, as that function may.
local SAID = {}

local cors = {}

-- A list as the value of a field; an empty string for none, nil where an entry is no token.
local function join(list)
    for _, name in ipairs(list) do
        if type(name) ~= 'string' or not name:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
            return nil
        end
    end
    return table.concat(list, ', ')
end

local function has(list, wanted)
    for _, name in ipairs(list) do
        if name == wanted then
            return true
        end
    end
    return false
end

-- The value of `vary` with one name more.
local function with_vary(vary, name)
    if type(vary) == 'table' then
        vary = table.concat(vary, ', ')
    end
    if vary == nil or vary == '' then
        return name
    end
    local known = ',' .. vary:lower():gsub('%s', '') .. ','
    if known:find(',*,', 1, true) or known:find(',' .. name:lower() .. ',', 1, true) then
        return vary
    end
    return vary .. ', ' .. name
end

-- The origin of a request; nil where it has none, or one that no browser writes.
local function origin_of(header)
    local origin = header.origin
    if origin == nil or #origin > ORIGIN_BYTES_MAX then
        return nil
    end
    return (origin == 'null' or origin:find('^%l[%l%d+.-]*://[\33-\43\45\46\48-\126]+$')) and origin or nil
end

-- A function of env and header that gives the value of access-control-allow-origin; nil where the origin is not allowed; and one for hooks
-- of the head, which may not ask the script. Or nil, message.
local function read_origins(origins, credentials)
    if origins == '*' then
        if credentials then
            return nil, 'option "credentials" cannot go with the origins "*": list them'
        end
        local function any(_, header)
            return header.origin and '*'
        end
        return any, any
    end
    if type(origins) == 'function' then
        local function ask(env, header)
            local origin = origin_of(header)
            if origin and not (origin == 'null' and credentials) and origins(origin, env) then
                httpd.request().ctx[SAID] = origin
                return origin
            end
            return nil
        end
        return ask, function()
            return httpd.request().ctx[SAID]
        end
    end
    if type(origins) ~= 'table' or #origins == 0 then
        return nil, 'option "origins" has to be "*", a list of origins or a function'
    end
    -- "null" is the origin of every page in a sandbox, whoever has written it
    local set, message = options.read_origins(origins, not credentials)
    if not set then
        return nil, message
    end
    local function find(_, header)
        local origin = header.origin
        return set[origin] and origin
    end
    return find, find
end

-- `origins`: "*", a list, or function(origin, env), which says whether it is allowed. `methods`: names beside GET, HEAD and POST.
-- `headers`: names of fields that requests may have beside those that every page may send. `expose`: names of fields of answers that
-- pages may read. `credentials`: true lets pages send cookies. `max_age`: seconds for which the answer to a preflight holds.
function cors.use(given)
    local read = options.read('cors', given, KINDS, DEFAULTS)
    local credentials = read.credentials
    local allowed, allowed_before = read_origins(read.origins, credentials)
    options.check(allowed, allowed_before)
    for _, name in ipairs {'methods', 'headers', 'expose'} do
        local list = read[name] or {}
        options.check(join(list), 'option "' .. name .. '" has to be a list of names')
        options.check(not (credentials and has(list, '*')), 'option "' .. name .. '" cannot have "*" together with credentials')
    end
    options.check(math.type(read.max_age) == 'integer' and read.max_age >= 0 and read.max_age <= AGE_MAX,
        'option "max_age" has to be an integer from 0 to ' .. AGE_MAX)

    local methods = {table.unpack(SAFE_METHODS)}
    for _, name in ipairs(read.methods or {}) do
        if not has(methods, name) then
            methods[#methods + 1] = name
        end
    end
    local preflight = {
        ['access-control-allow-methods'] = join(methods),
        ['access-control-max-age'] = tostring(read.max_age),
    }
    if read.headers and #read.headers > 0 then
        preflight['access-control-allow-headers'] = join(read.headers)
    end
    local expose = read.expose and #read.expose > 0 and join(read.expose) or nil
    local varies = read.origins ~= '*'

    httpd.hook('request', function(env, header)
        if header.origin == nil then
            return
        end
        local origin = allowed(env, header)
        if env.REQUEST_METHOD ~= 'OPTIONS' or header['access-control-request-method'] == nil then
            return
        end
        if not origin then
            httpd.exit(403, 'This origin is not allowed\n')
        end
        httpd.exit(204, nil, preflight)
    end)

    httpd.hook('response', function(env, head)
        if varies then
            head.vary = with_vary(head.vary, 'Origin')
        end
        local header = httpd.request().header
        local origin = header.origin and allowed_before(env, header)
        if not origin then
            return
        end
        head['access-control-allow-origin'] = origin
        head['access-control-allow-credentials'] = credentials and 'true' or nil
        head['access-control-expose-headers'] = expose
    end)
end

return cors
