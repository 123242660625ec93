/** The log of a running gateway in other forms: what it says itself, what scripts say, and lines of requests, at one receiver. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { usualWords } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
print('two\\nlines \\27[31m \\255')
httpd.register_handler('/hello', function(env)
  httpd.log('warn', 'said by', env.REQUEST_ID)
  httpd.header{[':status'] = 200}
  httpd.write(nil, env.REQUEST_ID)
end)
httpd.register_handler('/fails', function() error('out of "luck"') end)`;

interface Message {
  readonly severity: number;
  readonly kind: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A message of RFC 5424 whose text is JSON. */
function parse(message: string): Message {
  const [, priority, kind = '', text = ''] =
    /^<(\d+)>1 [-0-9T:.]+Z [!-~]+ lgateway \d+ (\w+) - (.*)$/.exec(message) ?? [];
  return { severity: Number(priority) & 7, kind, body: JSON.parse(text) };
}

test('Messages, what scripts say and lines of requests come to one syslog as JSON, over a stream', async () => {
  const folder = new GatewayFolder();
  const socket = folder.file('log.sock');
  const messages: Message[] = [];
  const receiver = createServer((stream) => {
    let bytes: Buffer = Buffer.alloc(0);
    stream.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (;;) {
        const blank = bytes.indexOf(' ');
        const end = blank + 1 + Number(bytes.toString('latin1', 0, blank));
        if (blank < 0 || bytes.length < end) return;
        messages.push(parse(bytes.toString('utf8', blank + 1, end)));
        bytes = bytes.subarray(end);
      }
    });
  });
  await new Promise<void>((resolve) => receiver.listen(socket, resolve));
  writeFileSync(folder.file('app.lua'), SCRIPT);
  const words = ['--log-target', `syslog:stream:${socket}`, '--log-format', 'pino', '--access-log'];
  const gateway = new GatewayProcess(folder, [...usualWords(folder), ...words, folder.file('app.lua')]);
  const said = (start: string): Message | undefined =>
    messages.find(({ body }) => String(body['msg']).startsWith(start));
  try {
    await gateway.ready();
    const { body: id } = await gateway.ask('/hello');
    await gateway.ask('/fails');
    await gateway.until(() => messages.filter(({ kind }) => kind === 'access').length === 2);
    gateway.signal('SIGTERM');
    assert.deepEqual(await gateway.ended, { code: 0, signal: null });
    await gateway.until(() => said('Lua error: ') !== undefined);

    assert.equal(said('two')?.body['msg'], 'two\nlines \x1b[31m \xff');
    const own = said('said by');
    assert.deepEqual([own?.severity, own?.kind, own?.body['level']], [4, 'log', 40]);
    assert.equal(own?.body['request_id'], id);
    assert.deepEqual([own?.body['mapping'], own?.body['worker']], ['/', 1]);
    const failure = said('Lua error: ');
    assert.deepEqual([failure?.severity, failure?.body['level']], [3, 50]);
    assert.match(String(failure?.body['msg']), /out of "luck"\nstack traceback:/);
    assert.ok(messages.some(({ body }) => body['source'] === 'supervisor'));
    const lines = messages.filter(({ kind }) => kind === 'access').map(({ body }) => body);
    assert.deepEqual(
      lines.map((line) => [line['target'], line['status'], line['level']]),
      [
        ['/hello', 200, 30],
        ['/fails', 500, 50],
      ],
    );
    assert.equal(lines[0]?.['request_id'], id);
    assert.equal(gateway.stderr, '');
  } finally {
    await gateway.stop();
    receiver.close();
    folder.remove();
  }
});
