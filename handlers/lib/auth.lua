-- Authentication for a mapping: functions for httpd.hook('request', ...) that answer 401 to whoever is not let in. Who was let in stands
-- in httpd.request().ctx.user.
--
--     local auth = require 'lgateway.auth'
--     httpd.hook('request', auth.basic {users = {ada = '$scrypt$ln=14,r=8,p=5$...'}})
--     httpd.hook('request', auth.bearer {jwt = {key = KEY, alg = 'ES256', iss = 'https://login.example', aud = 'this service'}})
local httpd = require 'httpd'
local options = require 'lgateway.options'

-- Bytes of a name with its password: kdf takes no longer ones.
local PAIR_BYTES_MAX = 4096
-- Bytes of a token: httpd.jwt.verify takes no longer ones.
local TOKEN_BYTES_MAX = 16384
-- Cost of scrypt, the least that OWASP recommends; a hash says its own.
local COST = {ln = 14, r = 8, p = 5}
local SALT_BYTES, HASH_BYTES = 16, 32
-- What httpd.crypto.kdf takes.
local LN_MAX, MEMORY_BYTES_MAX, WORK_MAX, HASH_BYTES_MIN, HASH_BYTES_MAX = 20, 128 * 1024 * 1024, 2097152, 16, 64

-- Codes of a failure that is not the client's.
local UNAVAILABLE = {limit = true, timeout = true, io = true, closed = true, refused = true}
-- For the field retry-after.
local RETRY_SECONDS = '1'

local auth = {}

-- Secrets are compared by what this key makes of them, so that the time of a comparison says nothing of them, not even their length.
local COMPARISON_KEY = httpd.crypto.random(32)
local function digest(secret)
    return httpd.crypto.hmac('sha256', COMPARISON_KEY, secret)
end

-- Passwords ---------------------------------------------------------------------------------------------------------------------

local function unpadded(bytes)
    return (httpd.encode('base64', bytes):gsub('=+$', ''))
end

-- What auth.hash has made; nil where a text is no such thing, or would cost more than is allowed.
local function parse_hash(text)
    local ln, r, p, salt, hash = text:match('^%$scrypt%$ln=(%d%d?),r=(%d%d?%d?),p=(%d%d?%d?)%$([%w+/]+)%$([%w+/]+)$')
    if ln == nil then
        return nil
    end
    local n = 1 << math.tointeger(ln)
    r, p, salt, hash = math.tointeger(r), math.tointeger(p), httpd.decode('base64', salt), httpd.decode('base64', hash)
    if not salt or not hash or #hash < HASH_BYTES_MIN or #hash > HASH_BYTES_MAX or n < 2 or math.tointeger(ln) > LN_MAX
        or r < 1 or p < 1 or 128 * n * r > MEMORY_BYTES_MAX or n * r * p > WORK_MAX then
        return nil
    end
    return {n = n, r = r, p = p, salt = salt, hash = hash}
end

local function matches(password, hash)
    local made, message, code = httpd.crypto.kdf(password, hash.salt, {n = hash.n, r = hash.r, p = hash.p, length = #hash.hash})
    if not made then
        return nil, message, code
    end
    return httpd.crypto.equal(made, hash.hash)
end

-- A text to be stored in the place of the password (the PHC form of scrypt), or nil, message, code. It waits for some tenths of a second.
function auth.hash(password)
    local salt = httpd.crypto.random(SALT_BYTES)
    local made, message, code = httpd.crypto.kdf(password, salt, {n = 1 << COST.ln, r = COST.r, p = COST.p, length = HASH_BYTES})
    if not made then
        return nil, message, code
    end
    return ('$scrypt$ln=%d,r=%d,p=%d$%s$%s'):format(COST.ln, COST.r, COST.p, unpadded(salt), unpadded(made))
end

-- Whether a password is the one of a stored text: true or false, or nil, message, code.
function auth.matches(password, stored)
    options.check(type(password) == 'string' and type(stored) == 'string', 'matches takes two strings')
    local hash = parse_hash(stored)
    if not hash then
        return nil, 'Cannot compare: what is stored is no text of auth.hash', 'invalid'
    end
    return matches(password, hash)
end

-- Answers -----------------------------------------------------------------------------------------------------------------------

local function refuse(status, text, challenge)
    httpd.exit(status, text, {['www-authenticate'] = challenge, ['cache-control'] = 'no-store'})
end

-- Nobody can say now whether the client may come in.
local function stop(message)
    httpd.log('warn', 'Nobody can be authenticated:', message)
    httpd.exit(503, 'Try again later\n', {['retry-after'] = RETRY_SECONDS, ['cache-control'] = 'no-store'})
end

-- True for a text that can stand between quotes in a field.
local function is_realm(text)
    return not text:find('[^\32-\126]') and not text:find('["\\]')
end

-- What stands behind a scheme in the field `authorization`: nil where another scheme does or nothing, false where it is malformed.
local function read_credentials(header, wanted, bytes_max)
    local field = header.authorization
    local scheme, rest = (field or ''):match('^([^%s,]+) *(.*)$')
    if scheme == nil or scheme:lower() ~= wanted then
        return nil
    end
    return #field <= bytes_max and rest:match('^[%w%-._~+/]+=*$') or false
end

-- Basic (RFC 7617) --------------------------------------------------------------------------------------------------------------

local function read_pair(header)
    local text = read_credentials(header, 'basic', PAIR_BYTES_MAX)
    local pair = text and httpd.decode('base64', text)
    if not pair or pair:find('%c') then
        return nil
    end
    return pair:match('^([^:]*):(.*)$')
end

-- Reads the option "users": digests of names with passwords, and hashes, by name. Nil, message: it is wrong.
local function read_users(users)
    local digests, hashes = {}, {}
    for name, stored in pairs(users) do
        if type(name) ~= 'string' or name:find('[:%c]') or type(stored) ~= 'string' then
            return nil, 'option "users" has to be a table of passwords by name, and a name has no colon'
        end
        if stored:find('^%$scrypt%$') then
            hashes[name] = parse_hash(stored)
            if not hashes[name] then
                return nil, 'the password of "' .. name .. '" looks like a text of auth.hash and is none'
            end
        else
            digests[name] = digest(name .. ':' .. stored)
        end
    end
    if next(digests) and next(hashes) then
        -- the time of an answer would say which names exist
        return nil, 'option "users" has hashes and plain passwords: make all of them hashes'
    end
    return digests, hashes
end

local function verify_plain(digests)
    local nobody = digest(httpd.crypto.random(32))
    return function(name, password)
        local is_right = httpd.crypto.equal(digest(name .. ':' .. password), digests[name] or nobody)
        return is_right and digests[name] and name
    end
end

local function verify_hashed(hashes)
    -- who is not there costs as much as a wrong password
    local _, decoy = next(hashes)
    -- a browser sends the password with each request: what was right once is compared by its digest, one for each user
    local right = {}
    return function(name, password)
        local given = digest(name .. ':' .. password)
        if right[name] and httpd.crypto.equal(right[name], given) then
            return name
        end
        local is_right, message, code = matches(password, hashes[name] or decoy)
        if is_right == nil then
            return nil, message, code
        end
        if not is_right or not hashes[name] then
            return nil
        end
        right[name] = given
        return name
    end
end

-- `users`: passwords, or better texts of auth.hash, by name. Or `verify(name, password, env)`, which returns what is to stand in ctx.user;
-- or nothing; or nil, message, code, where it cannot say. `realm`: what a browser shows.
function auth.basic(given)
    local read = options.read('basic', given, {realm = 'string', users = 'table', verify = 'function'}, {realm = 'Restricted'})
    options.check(is_realm(read.realm), 'option "realm" has to be printable ASCII without quotes and backslashes')
    options.check((read.users == nil) ~= (read.verify == nil), 'basic needs one of the options "users" and "verify"')
    local verify = read.verify
    if read.users then
        local digests, hashes = read_users(read.users)
        options.check(digests, hashes)
        verify = next(hashes) and verify_hashed(hashes) or verify_plain(digests)
    end
    local challenge = 'Basic realm="' .. read.realm .. '", charset="UTF-8"'
    return function(env, header)
        local name, password = read_pair(header)
        local user, message, code
        if name then
            user, message, code = verify(name, password, env)
        end
        if user then
            httpd.request().ctx.user = user
        elseif UNAVAILABLE[code] then
            stop(message)
        else
            refuse(401, 'Not authorized\n', challenge)
        end
    end
end

-- Bearer (RFC 6750) -------------------------------------------------------------------------------------------------------------

-- Users by digest, so that the time of the search says nothing of a token. Nil: the option is wrong.
local function read_tokens(tokens)
    local users = {}
    for token, user in pairs(tokens) do
        if type(token) ~= 'string' or not token:find('^[%w%-._~+/]+=*$') or not user then
            return nil
        end
        users[digest(token)] = user
    end
    return users
end

local function verify_jwt(jwt)
    local taken = {}
    for name, value in pairs(jwt) do
        taken[name] = value
    end
    taken.key = nil
    return function(token)
        return httpd.jwt.verify(token, jwt.key, taken)
    end
end

-- True where each of the wanted scopes stands in `user.scope`.
local function has_scope(user, wanted)
    local scope = type(user) == 'table' and user.scope
    if type(scope) ~= 'string' then
        return false
    end
    scope = ' ' .. scope .. ' '
    for name in wanted:gmatch('%S+') do
        if not scope:find(' ' .. name .. ' ', 1, true) then
            return false
        end
    end
    return true
end

-- One of: `tokens`, what is to stand in ctx.user by token; `verify(token, env)`, as that of basic; `jwt`, the arguments of
-- httpd.jwt.verify, whose claims then stand in ctx.user. `scope`: what has to stand in the `scope` of ctx.user. `realm`.
function auth.bearer(given)
    local read = options.read('bearer', given,
        {realm = 'string', tokens = 'table', verify = 'function', jwt = 'table', scope = 'string'}, {realm = 'Restricted'})
    local verify, wanted = read.verify, read.scope
    options.check(is_realm(read.realm), 'option "realm" has to be printable ASCII without quotes and backslashes')
    options.check(wanted == nil or is_realm(wanted) and wanted:find('%S'), 'option "scope" has to be names with blanks between')
    local ways = (read.tokens and 1 or 0) + (verify and 1 or 0) + (read.jwt and 1 or 0)
    options.check(ways == 1, 'bearer needs one of the options "tokens", "verify" and "jwt"')
    if read.tokens then
        local users = read_tokens(read.tokens)
        options.check(users, 'option "tokens" has to be a table of users by token, and a token has letters, digits and "-._~+/"')
        verify = function(token)
            return users[digest(token)]
        end
    elseif read.jwt then
        verify = verify_jwt(read.jwt)
        -- a wrong algorithm or key is an error now, and not with the first request
        local is_usable, message = pcall(verify, '')
        options.check(is_usable, message)
    end
    local challenge = 'Bearer realm="' .. read.realm .. '"' .. (wanted and ', scope="' .. wanted .. '"' or '')
    return function(env, header)
        local token = read_credentials(header, 'bearer', TOKEN_BYTES_MAX)
        if token == nil then
            -- RFC 6750 §3.1: who has sent nothing is told no error
            refuse(401, 'Not authorized\n', challenge)
        elseif not token then
            refuse(400, 'The token is malformed\n', challenge .. ', error="invalid_request"')
        end
        local user, message, code = verify(token, env)
        if UNAVAILABLE[code] then
            stop(message)
        elseif not user then
            httpd.log('debug', 'A token was refused:', message)
            refuse(401, 'Not authorized\n', challenge .. ', error="invalid_token"')
        elseif wanted and not has_scope(user, wanted) then
            refuse(403, 'Not allowed\n', challenge .. ', error="insufficient_scope"')
        end
        httpd.request().ctx.user = user
    end
end

return auth
