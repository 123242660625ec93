/**
 * Clients of other projects over HTTP/1.1: wget, Python's http.client and requests, ab, wrk, h2load, and Chromium without
 * HTTP/2.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Browser } from '../support/browser.ts';
import { runSuccessfully as run } from '../support/run-program.ts';
import { sha256 } from '../support/sha256.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local line = string.rep('0123456789abcdef', 1024)
httpd.register_handler('/hello', function(env)
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, 'hello over ' .. env.SERVER_PROTOCOL)
end)
httpd.register_handler('/large', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'application/octet-stream'}
    for _ = 1, 200 do httpd.write(nil, line) end
end)
httpd.register_handler('/hash', function(env)
    local body = httpd.read(nil, 'a') or ''
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, httpd.crypto.hash('sha256', body, 'hex'))
end)
httpd.register_handler('/image', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'image/svg+xml', ['cache-control'] = 'no-store'}
    httpd.write(nil, '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>')
end)
httpd.register_handler('/page', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/html'}
    httpd.write(nil, '<!DOCTYPE html><title>images</title><link rel="icon" href="data:,">')
    for i = 1, 60 do httpd.write(nil, ('<img src="/image?%d">'):format(i)) end
end)`;
const LARGE = Buffer.from('0123456789abcdef'.repeat(1024 * 200));
const BODY = randomBytes(1_000_000);

let gateway: TestGateway;
let bodyFile: string;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { workers: 1 });
  bodyFile = gateway.folder.file('body.bin');
  writeFileSync(bodyFile, BODY);
});
after(() => gateway.stop());

test('wget downloads and uploads unchanged', async () => {
  const words = ['-q', '-O', '-', '--ca-certificate', gateway.folder.certificate];
  const { stdout } = await run('wget', ...words, `${gateway.url}/large`);
  assert.equal(sha256(stdout), sha256(LARGE));
  const answer = await run('wget', ...words, `--post-file=${bodyFile}`, `${gateway.url}/hash`);
  assert.equal(answer.text, sha256(BODY));
});

const HTTP_CLIENT = `
import hashlib, http.client, ssl, sys
host, port, ca, name = sys.argv[1:]
body = open(name, 'rb').read()
connection = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=ca))
connection.request('GET', '/hello')
assert connection.getresponse().read() == b'hello over HTTP/1.1'
first = connection.sock.getsockname()
for _ in range(20):
    connection.request('POST', '/hash', body=body)
    response = connection.getresponse()
    assert response.read().decode() == hashlib.sha256(body).hexdigest()
pieces = (body[at:at + 10007] for at in range(0, len(body), 10007))
connection.request('POST', '/hash', body=pieces, encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
assert connection.getresponse().read().decode() == hashlib.sha256(body).hexdigest()
connection.request('HEAD', '/hello')
response = connection.getresponse()
assert response.status == 200 and response.getheader('content-length') == '19' and response.read() == b''
assert connection.sock.getsockname() == first
print('done')`;

test("Python's http.client keeps its connection over requests of every kind", async () => {
  const words = ['-c', HTTP_CLIENT, 'localhost', String(gateway.port), gateway.folder.certificate, bodyFile];
  assert.equal((await run('/usr/bin/python3', ...words)).text, 'done\n');
});

const REQUESTS = `
import hashlib, requests, sys
base, ca, name = sys.argv[1:]
with requests.Session() as session:
    session.verify = ca
    session.trust_env = False
    assert session.get(base + '/hello').text == 'hello over HTTP/1.1'
    with open(name, 'rb') as body:
        assert session.post(base + '/hash', data=body).text == hashlib.sha256(open(name, 'rb').read()).hexdigest()
    assert session.post(base + '/hash', data=iter([b'a', b'bc'])).text == hashlib.sha256(b'abc').hexdigest()
    with session.get(base + '/large', stream=True) as response:
        print(hashlib.sha256(b''.join(response.iter_content(4093))).hexdigest())`;

test("Python's requests sends files and generators, and reads as it comes", async () => {
  const words = ['-c', REQUESTS, gateway.url, gateway.folder.certificate, bodyFile];
  assert.equal((await run('/usr/bin/python3', ...words)).text.trim(), sha256(LARGE));
});

test('ab asks 2,000 times over 50 connections that are kept', async () => {
  const { text } = await run('ab', '-k', '-q', '-n', '2000', '-c', '50', `${gateway.url}/hello`);
  assert.match(text, /Complete requests: +2000\n/);
  assert.match(text, /Failed requests: +0\n/);
  assert.match(text, /Keep-Alive requests: +2000\n/);
});

test('wrk asks for a second, eight requests of a pipeline at once', async () => {
  const script = gateway.folder.file('pipeline.lua');
  writeFileSync(
    script,
    `init = function(args)
  local requests = {}
  for i = 1, 8 do requests[i] = wrk.format('GET', '/hello?' .. i) end
  batch = table.concat(requests)
end
request = function() return batch end`,
  );
  const { text } = await run('wrk', '-t', '1', '-c', '10', '-d', '1', '-s', script, gateway.url);
  assert.match(text, /(\d+) requests in /);
  assert.doesNotMatch(text, /Non-2xx|Socket errors/);
});

test('h2load --h1 gets all answers of a pipeline', async () => {
  const { text } = await run('h2load', '--h1', '-c', '5', '-m', '14', '-n', '3000', `${gateway.url}/hello`);
  assert.match(text, /3000 succeeded, 0 failed, 0 errored, 0 timeout/);
});

test('Chromium without HTTP/2 shows images, uploads, and leaves an answer before its end', async () => {
  const browser = await new Browser(['--disable-http2']).start();
  try {
    await browser.open(`${gateway.url}/page`);
    const shown = '[...document.images].filter((image) => image.naturalWidth === 4).length';
    assert.equal(await browser.evaluate(shown), 60);
    assert.deepEqual(
      await browser.evaluate(`[...new Set(performance.getEntriesByType('resource')
        .filter(({ name }) => name.includes('/image')).map(({ nextHopProtocol }) => nextHopProtocol))]`),
      ['http/1.1'],
    );
    const sent = new Uint8Array(500_000).map((_, i) => i * 7);
    assert.equal(
      await browser.evaluate(`fetch('/hash', {
        method: 'POST', body: new Uint8Array(500_000).map((_, i) => i * 7),
      }).then((response) => response.text())`),
      sha256(sent),
    );
    await browser.evaluate(`(async () => {
      const gone = new AbortController();
      const response = await fetch('/large', { signal: gone.signal });
      await response.body.getReader().read();
      gone.abort();
    })()`);
    assert.equal(
      await browser.evaluate(`fetch('/hello').then((response) => response.text())`),
      'hello over HTTP/1.1',
    );
    assert.deepEqual(browser.complaints, []);
  } finally {
    await browser.stop();
  }
  await gateway.untilIdle();
});
