-- Shows a script in the shape of luars' HTTP server: one function for all paths, and functions that look blocking.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/

function handle_request(method, path, body)
    if path == '/' then
        return 200, 'text/plain', 'Hello from luars!'
    elseif path == '/time' then
        return 200, 'text/plain', os.date('%Y-%m-%d %H:%M:%S')
    elseif path == '/echo' and method == 'POST' then
        return 200, 'text/plain', body
    elseif path == '/sleep' then
        sleep(1)
        return 200, 'text/plain', 'Slept for 1 second'
    elseif path == '/fetch' then
        local answer, message = http_get('http://httpbin.org/get')
        if not answer then
            return 502, 'text/plain', message
        end
        return 200, 'application/json', answer
    end
    return 404, 'text/plain', 'Not Found'
end
