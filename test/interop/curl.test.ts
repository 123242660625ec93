/** curl and the gateway: HTTP/2, 1.1 and 1.0, methods, uploads and downloads of every kind. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type ProgramResult, runSuccessfully } from '../support/run-program.ts';
import { inForm } from '../support/test-form.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local function answer(type, text)
    httpd.header{[':status'] = '200', ['content-type'] = type, ['content-length'] = #text}
    httpd.write(nil, text)
end
httpd.register_handler('/hello', function(env)
    answer('text/plain', 'hello over ' .. env.SERVER_PROTOCOL)
end)
httpd.register_handler('/method', function(env)
    answer('text/plain', env.REQUEST_METHOD)
end)
httpd.register_handler('/whole', function(env, header)
    local parts = {}
    while true do
        local part = httpd.read(nil, 65536)
        if not part then break end
        parts[#parts + 1] = part
    end
    local body = table.concat(parts)
    answer('text/plain', #body .. ' ' .. httpd.crypto.hash('sha256', body, 'hex'))
end)
httpd.register_handler('/store', function()
    local file <close> = assert(io.open('$FOLDER/stored.bin', 'wb'))
    local size = 0
    while true do
        local part = httpd.read(nil, 65536)
        if not part then break end
        size = size + assert(httpd.write(file, part))
    end
    answer('text/plain', tostring(size))
end)
httpd.register_handler('/fetch', function()
    local file <close> = assert(io.open('$FOLDER/sent.bin', 'rb'))
    httpd.header{[':status'] = '200', ['content-type'] = 'application/octet-stream'}
    while true do
        local part = httpd.read(file, 65536)
        if not part then break end
        httpd.write(nil, part)
    end
end)
httpd.register_handler('/refuse', function()
    httpd.header{[':status'] = '403'}
    httpd.write(nil, 'no')
end)`;

const VERSIONS = [
  ['--http2', 'HTTP/2'],
  ['--http1.1', 'HTTP/1.1'],
  ['--http1.0', 'HTTP/1.0'],
] as const;
/** Beyond the largest window of a stream. */
const LARGE_BYTES = inForm(6, 20) * 1024 * 1024;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { workers: 2 });
  writeFileSync(gateway.folder.file('sent.bin'), randomBytes(LARGE_BYTES));
});
after(() => gateway.stop());

function curl(...words: string[]): Promise<ProgramResult> {
  const usual = ['-sS', '--fail-early', '--max-time', '60', '--cacert', gateway.folder.certificate];
  return runSuccessfully('curl', ...usual, ...words);
}

test('curl gets an answer over HTTP/2, 1.1 and 1.0, with the alerts of a clean end', async () => {
  for (const [option, name] of VERSIONS) {
    const { text } = await curl(option, '-i', `${gateway.url}/hello`);
    assert.match(
      text,
      new RegExp(`^${option === '--http1.0' ? 'HTTP/1\\.[01]' : name.replace('.', '\\.')} 200`),
    );
    assert.ok(text.endsWith(`hello over ${name}`), text);
  }
});

test('curl -I gets the head alone, over every version', async () => {
  for (const [option] of VERSIONS) {
    const { text } = await curl(option, '-I', `${gateway.url}/hello`);
    assert.match(text, /^content-length: \d+\r$/im);
    assert.ok(text.endsWith('\r\n\r\n'));
  }
});

test('curl -X reaches the handler with any method', async () => {
  for (const [option] of VERSIONS.slice(0, 2))
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'REPORT'])
      assert.equal((await curl(option, '-X', method, `${gateway.url}/method`)).text, method);
});

test('curl keeps its connection for the next requests', async () => {
  for (const [option] of VERSIONS.slice(0, 2)) {
    const { text } = await curl(
      option,
      '-w',
      '%{num_connects};',
      '-o',
      '/dev/null',
      `${gateway.url}/hello?[1-20]`,
    );
    assert.equal(text.match(/1;/g)?.length, 1, text);
    assert.equal(text.match(/0;/g)?.length, 19);
  }
});

test('curl waits for 100 Continue before it sends a body', async () => {
  writeFileSync(gateway.folder.file('body.bin'), 'x'.repeat(3000));
  const body = ['--data-binary', `@${gateway.folder.file('body.bin')}`];
  const wait = ['--expect100-timeout', '30', '-H', 'Expect: 100-continue', '-v'];
  const { text, stderr } = await curl('--http1.1', ...wait, ...body, `${gateway.url}/whole`);
  assert.match(text, /^3000 /);
  assert.match(stderr, /< HTTP\/1\.1 100 Continue/);
  const refused = await curl('--http1.1', ...wait, ...body, `${gateway.url}/refuse`);
  assert.equal(refused.text, 'no');
  assert.doesNotMatch(refused.stderr, /100 Continue/);
});

test('curl uploads with a length and in chunks, over every version that can', async () => {
  const body = randomBytes(300_000);
  const name = gateway.folder.file('small.bin');
  writeFileSync(name, body);
  const wanted = `300000 ${createHash('sha256').update(body).digest('hex')}`;
  const chunked = ['-H', 'Transfer-Encoding: chunked'];
  for (const words of [['--http2'], ['--http1.1'], ['--http1.0'], ['--http1.1', ...chunked]]) {
    const { text } = await curl(...words, '-T', name, `${gateway.url}/whole`);
    assert.equal(text, wanted, words.join(' '));
  }
});

test('curl moves a large file up and down unchanged', async () => {
  const sent = gateway.folder.file('sent.bin');
  const wanted = await sha256(sent);
  for (const [option] of VERSIONS) {
    assert.equal((await curl(option, '-T', sent, `${gateway.url}/store`)).text, String(LARGE_BYTES));
    assert.equal(await sha256(gateway.folder.file('stored.bin')), wanted);
    const got = gateway.folder.file('got.bin');
    await curl(option, '-o', got, `${gateway.url}/fetch`);
    assert.equal(await sha256(got), wanted, option);
  }
  await gateway.untilIdle();
});

test('curl runs many transfers at once over one HTTP/2 connection', async () => {
  const words = ['--http2', '--parallel', '--parallel-immediate', '--parallel-max', '20'];
  const { text } = await curl(...words, `${gateway.url}/hello?[1-100]`);
  assert.equal(text.match(/hello over HTTP\/2/g)?.length, 100);
});

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
