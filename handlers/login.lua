-- Login with a session: passwords are kept as hashes, each login gets a new id, and no other site can send the forms.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/login
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

-- Who may log in. Both values of a user are in hexadecimal; for another user make them with
--     salt = httpd.crypto.random(16)   hash = httpd.crypto.kdf(password, salt)   httpd.encode("hex", …)
-- The password of ada is "correct horse battery staple".
local USERS = {
    ada = {salt = "b0a05f5591f8d3875ecf1542bf604a33", hash = "20849bec1ecfde0baf9475281077163459e5686835896b63368ff74f76be3f19"},
}
-- Stands for every unknown user, so that the answer takes as long as for a known one.
local NOBODY = {salt = ("00"):rep(16), hash = ("00"):rep(32)}

local FORM_BYTES_MAX = 4096
-- Attempts of one address in so many seconds; the right password counts, too.
local ATTEMPTS_MAX, ATTEMPTS_SECONDS = 10, 60

-- Workers share the secret that seals the cookies, and the sessions. A program of its own would take the secret from
-- os.getenv (see --allow-env), so that sessions outlive a restart.
local secrets, attempts = assert(httpd.shared("secrets")), assert(httpd.shared("attempts"))
secrets:add("login", httpd.crypto.random(32))
local sessions = require 'lgateway.session'.new{
    keys = {secrets:get("login")}, name = "__Host-login", store = "shared", dictionary = "logins", idle = 600, absolute = 8 * 3600,
}

-- True when this is the user's password, false when not; or nil and a message when too many ask at once.
local function is_password(name, password)
    local user = USERS[name] or NOBODY
    local hash, message = httpd.crypto.kdf(password, httpd.decode("hex", user.salt))
    if not hash then
        return nil, message
    end
    return httpd.crypto.equal(hash, httpd.decode("hex", user.hash)) and user ~= NOBODY
end

local LOGIN = [[
<form method="post"><label class="field">Name <input name="name" autocomplete="username" required autofocus maxlength="100"></label>
<label class="field">Password <input type="password" name="password" autocomplete="current-password" required maxlength="100"></label>
<p><button class="button">Log in</button></p></form>
<p class="soft">Try the user <code>ada</code> with the password <code>correct horse battery staple</code>.</p>]]

-- The page for somebody whom the session does not know.
local function show_login(status, notice, fields)
    page.inner("Login",
        "A session that the gateway remembers. The cookie holds its id alone, sealed, and no script of a page can read it.",
        '<section class="sheet">' .. (notice or "") .. LOGIN .. '</section>', {status = status, fields = fields})
end

local function show_user(env, session)
    local lead = "You are logged in, in all workers of this gateway, until you log out or do nothing for ten minutes."
    page.inner("Login", lead, table.concat {
        '<section class="sheet"><h2>Hello, <span id="user">', page.escape(session.data.user), '</span></h2><p>Logged in at ',
        page.escape(session.data.since), '.</p><form method="post" action="', page.escape(page.link(env, "/out")),
        '"><p><button class="button">Log out</button></p></form></section>',
    }, {fields = {["set-cookie"] = session:save()}})
end

httpd.register_handler("/", function(env, header)
    local session = sessions:open(header)
    if session.data.user then
        show_user(env, session)
    elseif (httpd.cookies(header) or {})["__Host-login"] then
        -- expired, changed, or ended elsewhere
        local notice = page.notice("bad", "Logged out", "your session is over, please log in again")
        show_login("200", notice, {["set-cookie"] = session:destroy()})
    else
        show_login()
    end
end, {methods = {"GET"}})

httpd.register_handler("/", function(env, header)
    if page.is_foreign(env, header) then
        return page.text("403", "A page of another site cannot log you in\n")
    end
    local count = attempts:incr(env.CLIENT_ADDR, 1, 0, ATTEMPTS_SECONDS)
    if not count or count > ATTEMPTS_MAX then
        local notice = page.notice("bad", "Too many attempts", "wait a minute, then try again")
        return show_login("429", notice, {["retry-after"] = ATTEMPTS_SECONDS})
    end
    local form, message, code = httpd.form{size = FORM_BYTES_MAX}
    if not form then
        return show_login(code == "limit" and "413" or "400", page.notice("bad", "Not read", message))
    elseif type(form.name) ~= "string" or type(form.password) ~= "string" then
        return show_login("400", page.notice("bad", "Not read", "the form needs one name and one password"))
    end
    local is_right, reason = is_password(form.name, form.password)
    if is_right == nil then
        return show_login("503", page.notice("bad", "Busy", reason), {["retry-after"] = 1})
    elseif not is_right then
        return show_login("403", page.notice("bad", "Not logged in", "the name or the password is wrong"))
    end
    local session = sessions:open(header)
    session:renew()
    session.data = {user = form.name, since = os.date("!%H:%M UTC")}
    httpd.redirect(page.link(env, "/"), 303, {["set-cookie"] = assert(session:save())})
end, {methods = {"POST"}})

httpd.register_handler("/out", function(env, header)
    if page.is_foreign(env, header) then
        return page.text("403", "A page of another site cannot log you out\n")
    end
    httpd.redirect(page.link(env, "/"), 303, {["set-cookie"] = sessions:open(header):destroy()})
end, {methods = {"POST"}})
