-- Says hello, by name if one is given.
-- curl --cacert certs/development/certificate.pem "https://localhost:8443/hello?name=Ada"
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

local NAME_BYTES_MAX = 100

httpd.register_handler("/", function(env)
    local query, message = httpd.query(env)
    if query == nil then
        page.text("400", message .. "\n")
        return
    end
    local name = query.name
    if type(name) ~= "string" or name == "" then
        name = "world"
    end
    page.text("200", "Hello, " .. name:sub(1, NAME_BYTES_MAX) .. "!\n")
end)
