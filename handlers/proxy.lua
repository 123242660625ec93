-- A reverse proxy with health: requests go to the backends that say they are well, and to no other.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/proxy/app/hello
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

-- Two backends are handlers of this script (below), so that it needs nothing else; the third is a port where nobody listens.
local BACKENDS = {"one", "two", "three"}
local NOBODY = "http://127.0.0.1:1"
-- The gateway itself asks each backend for its path and `/health`, every second, by one worker for all. Two answers other than 200 in a row
-- take a backend out, one that is 200 brings it back. So do requests that fail (docs/proxy.md).
local CHECKS = {path = "/health", interval = 1, timeout = 2, status = 200, fall = 2, rise = 1}
-- Seconds until the answer has begun, however many backends are tried.
local TIMEOUT = 10
-- The certificate of this gateway is for the name that clients use. Other backends are verified: leave this out.
local TLS = {verify = false}

-- Which backends are about to leave, and how many requests each has answered.
local marks = assert(httpd.shared("proxy-marks"))

-- Pages of other sites take no backend out.
httpd.hook("request", require 'lgateway.csrf'.check())

-- The address of a backend. A program of its own has a table of addresses.
local function target(env, name)
    if name == "three" then
        return NOBODY
    end
    local address = env.SERVER_ADDR:find(":", 1, true) and "[" .. env.SERVER_ADDR .. "]" or env.SERVER_ADDR
    return env.SCHEME .. "://" .. address .. ":" .. env.SERVER_PORT .. page.link(env, "/backend/" .. name)
end

-- The proxy: of two backends by chance, the one with fewer requests under way. Where a backend gives no connection, another one is tried.
httpd.register_handler("/app/{rest...}", function(env)
    local targets = {}
    for i, name in ipairs(BACKENDS) do
        targets[i] = target(env, name)
    end
    local status, message, code = httpd.proxy(targets, {timeout = TIMEOUT, retries = #targets - 1, tls = TLS, health = CHECKS})
    if not status then
        httpd.log("warn", message)
        local status_of = {timeout = "504", limit = "503"}
        page.text(status_of[code] or "502", "No backend answers\n")
    end
end)

-- A backend: it says how it is, and answers with its name.
httpd.register_handler("/backend/{name}/{rest...}", function(env, _, params)
    local name = params.name
    if params.rest == "health" then
        local leaves = marks:get("leaves " .. name)
        return page.text(leaves and "503" or "200", leaves and "Leaving\n" or "Well\n")
    end
    marks:incr("answered " .. name, 1, 0)
    page.text("200", "Backend " .. name .. " in worker " .. env.WORKER_ID .. ": " .. env.REQUEST_METHOD .. " /" .. params.rest .. "\n")
end)

local SCRIPT = [[
const [rows, state] = ['rows', 'state'].map((id) => document.getElementById(id));
async function refresh() {
    const response = await fetch(rows.dataset.health);
    for (const { name, well, state, answered } of await response.json()) {
        const [, health, count] = document.getElementById(name).children;
        health.textContent = (well ? '✓ ' : '✗ ') + state;
        health.className = 'grow ' + (well ? 'good' : 'bad');
        count.textContent = answered + ' answered';
    }
}
document.getElementById('ask').addEventListener('click', async ({ target }) => {
    const response = await fetch(target.dataset.app);
    state.textContent = response.status + ': ' + await response.text();
    await refresh();
});
async function follow() {
    await refresh().catch((error) => { state.textContent = error.message; });
    setTimeout(follow, 1000);
}
follow();
]]

-- What is known of each backend, in their order. Checks begin with the first request that is passed on.
local function known(env)
    local servers = {}
    for _, server in ipairs(httpd.upstreams()) do
        servers[server.name] = server
    end
    local list = {}
    for i, name in ipairs(BACKENDS) do
        local server = servers[target(env, name)]
        list[i] = {
            name = name, well = server ~= nil and server.healthy, answered = marks:get("answered " .. name) or 0,
            state = server and ("%d of %d checks failed"):format(server.failed_checks, server.checks) or "not asked yet",
            leaves = marks:get("leaves " .. name) or false,
        }
    end
    return list
end

httpd.register_handler("/health", function(env)
    page.head("200", "application/json")
    httpd.write(nil, httpd.json.encode(known(env)) .. "\n")
end, {methods = {"GET"}})

httpd.register_handler("/", function(env, header)
    local rows = {}
    for i, backend in ipairs(known(env)) do
        local words = backend.leaves and {"Bring ", " back"} or {"Take ", " out"}
        rows[i] = table.concat {
            '<li id="', backend.name, '"><b>', backend.name, '</b><span class="grow ', backend.well and 'good">✓ ' or 'bad">✗ ',
            page.escape(backend.state), '</span><span class="soft">', backend.answered, ' answered</span>',
            -- nobody can start what is not there
            backend.name == "three" and '' or
            '<button class="small" name="backend" value="' .. backend.name .. '">' .. words[1] .. backend.name .. words[2] .. '</button>',
            '</li>',
        }
    end
    local app = page.link(env, "/app/hello")
    page.inner("Reverse proxy", "Requests go to the backends that are well. One that leaves, or does not answer, gets none.",
        table.concat {
            '<section class="sheet"><h2>Backends</h2><form method="post"><ul class="rows" id="rows" data-health="',
            page.escape(page.link(env, "/health")), '">', table.concat(rows), '</ul></form></section>\n',
            '<section class="sheet"><h2>Ask through the proxy</h2><p class="buttons"><button class="button" id="ask" data-app="',
            page.escape(app), '">Ask</button></p><p class="mono" id="state" role="status">&nbsp;</p>',
            '<pre>curl -k ', page.escape(page.origin(env, header) .. app), '</pre></section>',
        }, {script = SCRIPT})
end, {methods = {"GET"}})

-- A backend that leaves says so when it is checked, and answers what still comes: nobody sees an error.
httpd.register_handler("/", function(env)
    local form, message = httpd.form{size = 1024}
    local key = form and (form.backend == "one" or form.backend == "two") and "leaves " .. form.backend
    if not key then
        return page.text("422", (message or "The form has to have backend=one or backend=two") .. "\n")
    end
    marks:set(key, not marks:get(key) or nil)
    httpd.redirect(page.link(env, "/"), 303)
end, {methods = {"POST"}})
