-- Shows server push: a page that promises its script and two pictures before it is sent itself.
-- nghttp -v https://localhost:8443/push
local httpd = require 'httpd'

local function promise(header, path)
    httpd.header{
        [':method'] = 'GET',
        [':scheme'] = 'https',
        [':authority'] = header[':authority'],
        [':path'] = path,
    }
end

httpd.register_handler('/push', function(env, header)
    -- absent where the client or its protocol has no push; then each promise would become a preload link instead
    if env["PUSH_PROMISE"] then
        promise(header, '/js')
        promise(header, '/p1')
        promise(header, '/p2')
    end
    httpd.header{[':status'] = '200', ['content-type'] = 'text/html'}
    httpd.write(nil, '<!DOCTYPE html>\n<title>Push</title>\n<script src="/js"></script>\n')
    httpd.write(nil, '<img src="/p1" alt="one"><img src="/p2" alt="two">\n')
end)

httpd.register_handler('/js', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/javascript'}
    httpd.write(nil, 'console.log("pushed");\n')
end)

local function picture(color)
    return function()
        httpd.header{[':status'] = '200', ['content-type'] = 'image/svg+xml'}
        httpd.write(nil, '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
            .. '<circle cx="20" cy="20" r="18" fill="' .. color .. '"/></svg>\n')
    end
end

httpd.register_handler('/p1', picture('navy'))
httpd.register_handler('/p2', picture('teal'))
