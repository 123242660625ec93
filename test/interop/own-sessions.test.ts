/** Clients of other projects and our own HTTP/2 sessions: curl, nghttp, h2load, Node, undici and Chromium. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Agent, fetch } from 'undici';
import { Browser } from '../support/browser.ts';
import { type ProgramResult, runSuccessfully as run } from '../support/run-program.ts';
import { sha256 } from '../support/sha256.ts';
import { inForm, longTest } from '../support/test-form.ts';
import { askSession, TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local kilobytes = string.rep('0123456789abcdef', 64 * 300)
local svg = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4" fill="#%06x"/></svg>'
httpd.register_handler('/hello', function(env)
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, 'hello over ' .. env.SERVER_PROTOCOL)
end)
httpd.register_handler('/large', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'application/octet-stream'}
    for _ = 1, 10 do httpd.write(nil, kilobytes) end
end)
httpd.register_handler('/hash', function()
    local parts = {}
    while true do
        local part = httpd.read(nil, 50000)
        if not part then break end
        parts[#parts + 1] = part
    end
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, httpd.crypto.hash('sha256', table.concat(parts), 'hex'))
end)
httpd.register_handler('/echo', function()
    httpd.header{[':status'] = '200'}
    while true do
        local part = httpd.read(nil, 4)
        if not part then break end
        httpd.write(nil, part)
    end
end)
httpd.register_handler('/image', function(env)
    httpd.header{[':status'] = '200', ['content-type'] = 'image/svg+xml', ['cache-control'] = 'no-store'}
    httpd.write(nil, svg:format(tonumber(env.QUERY_INFO)))
end)
httpd.register_handler('/page', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/html'}
    httpd.write(nil, '<!DOCTYPE html><title>images</title><link rel="icon" href="data:,">')
    for i = 1, 200 do httpd.write(nil, ('<img src="/image?%d">'):format(i)) end
end)`;
const LARGE_BYTES = 16 * 64 * 300 * 10;
const UPLOAD_MIB = inForm(3, 20);
const DOWNLOADS = inForm(4, 60);

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { workers: 1 });
});
after(() => gateway.stop());

const curl = (...words: string[]): Promise<ProgramResult> =>
  run('curl', '-sS', '--http2', '--max-time', '60', '--cacert', gateway.folder.certificate, ...words);

test('curl downloads on many streams at once, whole', async () => {
  const words = ['--parallel', '--parallel-immediate', '--parallel-max', '30', '-w', '%{size_download};'];
  const { text } = await curl(...words, '-o', '/dev/null', `${gateway.url}/large?[1-${DOWNLOADS}]`);
  assert.equal(text, `${LARGE_BYTES};`.repeat(DOWNLOADS));
  await gateway.untilIdle();
});

test(`curl uploads ${UPLOAD_MIB} MiB unchanged`, async () => {
  const body = randomBytes(UPLOAD_MIB * 1024 * 1024);
  const name = gateway.folder.file('body.bin');
  writeFileSync(name, body);
  assert.equal((await curl('-T', name, `${gateway.url}/hash`)).text, sha256(body));
});

test('nghttp asks with tiny windows, and gets the whole answer', async () => {
  const { stdout } = await run('nghttp', '-w', '9', '-W', '10', `${gateway.url}/large`);
  assert.equal(stdout.length, LARGE_BYTES);
});

test('nghttp sends heads over CONTINUATION, padding and trailers', async () => {
  const name = gateway.folder.file('small.bin');
  const body = randomBytes(100_000);
  writeFileSync(name, body);
  const words = ['--continuation', '-b', '100', '-d', name, '--trailer', 'x-sum: 1'];
  const { text } = await run('nghttp', ...words, `${gateway.url}/hash`);
  assert.equal(text, sha256(body));
});

test('nghttp asks 100 times on one connection with weights', async () => {
  const { text } = await run('nghttp', '-m', '100', '-p', '200', `${gateway.url}/hello`);
  assert.equal(text.match(/hello over HTTP\/2/g)?.length, 100);
  await gateway.untilIdle();
});

/** In the short form those that the other tests of this room do not show. */
const LOADS = [
  ['-c', '10', '-m', '100', '-n', inForm('1500', '10000')],
  ['-c', '3', '-m', '1', '-n', '500'],
  ['-c', '5', '-m', '20', '-n', inForm('500', '1000'), '-w', '10', '-W', '12'],
  ['-c', '2', '-m', '10', '-n', '100', '--encoder-header-table-size=0', '--header-table-size=0'],
];
for (const words of inForm(LOADS.slice(2), LOADS))
  test(`h2load ${words.join(' ')} gets all its answers`, async () => {
    const { text } = await run('h2load', ...words, `${gateway.url}/hello`);
    const count = words[words.indexOf('-n') + 1];
    assert.match(text, new RegExp(`${count} succeeded, 0 failed, 0 errored, 0 timeout`), text);
    assert.match(text, new RegExp(`status codes: ${count} 2xx`));
    await gateway.untilIdle();
  });

test("node's client sends and receives on 100 streams while others are aborted", async () => {
  const session = await gateway.session();
  const bodies = Array.from({ length: 60 }, (_, i) => randomBytes(i * 2000));
  const aborted = Array.from({ length: 40 }, () => {
    const stream = session.request({ ':method': 'POST', ':path': '/echo' }, { endStream: false });
    stream.on('error', () => undefined);
    stream.write('never ends');
    stream.once('data', () => stream.close(8));
    return new Promise((resolve) => stream.once('close', resolve));
  });
  const answers = await Promise.all(
    bodies.map((body) => askSession(session, '/hash', { method: 'POST', body })),
  );
  assert.deepEqual(
    answers.map(({ text }) => text),
    bodies.map(sha256),
  );
  await Promise.all(aborted);
  await new Promise<void>((resolve, reject) => {
    session.ping((error) => (error === null ? resolve() : reject(error)));
  });
  session.settings({ initialWindowSize: 1_000, headerTableSize: 0 });
  assert.equal((await askSession(session, '/large')).body.length, LARGE_BYTES);
  session.destroy();
  await gateway.untilIdle();
});

test('undici asks 200 times over one HTTP/2 connection, uploads, streams and aborts', async () => {
  const ca = readFileSync(gateway.folder.certificate);
  const agent = new Agent({ allowH2: true, connections: 1, connect: { ca } });
  const ask = (path: string, options: object = {}): ReturnType<typeof fetch> =>
    fetch(gateway.url + path, { dispatcher: agent, ...options });
  try {
    const texts = await Promise.all(Array.from({ length: 200 }, async () => (await ask('/hello')).text()));
    assert.deepEqual(new Set(texts), new Set(['hello over HTTP/2']));
    const body = randomBytes(2_000_000);
    assert.equal(await (await ask('/hash', { method: 'POST', body })).text(), sha256(body));
    assert.equal((await (await ask('/large')).arrayBuffer()).byteLength, LARGE_BYTES);
    const gone = new AbortController();
    const answer = await ask('/large', { signal: gone.signal });
    gone.abort();
    await assert.rejects(answer.arrayBuffer());
    assert.equal(await (await ask('/hello')).text(), 'hello over HTTP/2');
  } finally {
    await agent.destroy();
  }
  await gateway.untilIdle();
});

// in the short form handlers/browser.test.ts and those of WebSockets ask with it
longTest('Chromium shows 200 images at once, uploads, and reads an answer as it comes', async () => {
  const browser = await new Browser().start();
  try {
    await browser.open(`${gateway.url}/page`);
    assert.equal(
      await browser.evaluate('[...document.images].filter((image) => image.naturalWidth === 4).length'),
      200,
    );
    assert.equal(
      await browser.evaluate(`performance.getEntriesByType('resource')
        .filter(({ name, nextHopProtocol }) => name.includes('/image') && nextHopProtocol === 'h2').length`),
      200,
    );
    const sent = new Uint8Array(3_000_000).map((_, i) => i * 7);
    assert.equal(
      await browser.evaluate(`fetch('/hash', {
        method: 'POST', body: new Uint8Array(3_000_000).map((_, i) => i * 7),
      }).then((response) => response.text())`),
      sha256(sent),
    );
    const [parts, size] = (await browser.evaluate(`(async () => {
      const reader = (await fetch('/large')).body.getReader();
      let parts = 0;
      let size = 0;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return [parts, size];
        parts += 1;
        size += value.length;
      }
    })()`)) as [number, number];
    assert.equal(size, LARGE_BYTES);
    assert.ok(parts > 1);
    // a request that the page aborts before its end
    await browser.evaluate(`(async () => {
      const gone = new AbortController();
      const response = await fetch('/large', { signal: gone.signal });
      await response.body.getReader().read();
      gone.abort();
    })()`);
    assert.deepEqual(browser.complaints, []);
  } finally {
    await browser.stop();
  }
  await gateway.untilIdle();
});
