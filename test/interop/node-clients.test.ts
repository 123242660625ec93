/** Node's own clients and the gateway: http2, https with an agent, and fetch (undici). */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Agent, request } from 'node:https';
import { after, before, test } from 'node:test';
import { runProgram } from '../support/run-program.ts';
import { inForm } from '../support/test-form.ts';
import { askSession, TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/hash', function()
    local parts = {}
    while true do
        local part = httpd.read(nil, 30000)
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
httpd.register_handler('/port', function(env)
    httpd.header{[':status'] = '200', ['set-cookie'] = {'a=1', 'b=2'}}
    httpd.write(nil, env.CLIENT_PORT)
end)`;

/** Runs in its own process, whose environment makes it trust the certificate. Prints its results as JSON. */
const FETCH = `
const url = process.argv[1];
const body = new Uint8Array(500000).map((_, i) => i * 7);
const stream = new ReadableStream({
  start(controller) {
    for (let at = 0; at < body.length; at += 50000) controller.enqueue(body.slice(at, at + 50000));
    controller.close();
  },
});
const text = async (path, options) => (await fetch(url + path, options)).text();
const [whole, streamed, many, head] = await Promise.all([
  text('/hash', { method: 'POST', body }),
  text('/hash', { method: 'PUT', body: stream, duplex: 'half' }),
  Promise.all(Array.from({ length: 50 }, () => text('/port'))),
  fetch(url + '/port').then((response) => response.headers.getSetCookie()),
]);
const gone = new AbortController();
const aborted = fetch(url + '/hash', { method: 'POST', body: new ReadableStream({}), duplex: 'half', signal: gone.signal });
setTimeout(() => gone.abort(), 50);
const error = await aborted.then(() => 'answered', (reason) => reason.name);
console.log(JSON.stringify({ whole, streamed, answered: many.filter(Number).length, head, error }));`;

/** Every second body is read four bytes at a time, which takes most of the time. */
const STREAMS = inForm(26, 50);

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT });
});
after(() => gateway.stop());

test('node:http2 sends and receives at once on many streams', async () => {
  const session = await gateway.session();
  const bodies = Array.from({ length: STREAMS }, (_, i) => randomBytes(i * 3000));
  const answers = await Promise.all(
    bodies.map((body, i) => askSession(session, i % 2 === 0 ? '/hash' : '/echo', { method: 'POST', body })),
  );
  for (const [i, { body, text }] of answers.entries()) {
    const sent = bodies[i] ?? Buffer.alloc(0);
    if (i % 2 === 0) assert.equal(text, createHash('sha256').update(sent).digest('hex'));
    else assert.ok(body.equals(sent), `${sent.length} bytes come back`);
  }
  session.destroy();
  await gateway.untilIdle();
});

test('An answer begins while the request is still being sent', async () => {
  const session = await gateway.session();
  const stream = session.request({ ':method': 'POST', ':path': '/echo' }, { endStream: false });
  let received = '';
  stream.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  for (const word of ['one ', 'two ', 'six ']) {
    const wanted = received + word;
    stream.write(word);
    while (received !== wanted) await new Promise((resolve) => stream.once('data', resolve));
  }
  stream.end();
  await new Promise((resolve) => stream.once('close', resolve));
  session.destroy();
});

test('An https agent keeps one connection for all its requests', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  const ports = new Set<string>();
  for (let i = 0; i < 20; i++) {
    ports.add(
      await new Promise((resolve, reject) => {
        request(`${gateway.url}/port`, { agent }, (response) => {
          let text = '';
          response.on('data', (chunk) => {
            text += String(chunk);
          });
          response.on('end', () => resolve(text));
        })
          .on('error', reject)
          .end();
      }),
    );
  }
  agent.destroy();
  assert.equal(ports.size, 1);
});

test('fetch uploads, streams, reads repeated fields and aborts', async () => {
  const words = ['--input-type=module', '-e', FETCH, gateway.url];
  const environment = { NODE_EXTRA_CA_CERTS: gateway.folder.certificate };
  const { code, text, stderr } = await runProgram(process.execPath, words, { environment });
  assert.equal(code, 0, stderr);
  const wanted = createHash('sha256')
    .update(new Uint8Array(500_000).map((_, i) => i * 7))
    .digest('hex');
  assert.deepEqual(JSON.parse(text), {
    whole: wanted,
    streamed: wanted,
    answered: 50,
    head: ['a=1', 'b=2'],
    error: 'AbortError',
  });
  await gateway.untilIdle();
});
