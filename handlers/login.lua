-- Login with a session: passwords are kept as hashes, each login gets a new id, and no other site can send the forms.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/login
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")
local auth = require 'lgateway.auth'

-- Who may log in, with the hash of the password (scrypt), which auth.hash(password) makes. The password of ada is
-- "correct horse battery staple".
local USERS = {
    ada = "$scrypt$ln=14,r=8,p=5$sKBfVZH404dezxVCv2BKMw$IISb7B7P3guvlHUoEHcWNFnlaGg1iWtjNo/3T3a+Pxk",
}
-- Stands for every unknown user, so that the answer takes as long as for a known one. It is the hash of no password.
local NOBODY = "$scrypt$ln=14,r=8,p=5$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

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

-- Pages of other sites can neither log somebody in nor out.
httpd.hook("request", require 'lgateway.csrf'.check())

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
    local is_right, reason = auth.matches(form.password, USERS[form.name] or NOBODY)
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
    httpd.redirect(page.link(env, "/"), 303, {["set-cookie"] = sessions:open(header):destroy()})
end, {methods = {"POST"}})
