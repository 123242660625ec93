-- Shows the environment and the head of a request as an HTML page, with everything the client chose escaped.
-- curl --cacert certs/development/certificate.pem "https://localhost:8443/environment?a=1&b=two+words"
local httpd = require 'httpd'

local function row(name, value)
    return '<tr><td>' .. httpd.encode('html', name) .. '</td><td>' .. httpd.encode('html', tostring(value)) .. '</td></tr>\n'
end

local function write_table(title, list)
    local names = {}
    for name in pairs(list) do
        names[#names + 1] = name
    end
    table.sort(names)
    httpd.write(nil, '<h2>' .. title .. '</h2>\n<table>\n')
    for _, name in ipairs(names) do
        httpd.write(nil, row(name, list[name]))
    end
    httpd.write(nil, '</table>\n')
end

httpd.register_handler('/environment', function(env, header)
    -- "invalid": the query has an escape such as %zz
    local query, message = httpd.query(env)
    if query == nil then
        httpd.header{[':status'] = 400, ['content-type'] = 'text/plain'}
        httpd.write(nil, message .. '\n')
        return
    end
    httpd.header{[':status'] = 200, ['content-type'] = 'text/html; charset=utf-8'}
    httpd.write(nil, '<!DOCTYPE html>\n<title>Environment</title>\n')
    write_table('Environment', env)
    write_table('Head', header)
    write_table('Query', query)
end)
