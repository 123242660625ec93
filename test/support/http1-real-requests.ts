/** Requests as browsers, command-line programs, libraries and proxies send them over HTTP/1. */

/** Makes a request of the lines of a head and of its body. */
function request(lines: string, body = ''): string {
  return `${lines.trim().split('\n').join('\r\n')}\r\n\r\n${body}`;
}

export const REAL_REQUESTS: readonly string[] = [
  // Chromium
  request(`GET /index.html?a=b HTTP/1.1
Host: localhost:8443
Connection: keep-alive
sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"
sec-ch-ua-mobile: ?0
Upgrade-Insecure-Requests: 1
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
Sec-Fetch-Site: none
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9
Cookie: a=b; c="d e"`),
  // Firefox
  request(
    `POST /form HTTP/1.1
Host: example.org
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0
Accept: */*
Content-Type: application/x-www-form-urlencoded
Content-Length: 7
Origin: https://example.org
Connection: keep-alive
Priority: u=0`,
    'a=b&c=d',
  ),
  // Safari
  request(`GET /favicon.ico HTTP/1.1
Host: example.org
Accept: image/webp,image/avif,*/*;q=0.8
User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15
If-None-Match: W/"33a64df5"
Connection: keep-alive`),
  // curl
  request('GET / HTTP/1.1\nHost: localhost\nUser-Agent: curl/8.5.0\nAccept: */*'),
  request('HEAD /x HTTP/1.1\nHost: localhost:8080\nUser-Agent: curl/8.5.0\nAccept: */*'),
  request(
    'PUT /f HTTP/1.1\nHost: localhost\nUser-Agent: curl/8.5.0\nAccept: */*\nContent-Length: 5\nExpect: 100-continue',
    'hello',
  ),
  request(
    'POST /f HTTP/1.1\nHost: localhost\nUser-Agent: curl/8.5.0\nTransfer-Encoding: chunked\nExpect: 100-continue',
    '5\r\nhello\r\n0\r\n\r\n',
  ),
  request(
    'GET / HTTP/1.1\nHost: localhost\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA',
  ),
  // wget, ab, Python, Go, a Java program
  request('GET /a HTTP/1.1\nHost: localhost\nUser-Agent: Wget/1.21\nAccept: */*\nAccept-Encoding: identity'),
  request(
    'GET / HTTP/1.0\nConnection: Keep-Alive\nHost: localhost\nUser-Agent: ApacheBench/2.3\nAccept: */*',
  ),
  request('GET / HTTP/1.0\nHost: localhost\nUser-Agent: ApacheBench/2.3\nAccept: */*'),
  request(
    'POST /json HTTP/1.1\nHost: localhost\nUser-Agent: python-requests/2.31\nAccept-Encoding: gzip\nContent-Length: 9\nContent-Type: application/json',
    '{"a": 12}',
  ),
  request(
    'POST / HTTP/1.1\nHost: localhost\nUser-Agent: Go-http-client/1.1\nTransfer-Encoding: chunked\nTrailer: X-Sum\nAccept-Encoding: gzip',
    '6\r\nabcdef\r\n3\r\nghi\r\n0\r\nX-Sum: 1\r\n\r\n',
  ),
  request(
    'DELETE /x/1 HTTP/1.1\nhost: localhost\ncontent-length: 0\nconnection: close\nuser-agent: Java-http',
  ),
  // proxies: nginx uses HTTP/1.0, others send the absolute form
  request(
    'POST /up HTTP/1.0\nHost: backend\nX-Real-IP: 10.0.0.1\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\nX-Forwarded-Proto: https\nConnection: close\nContent-Length: 4',
    'data',
  ),
  request(
    'GET http://backend:80/a/b?c HTTP/1.1\nHost: backend:80\nVia: 1.1 proxy\nProxy-Connection: Keep-Alive',
  ),
  request('OPTIONS * HTTP/1.1\nHost: backend\nMax-Forwards: 0\nConnection: keep-alive, TE\nTE: trailers'),
  // WebSocket, CORS, an upload in parts, WebDAV
  request(
    'GET /ws HTTP/1.1\nHost: localhost\nUpgrade: websocket\nConnection: keep-alive, Upgrade\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\nSec-WebSocket-Version: 13',
  ),
  request(
    'OPTIONS /api HTTP/1.1\nHost: localhost\nOrigin: null\nAccess-Control-Request-Method: PUT\nAccess-Control-Request-Headers: x-a,x-b',
  ),
  request(
    'POST /m HTTP/1.1\nHost: localhost\nContent-Type: multipart/form-data; boundary=xx\nContent-Length: 69',
    '--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n\r\n\r\n--xx--\r\n\r\n\r\n',
  ),
  request(
    'PROPFIND /dav/ HTTP/1.1\nHost: localhost\nDepth: 1\nContent-Type: text/xml\nContent-Length: 4',
    '<a/>',
  ),
  // several requests one after another
  request('GET /1 HTTP/1.1\nHost: a') +
    request('GET /2 HTTP/1.1\nHost: a') +
    request('GET /3 HTTP/1.1\nHost: b'),
  request('POST /1 HTTP/1.1\nHost: a\nContent-Length: 3', 'abc') +
    request('POST /2 HTTP/1.1\nHost: a\nTransfer-Encoding: chunked', '1;x=y\r\na\r\n0\r\n\r\n') +
    request('GET /3 HTTP/1.1\nHost: a\nConnection: close'),
];
