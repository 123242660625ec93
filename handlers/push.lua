-- Promises a style and a picture before the browser has read that it needs them (HTTP/2 server push).
-- nghttp -v https://localhost:8443/push
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

local PICTURE = [[
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 200">
<rect width="640" height="200" rx="16" fill="#1b1f6b"/>
<g fill="none" stroke="#98a0ff" stroke-width="3" stroke-linecap="round"><path d="M90 60h450M90 100h450M90 140h450"/></g>
<g fill="#fff"><circle cx="90" cy="60" r="9"/><circle cx="550" cy="60" r="9"/></g>
<g fill="#c9ccff"><circle cx="550" cy="100" r="9"/><circle cx="550" cy="140" r="9"/></g>
<g fill="#dfe2ff" font-family="system-ui, sans-serif" font-size="17"><text x="112" y="50">GET /push</text>
<text x="112" y="90">promised: the style</text><text x="112" y="130">promised: the picture</text></g>
</svg>
]]

local function promise(env, header, name)
    httpd.header{
        [":method"] = "GET",
        [":scheme"] = env.SCHEME,
        [":authority"] = header.host,
        [":path"] = page.link(env, name),
    }
end

httpd.register_handler("/", function(env, header)
    promise(env, header, "/style.css")
    promise(env, header, "/picture.svg")
    local how
    if env.PUSH_PROMISE then
        how = "Your client takes pushes: the style and the picture came without being asked for."
    else
        how = "Your client takes no pushes, as is usual for browsers today. The same two promises became one 103 Early "
            .. "Hints answer, which told it what to fetch while the page was being made."
    end
    if not page.wants_html(header) then
        page.text("200", how .. "\n")
        return
    end
    local origin = page.origin(env, header)
    page.inner("Server push", page.escape(how),
        '<section class="sheet"><h2>See it happen</h2><pre>nghttp -v ' .. page.escape(origin .. page.link(env, "/"))
        .. '</pre><p class="soft">nghttp shows two PUSH_PROMISE frames, and the two answers, on streams with even numbers.'
        .. '</p></section>\n<section class="sheet"><h2>What was promised</h2><p><a href="'
        .. page.escape(page.link(env, "/style.css")) .. '">style.css</a> and <a href="'
        .. page.escape(page.link(env, "/picture.svg")) .. '">picture.svg</a></p></section>')
end)

httpd.register_handler("/style.css", function()
    page.head("200", "text/css; charset=utf-8", {["cache-control"] = "max-age=60"})
    httpd.write(nil, "body { background: #1b1f6b; }\n")
end)

httpd.register_handler("/picture.svg", function()
    page.head("200", "image/svg+xml", {["cache-control"] = "max-age=60"})
    httpd.write(nil, PICTURE)
end)
