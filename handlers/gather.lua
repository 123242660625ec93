-- Asks three pages of this gateway at the same time and answers with what came back, as JSON.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/gather/json
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

-- None of them asks this script again.
local PATHS = {"/hello", "/counter", "/environment"}
-- Seconds for all of it.
local TIMEOUT = 5

-- This gateway, as the machine it runs on reaches it.
local function here(env)
    local address = env.SERVER_ADDR
    if address:find(":", 1, true) then
        address = "[" .. address .. "]"
    end
    return env.SCHEME .. "://" .. address .. ":" .. env.SERVER_PORT
end

-- Fetches one page and tells its status, length and time.
local function ask(url)
    local started = httpd.now()
    -- the certificate is for the name that clients use, not for the address of this connection
    local response <close>, message = httpd.fetch(url, {timeout = TIMEOUT, tls = {verify = false}})
    if response == nil then
        return {error = message}
    end
    local body, reason = httpd.read(response, "a")
    if body == nil then
        return {error = reason}
    end
    return {status = response.status, bytes = #body, ms = math.floor((httpd.now() - started) * 1000)}
end

-- All at once: each task waits for its own answer. Returns the results by path.
local function gather(env)
    local tasks = {}
    for _, path in ipairs(PATHS) do
        tasks[path] = httpd.spawn(ask, here(env) .. path)
    end
    local results = {}
    for _, path in ipairs(PATHS) do
        local _, ok, result = httpd.wait(tasks[path])
        results[path] = ok and result or {error = tostring(result)}
    end
    return results
end

httpd.register_handler("/json", function(env)
    local results = gather(env)
    page.head("200", "application/json")
    httpd.write(nil, httpd.json.encode(results) .. "\n")
end)

httpd.register_handler("/", function(env, header)
    local results = gather(env)
    local rows = {}
    for i, path in ipairs(PATHS) do
        local result = results[path]
        local text = result.error or (result.status .. ", " .. result.bytes .. " bytes, " .. result.ms .. " ms")
        rows[i] = '<tr><td class="mono">' .. page.escape(path) .. '</td><td>' .. page.escape(text) .. '</td></tr>'
    end
    page.inner("Gather",
        'A handler spawns a task for each page it asks for, and waits for all of them: three requests, the time of one.',
        '<section class="sheet"><div class="scroll"><table>' .. table.concat(rows) .. '</table></div>'
        .. '<pre>curl -k ' .. page.escape(page.origin(env, header) .. page.link(env, "/json")) .. '</pre></section>')
end)
