/** Bytes that are moved are progress: --time-limit ends who is silent, not who is slow. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readToEnd, TestGateway } from '../support/test-gateway.ts';

/** Long after a pause, also on a machine that stands still for seconds. */
const LIMIT_S = 5;
/** Pieces that come with pauses, each shorter than the limit, all together longer. */
const PIECES = 4;
const PAUSE_MS = 1500;

const SCRIPT = `local httpd = require 'httpd'
local function answer(text)
    httpd.header{[':status'] = 200}
    httpd.write(nil, tostring(text))
end
httpd.register_handler('/all', function() answer(#httpd.read(nil, 'a')) end)
httpd.register_handler('/stored', function()
    local file <close> = assert(io.open('$FOLDER/stored.bin', 'wb'))
    local size = 0
    local data = httpd.read(nil)
    while data do
        size = size + assert(httpd.write(file, data))
        data = httpd.read(nil)
    end
    answer(size)
end)
httpd.register_handler('/copied', function()
    local file <close> = assert(io.open('$FOLDER/copied.bin', 'wb'))
    answer(assert(httpd.copy(file, nil)))
end)
httpd.register_handler('/popen', function()
    local pipe <close> = assert(io.popen('for i in 1 2 3 4; do sleep 1.5; echo x; done'))
    answer(#pipe:read('a'))
end)
httpd.register_handler('/silent', function() httpd.sleep(20) answer('late') end)`;

test('A handler that moves bytes is not silent, whoever sends them and however it reads', async () => {
  const gateway = await TestGateway.start({ '/': SCRIPT }, { words: ['--time-limit', String(LIMIT_S)] });
  const upload = async (path: string): Promise<string> => {
    const socket = await gateway.connect();
    const received = readToEnd(socket);
    socket.write(`POST ${path} HTTP/1.0\r\nHost: a\r\nContent-Length: ${PIECES}\r\n\r\n`);
    for (let i = 0; i < PIECES; i++) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      socket.write('x');
    }
    const text = await received;
    return `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`;
  };
  const [all, stored, copied, popen, silent] = await Promise.all([
    upload('/all'),
    upload('/stored'),
    upload('/copied'),
    gateway.ask('h2', '/popen'),
    gateway.ask('h1', '/silent'),
  ]);
  assert.deepEqual([all, stored, copied], ['200 4', '200 4', '200 4']);
  assert.deepEqual([popen.status, popen.text], [200, '8']);
  assert.equal(silent.status, 500);
  await gateway.untilLog(/Time limit reached: the handler has moved no bytes/);
  await gateway.stop();
});
