-- In the manner of lhttpd's state.lua: a counter that lives as long as its worker.
-- npm start -- -l / examples/lhttpd/state.lua
-- curl --cacert certs/development/certificate.pem https://localhost:8443/state
httpd = require 'httpd'

local counter = 0

httpd.register_handler('/state', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/html'}
    httpd.write(nil, 'counter: ' .. counter)
    counter = counter + 1
end)
