-- Sessions: what a client is remembered by, in a sealed cookie or in a shared dictionary.
--
--     local sessions = require 'lgateway.session'.new {keys = {assert(os.getenv 'SESSION_KEY')}}
--     httpd.register_handler('/login', function(env, header)
--         local session = sessions:open(header)
--         session.data.user = 'ann'
--         session:renew()
--         httpd.header {[':status'] = 200, ['set-cookie'] = session:save()}
--     end)
local httpd = require 'httpd'

local Session = {}
Session.__index = Session
local Sessions = {}
Sessions.__index = Sessions

-- Bytes of a secret, and of an id.
local SECRET_BYTES_MIN = 32
local ID_BYTES = 18
-- Keys that are tried: each costs an attempt to open the cookie.
local KEYS_MAX = 8
-- Bytes of what a session holds: a cookie has room for some 2.9 KiB, a dictionary for more.
local COOKIE_DATA_BYTES_MAX = 2800
local SHARED_DATA_BYTES_MAX = 64 * 1024

local DEFAULTS = {
    name = '__Host-session', store = 'cookie', dictionary = 'sessions', idle = 1800, absolute = 43200, path = '/', samesite = 'Lax',
}
local KINDS = {
    keys = 'table', name = 'string', store = 'string', dictionary = 'string', idle = 'number', absolute = 'number', path = 'string',
    samesite = 'string', domain = 'string', secure = 'boolean',
}

local function wrong(message)
    error(message, 3)
end

-- The secrets as keys of seals: the first makes new seals, all of them open old ones.
local function derive_keys(secrets)
    if type(secrets) ~= 'table' or #secrets < 1 or #secrets > KEYS_MAX then
        wrong('option "keys" is a list of 1 to ' .. KEYS_MAX .. ' secrets')
    end
    local keys = {}
    for i, secret in ipairs(secrets) do
        if type(secret) ~= 'string' or #secret < SECRET_BYTES_MIN then
            wrong('secret ' .. i .. ' of the option "keys" has to be a string of ' .. SECRET_BYTES_MIN .. ' bytes or more')
        end
        keys[i] = httpd.crypto.hmac('sha256', secret, 'lgateway session')
    end
    return keys
end

-- new{keys, name, store, dictionary, idle, absolute, path, domain, samesite, secure}: `store` is "cookie" or "shared".
local function new(options)
    local made = {}
    for name, value in pairs(DEFAULTS) do
        made[name] = value
    end
    for name, value in pairs(options or {}) do
        if type(value) ~= (KINDS[name] or 'nothing') then
            wrong('session has no option "' .. tostring(name) .. '" of the type ' .. type(value))
        end
        made[name] = value
    end
    if made.store ~= 'cookie' and made.store ~= 'shared' then
        wrong('option "store" is "cookie" or "shared"')
    end
    if not (made.idle > 0 and made.absolute > 0) then
        wrong('options "idle" and "absolute" are seconds above 0')
    end
    made.keys = derive_keys(made.keys)
    if made.store == 'shared' then
        made.entries = assert(httpd.shared(made.dictionary))
    end
    -- raises here, and not with the first session, where the options do not fit together
    httpd.cookie(made.name, '', {path = made.path, domain = made.domain, samesite = made.samesite, secure = made.secure})
    return setmetatable(made, Sessions)
end

-- Times are whole milliseconds since 1970.
local function time()
    return math.floor(httpd.now() * 1000)
end

local function random_id()
    return httpd.encode('base64url', httpd.crypto.random(ID_BYTES))
end

-- What the sealed text says, when it is ours and not too old.
local function read(sessions, sealed)
    local bytes = httpd.decode('base64url', sealed)
    if not bytes then
        return nil
    end
    for _, key in ipairs(sessions.keys) do
        -- the name of the cookie is bound to it, so that no other cookie with the same keys can take its place
        local text = httpd.crypto.open(key, bytes, sessions.name)
        if text then
            return httpd.json.decode(text)
        end
    end
    return nil
end

local function is_record(record)
    return type(record) == 'table' and math.type(record.created) == 'integer' and math.type(record.seen) == 'integer'
        and type(record.id) == 'string' and type(record.data) == 'table'
end

-- A table of names: that of a cookie stands in it, that of a dictionary beside the id. Or nil, and why there is none.
local function find(sessions, cookie, now)
    if not cookie then
        return nil, 'absent'
    end
    local record = read(sessions, cookie)
    if record and sessions.entries and type(record.id) == 'string' then
        local text, message, code = sessions.entries:get(record.id)
        if not text and message then
            return nil, 'unavailable', message, code
        end
        if not text then
            -- the dictionary forgets what is over, and what was destroyed or renewed
            return nil, 'expired'
        end
        record = httpd.json.decode(text)
    end
    if not is_record(record) then
        return nil, 'invalid'
    end
    if now < record.created + sessions.absolute * 1000 and now < record.seen + sessions.idle * 1000 then
        return record
    end
    return nil, 'expired'
end

-- The session of the request whose header is given (the one that runs now without it): what it was, or a new one and why it is new:
-- "absent" (no cookie), "invalid" (none of our cookies, or a changed one), "expired", "unavailable" (its store does not answer: what it is
-- cannot be known now, and `save` does not put another in its place).
function Sessions:open(header)
    local cookies = httpd.cookies(header)
    local now = time()
    local record, why, message, code = find(self, cookies and cookies[self.name], now)
    local session = {sessions = self, is_new = record == nil, failure = message, code = code}
    if record then
        session.id, session.created, session.data = record.id, record.created, record.data
    else
        session.id, session.created, session.data = random_id(), now, {}
    end
    return setmetatable(session, Session), why
end

-- A new id for the same data, and a new life: at login and logout, so that an id somebody knew before is worth nothing.
function Session:renew()
    local entries = self.sessions.entries
    if entries then
        entries:delete(self.id)
    end
    self.id, self.created = random_id(), time()
    -- whoever logs in anew gets a session of its own
    self.failure = nil
end

local function cookie_options(sessions, max_age)
    return {
        path = sessions.path, domain = sessions.domain, samesite = sessions.samesite, secure = sessions.secure, max_age = max_age,
    }
end

-- Stores the session; the value of `set-cookie` that the answer needs, or nil, message, code.
function Session:save()
    local sessions = self.sessions
    if self.failure then
        return nil, self.failure, self.code
    end
    local now = time()
    local record = {id = self.id, created = self.created, seen = now, data = self.data}
    local left = math.min(sessions.idle, (self.created - now) / 1000 + sessions.absolute)
    if left <= 0 then
        return self:destroy()
    end
    local text = httpd.json.encode(record)
    local limit = sessions.entries and SHARED_DATA_BYTES_MAX or COOKIE_DATA_BYTES_MAX
    if #text > limit then
        return nil, 'Cannot save the session: it has ' .. #text .. ' bytes and the limit is ' .. limit, 'limit'
    end
    if sessions.entries then
        local stored, message, code = sessions.entries:set(self.id, text, left)
        if not stored then
            return nil, message, code
        end
        text = httpd.json.encode {id = self.id}
    end
    local sealed = httpd.encode('base64url', httpd.crypto.seal(sessions.keys[1], text, sessions.name))
    return httpd.cookie(sessions.name, sealed, cookie_options(sessions, math.ceil(left)))
end

-- Forgets the session; the value of `set-cookie` that takes the cookie away.
function Session:destroy()
    local sessions = self.sessions
    if sessions.entries then
        sessions.entries:delete(self.id)
    end
    self.id, self.created, self.data, self.is_new = random_id(), time(), {}, true
    return httpd.cookie(sessions.name, '', cookie_options(sessions, 0))
end

return {new = new}
