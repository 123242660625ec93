-- What lgateway serves as a luars script in the bench: curl --http2 -k https://127.0.0.1:PORT/bench/luars-hello
function handle_request(method, path, body)
    return 200, 'text/plain', '{{BODY}}'
end
