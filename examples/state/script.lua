-- Shows that a script's variables live as long as its worker: a counter, one for each worker.
-- curl --cacert certs/development/certificate.pem "https://localhost:8443/state?[1-3]"
local httpd = require 'httpd'

local count = 0

httpd.register_handler('/state', function(env)
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, 'worker ' .. env.WORKER_ID .. ' count ' .. count .. '\n')
    count = count + 1
end)
