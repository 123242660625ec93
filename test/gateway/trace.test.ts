/** A trace goes through the gateway: by proxies, by fetches, and into both logs. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { untilHolds } from '../support/run-gateway.ts';
import { TestGateway } from '../support/test-gateway.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const HEADERS = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'a=1' };

const seen: IncomingHttpHeaders[] = [];
const upstream = createServer((request, response) => {
  seen.push(request.headers);
  response.end('here');
});
let gateway: TestGateway;

before(async () => {
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const target = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  const script = `local httpd = require 'httpd'
httpd.register_handler('/fetch', function()
  local answer = assert(httpd.fetch('${target}/fetched'))
  httpd.header{[':status'] = 200}
  httpd.write(nil, answer:read('a'))
end)
httpd.register_handler('/own', function()
  assert(httpd.fetch('${target}/own', {headers = {traceparent = 'mine'}}))
  httpd.header{[':status'] = 200}
end)
httpd.register_handler('/fails', function() error('broken') end)`;
  const words = ['-l', '/proxy', target, '--access-log=file:$FOLDER/access', '--access-log-format', 'json'];
  gateway = await TestGateway.start({ '/': script }, { words });
});
after(async () => {
  await gateway.stop();
  upstream.close();
});

/** The last line of the access log, once there are so many. */
async function line(count: number): Promise<Readonly<Record<string, unknown>>> {
  const lines = () => readFileSync(gateway.folder.file('access'), 'utf8').split('\n').slice(0, -1);
  await untilHolds(gateway.running, () => lines().length === count);
  return JSON.parse(lines().at(-1) ?? '');
}

let count = 0;
async function ask(path: string, headers: Readonly<Record<string, string>>) {
  await gateway.ask('h1', path, { headers });
  count += 1;
  return { logged: await line(count), passed: seen.at(-1) ?? {} };
}

for (const path of ['/proxy/x', '/fetch'])
  test(`The upstream of ${path} gets the trace below the span that the access log names, another one each time`, async () => {
    const spans = new Set<unknown>();
    for (let i = 0; i < 3; i++) {
      const { logged, passed } = await ask(path, HEADERS);
      assert.equal(logged['trace_id'], TRACE);
      assert.equal(passed['traceparent'], `00-${TRACE}-${logged['span_id']}-01`);
      assert.equal(passed['tracestate'], 'a=1');
      spans.add(logged['span_id']);
    }
    assert.equal(spans.size, 3);
  });

test('What is no trace goes no further, neither does a tracestate without one', async () => {
  for (const headers of [{ traceparent: `00-${TRACE}`, tracestate: 'a=1' }, { tracestate: 'a=1' }]) {
    const { logged, passed } = await ask('/proxy/x', headers);
    for (const name of ['traceparent', 'tracestate']) assert.ok(!(name in passed), name);
    assert.ok(!('trace_id' in logged));
  }
});

test('A script that names a trace of its own is not overruled', async () => {
  const { passed } = await ask('/own', HEADERS);
  assert.equal(passed['traceparent'], 'mine');
});

test('The log names the trace beside an error of a handler', async () => {
  const { logged } = await ask('/fails', HEADERS);
  assert.equal(logged['level'], 'error');
  await gateway.running.until(() => /broken/.test(gateway.log));
  assert.ok(gateway.log.includes(`trace_id=${TRACE} span_id=${logged['span_id']}`));
});
