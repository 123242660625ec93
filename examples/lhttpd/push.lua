-- In the manner of lhttpd's push.lua: promises a script and three pictures, then sends the page.
-- npm start -- -l / examples/lhttpd/push.lua
-- nghttp -v https://localhost:8443/push
httpd = require 'httpd'

local function promise(head, path)
    httpd.header{
        [':method'] = 'GET',
        [':authority'] = head[':authority'],
        [':scheme'] = 'https',
        [':path'] = path,
    }
end

local function picture(name)
    return function()
        local f = io.open('/pub/webui/' .. name)
        httpd.header{[':status'] = '200', ['content-type'] = 'image/png'}
        local data = httpd.read(f, 1024)
        while data do
            httpd.write(nil, data)
            data = httpd.read(f, 1024)
        end
        if f then
            f:close()
        end
    end
end

httpd.register_handler('/push', function(env, head)
    if env["PUSH_PROMISE"] then
        promise(head, '/js')
        promise(head, '/p1')
        promise(head, '/p2')
        promise(head, '/p3')
    end
    httpd.header{[':status'] = '200', ['content-type'] = 'text/html'}
    httpd.write(nil, '<html><head><script src="/js"></script></head><body>')
    httpd.write(nil, '<img src="/p1"><img src="/p2"><img src="/p3"></body></html>')
end)

httpd.register_handler('/js', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'application/javascript'}
    httpd.write(nil, 'console.log("push");')
end)

httpd.register_handler('/p1', picture('p1.png'))
httpd.register_handler('/p2', picture('p2.png'))
httpd.register_handler('/p3', picture('p3.png'))
