-- One count for all workers, and a timer that runs in one of them: what lies in httpd.shared is seen everywhere.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/shared/json
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

-- Requests of one address that are counted; the count of an address ends after so many seconds.
local WINDOW_SECONDS = 60

local counts = assert(httpd.shared("counts"))

-- Every worker starts this timer; because of its name, one of them runs it each time.
httpd.timer(1, function()
    counts:incr("beats", 1, 0)
end, {every = 1, once = "beat"})

-- Counts this request and tells what is known.
local function count(env)
    local all, message = counts:incr("requests", 1, 0)
    if all == nil then
        return nil, message
    end
    return {
        worker = env.WORKER_ID,
        requests = all,
        yours = counts:incr("from " .. env.CLIENT_ADDR, 1, 0, WINDOW_SECONDS),
        beats = counts:get("beats") or 0,
    }
end

httpd.register_handler("/json", function(env)
    local facts, message = count(env)
    if facts == nil then
        page.text("503", message .. "\n")
        return
    end
    page.head("200", "application/json")
    httpd.write(nil, httpd.json.encode(facts) .. "\n")
end)

httpd.register_handler("/", function(env, header)
    local facts, message = count(env)
    if facts == nil then
        page.text("503", message .. "\n")
        return
    end
    page.inner("Shared",
        'Worker ' .. env.WORKER_ID .. ' answered you. These numbers are the same for all workers, and outlive a reload.',
        '<section class="sheet"><div class="big" id="requests">' .. facts.requests .. '</div>'
        .. '<p class="soft">requests so far, ' .. facts.yours .. ' of them yours in the last minute. A timer that one worker '
        .. 'runs each second has run ' .. facts.beats .. ' times.</p>'
        .. '<pre>curl -k ' .. page.escape(page.origin(env, header) .. page.link(env, "/json")) .. '</pre></section>')
end)
