-- The first page: what this gateway is, how you reached it, and what the other handlers show.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

-- Path, sign, title, explanation, the words of curl that come before the address, and the rest of the path for them.
local FEATURES = {
    {"/hello", "→", "Hello", "The smallest handler there is: one function that writes one line, and greets you by name.",
        "curl", "?name=Ada"},
    {"/environment", "≡", "Environment", "Everything a script is told about a request: two tables, listed.", "curl", ""},
    {"/upload", "↑", "Upload", "Drop a file: it streams to disk while it arrives, and its size and SHA-256 come back.",
        "curl -T photo.jpg", "?name=photo.jpg"},
    {"/push", "»", "Server push", "A page that promises its style and picture before anybody has asked for them.",
        "nghttp -v", ""},
    {"/clock", "◷", "Clock", "One answer that never ends: a line each second, while a coroutine waits, not a thread.",
        "curl -N", "/stream"},
    {"/counter", "#", "Counter", "A plain Lua variable lives as long as its worker. Each worker thread counts for itself.",
        "curl", ""},
    {"/shared", "∑", "Shared", "One count for all workers, in shared memory, and a timer that runs in one of them.",
        "curl", "/json"},
    {"/gather", "⇉", "Gather", "Three fetches at the same time, each in a task of its own, and their results as JSON.",
        "curl", "/json"},
}

local PROGRAMS = {
    {"/form", "▤", "Form with files", "A multipart form: each file streams to disk while it arrives, within limits that are told.",
        "curl -F title=Holiday -F file=@photo.jpg", ""},
    {"/login", "✓", "Login", "A session in all workers, passwords kept as hashes, forms that no other site can send.",
        "curl", ""},
    {"/api", "{}", "JSON API", "Routes with parameters, methods, validation with clear errors, and a list page by page.",
        "curl", "/notes?limit=5"},
    {"/webhook", "⚑", "Webhook", "Signed deliveries as GitHub sends them: compared in constant time, and taken once.",
        "curl -d unsigned", ""},
    {"/chat", "✎", "Chat", "A room over WebSocket: what one says goes to everybody, in all workers, and nothing is missed.",
        "curl -d name=Ada -d text=Hello", ""},
    {"/dashboard", "◔", "Dashboard", "Live events, in all workers at once. A browser that comes back takes up where it was.",
        "curl -N", "/stream"},
    {"/proxy", "⇄", "Reverse proxy", "Requests go to backends that are well; their health is checked once for all workers.",
        "curl", "/app/hello"},
    {"/site", "▦", "Static site", "A folder of files with an index, a style sheet and an error page. No Lua runs.",
        "curl -i", "/"},
}

local FIRST_SCRIPT = [[
local httpd = require 'httpd'

httpd.register_handler('/bar', function(env, header)
    httpd.header{[':status'] = '200',
                 ['content-type'] = 'text/plain'}
    for k, v in pairs(env) do
        httpd.write(nil, k .. ' ' .. v .. '\n')
    end
end)]]

-- Chips that say how the request came in.
local function facts(env)
    local items = {
        "<b>" .. page.escape(env.SERVER_PROTOCOL) .. "</b>",
        "worker <b>" .. env.WORKER_ID .. "</b>",
    }
    if env.TLS_PROTOCOL then
        table.insert(items, 2, "<b>" .. page.escape(env.TLS_PROTOCOL) .. "</b>"
            .. (env.TLS_CIPHER and " · " .. page.escape(env.TLS_CIPHER) or ""))
    end
    return '<ul class="facts"><li>' .. table.concat(items, "</li><li>") .. "</li></ul>"
end

local function card(demo, origin, level)
    local path, sign, title, text, command, rest = table.unpack(demo)
    -- a development certificate is nobody's business but this machine's, and curl has to be told so
    local trust = command:match("^curl") and " -k" or ""
    local quote = rest:find("?", 1, true) and "'" or ""
    return table.concat {
        '<article class="card"><', level, '>',
        '<a data-sign="', sign, '" href="', path, '">', title, '</a></', level, '><p>', text, '</p><pre>',
        command, trust, ' ', page.escape(quote .. origin), '<wbr>', page.escape(path .. rest .. quote), '</pre></article>\n',
    }
end

local function cards(demos, origin, level)
    local made = {}
    for i, demo in ipairs(demos) do
        made[i] = card(demo, origin, level)
    end
    return table.concat(made)
end

httpd.register_handler("/", function(env, header)
    local origin = page.origin(env, header)
    page.html("lgateway", table.concat {
        '<header class="hero"><div class="wrap">', page.logo, '<div><h1>lgateway</h1>',
        '<p>It works. This page is a Lua script, served over TLS to you:</p></div>', facts(env),
        '</div></header>\n<main class="wrap">\n<div class="cards">\n',
        cards(FEATURES, origin, "h2"), '</div>\n',
        '<section><h2 class="group">Everyday programs</h2>\n<div class="cards after">\n',
        cards(PROGRAMS, origin, "h3"), '</div></section>\n',
        '<section class="sheet two"><div><h2>Your first script</h2><p class="soft">Save this as <code>app.lua</code>. ',
        'Strings are bytes, calls look as if they blocked, and only their own coroutine waits.</p><pre>',
        page.escape(FIRST_SCRIPT), '</pre></div><div><h2>Serve it</h2><p class="soft">',
        'The first word after <code>-l</code> is the path it answers under, the second is the script.</p>',
        '<pre>lgateway -l /app app.lua</pre><p class="soft">Then ask for it; over HTTP/2, and over HTTP/1.1:</p><pre>',
        page.escape('curl -k ' .. origin .. '/app/bar\ncurl -k --http1.1 ' .. origin .. '/app/bar'), '</pre>',
        '<p class="soft"><code>lgateway --help</code> lists the options: a certificate of your own, the port, the number ',
        'of workers, limits.</p></div></section>\n</main>\n<footer class="wrap">These pages are the scripts in the folder ',
        '<code>handlers/</code>, served when no <code>-l</code> is given. Read them; they are short.</footer>',
    })
end)
