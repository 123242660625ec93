-- Counts its own requests. Every worker has a state of its own, and so a count of its own.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/counter
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

local count = 0

httpd.register_handler("/", function(env, header)
    count = count + 1
    local answer = "Worker " .. env.WORKER_ID .. ": request " .. count .. "\n"
    if not page.wants_html(header) then
        page.text("200", answer)
        return
    end
    page.inner("Counter",
        'A variable of the script, nothing more. Each worker thread has a Lua state of its own: it keeps its values from '
        .. 'request to request, and it shares them with no other worker.',
        '<section class="sheet"><div class="big">' .. count .. '</div>'
        .. '<p class="soft">requests seen by worker ' .. env.WORKER_ID .. '. A connection stays with its worker; '
        .. 'a new connection may meet another one.</p>'
        .. '<p><a class="button" href="' .. page.escape(page.link(env, "/")) .. '">Count again</a></p></section>')
end)
