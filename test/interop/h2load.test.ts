/** h2load and the gateway: large answers on many streams, HTTP/1.1, and answers of every kind at once. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { runProgram } from '../support/run-program.ts';
import { inForm } from '../support/test-form.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local megabyte = string.rep('0123456789abcdef', 65536)
httpd.register_handler('/megabyte', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'application/octet-stream'}
    httpd.write(nil, megabyte)
end)
httpd.register_handler('/hello', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, 'hello')
end)
httpd.register_handler('/upload', function()
    local size = 0
    while true do
        local part = httpd.read(nil, 5000)
        if not part then break end
        size = size + #part
    end
    httpd.header{[':status'] = size == 100000 and '200' or '500'}
    httpd.write(nil, size)
end)`;
const MEGABYTE = 1024 * 1024;
/** Beyond what the windows of both connections hold at once. */
const LARGE_ANSWERS = inForm(50, 200);
const SHORT_ANSWERS = inForm(1500, 5000);

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { workers: 2 });
});
after(() => gateway.stop());

/** Runs h2load; resolves with the number of requests with a 2xx answer and of received body bytes. */
async function h2load(...words: string[]): Promise<{ succeeded: number; status2xx: number; bytes: number }> {
  const { code, text, stderr } = await runProgram('h2load', words);
  assert.equal(code, 0, stderr);
  const read = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
  assert.match(text, /, 0 failed, 0 errored, 0 timeout/, text);
  return {
    succeeded: read(/ (\d+) succeeded/),
    status2xx: read(/status codes: (\d+) 2xx/),
    bytes: read(/traffic: .*\((\d+)\) data/),
  };
}

for (const [protocol, words] of [
  ['HTTP/2', ['-m', '50']],
  ['HTTP/1.1', ['--h1']],
] as const) {
  test(`h2load gets all answers of 1 MB, none cut (${protocol})`, async () => {
    const result = await h2load('-c', '2', '-n', String(LARGE_ANSWERS), ...words, `${gateway.url}/megabyte`);
    const all = LARGE_ANSWERS;
    assert.deepEqual(result, { succeeded: all, status2xx: all, bytes: all * MEGABYTE });
    await gateway.untilIdle();
  });

  test(`h2load gets thousands of short answers over 20 connections (${protocol})`, async () => {
    const result = await h2load('-c', '20', '-n', String(SHORT_ANSWERS), ...words, `${gateway.url}/hello`);
    const all = SHORT_ANSWERS;
    assert.deepEqual(result, { succeeded: all, status2xx: all, bytes: 5 * all });
    await gateway.untilIdle();
  });
}

test('h2load uploads 100 bodies over 10 streams', async () => {
  const body = gateway.folder.file('body.bin');
  writeFileSync(body, Buffer.alloc(100_000, 'u'));
  const result = await h2load('-c', '2', '-n', '100', '-m', '10', '-d', body, `${gateway.url}/upload`);
  assert.deepEqual([result.succeeded, result.status2xx], [100, 100]);
  await gateway.untilIdle();
});
