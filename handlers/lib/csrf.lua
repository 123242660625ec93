-- Protects users who are logged in from pages of other sites that send requests in their name (CSRF): a function for
-- httpd.hook('request', ...) that answers 403 to what a browser sends from elsewhere.
--
--     httpd.hook('request', require 'lgateway.csrf'.check {origins = {'https://partner.example'}})
--
-- It looks at what browsers say of themselves and pages cannot change: Sec-Fetch-Site, and Origin for browsers from before 2023. Forms need
-- no tokens then, there is no secret and nothing to store. A cookie that is sent twice would be weaker: whoever can set cookies on a
-- sibling domain can choose it.
local httpd = require 'httpd'
local options = require 'lgateway.options'

-- Methods that change nothing (RFC 9110 §9.2.1), to which handlers have to keep.
local SAFE = {GET = true, HEAD = true, OPTIONS = true}

local csrf = {}

local function is_allowed(header, trusted)
    local origin, site = header.origin, header['sec-fetch-site']
    if origin and trusted[origin] then
        return true
    end
    if site then
        -- "none": the user has asked for it, by a bookmark, say
        return site == 'same-origin' or site == 'none'
    end
    -- neither field: no browser, so that nobody's cookies come along without being asked for. The scheme is not compared: a proxy
    -- in front may speak TLS for this gateway
    return origin == nil or header.host ~= nil and origin:match('^%a[%w+.-]*://(.+)$') == header.host
end

-- `origins`: those that may send requests all the same.
function csrf.check(given)
    local read = options.read('csrf', given or {}, {origins = 'table'}, {origins = {}})
    local trusted, message = options.read_origins(read.origins)
    options.check(trusted, message)
    return function(env, header)
        if not SAFE[env.REQUEST_METHOD] and not is_allowed(header, trusted) then
            httpd.exit(403, 'This request comes from another site\n')
        end
    end
end

return csrf
