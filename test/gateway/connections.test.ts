/** What scripts and clients see of the connection, on both listeners of the real program. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectPlain, connectSecure } from '../support/raw-client.ts';
import { askSession, TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/', function(env, header)
    httpd.write(nil, table.concat({env.SCHEME, env.SERVER_PORT, env.SERVER_ADDR, env.CLIENT_ADDR, env.CLIENT_PORT,
        tostring(env.TLS_PROTOCOL), tostring(env.TLS_SNI), env.SERVER_PROTOCOL, header.host, header['Host']}, ' '))
end)
httpd.register_handler('/late', function()
    httpd.sleep(0.3)
    httpd.write(nil, 'late')
end)`;

test('env tells of the connection that the request came by, on both listeners and over both protocols', async () => {
  const gateway = await TestGateway.start(
    { '/': SCRIPT },
    { words: ['--http', '127.0.0.1:0', '--access-log'] },
  );
  await gateway.untilLog(/Listening on http:\/\/127\.0\.0\.1:\d+/);
  const httpPort = Number(/Listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(gateway.log)?.[1]);
  assert.notEqual(httpPort, gateway.port);
  const request = 'GET http://right.example/ HTTP/1.1\r\nHost: wrong.example\r\n\r\n';
  const secure = await connectSecure(gateway.port);
  secure.send(request);
  assert.equal(
    (await secure.response()).body.toString(),
    `https ${gateway.port} 127.0.0.1 127.0.0.1 ${secure.socket.localPort} TLSv1.3 localhost HTTP/1.1 right.example right.example`,
  );
  const plain = await connectPlain(httpPort);
  plain.send(request);
  assert.equal(
    (await plain.response()).body.toString(),
    `http ${httpPort} 127.0.0.1 127.0.0.1 ${plain.socket.localPort} nil nil HTTP/1.1 right.example right.example`,
  );
  const session = await gateway.session();
  assert.match((await askSession(session, '/')).text, new RegExp(`^https ${gateway.port} 127\\.0\\.0\\.1 `));
  session.destroy();
  for (const client of [secure, plain]) client.socket.end('GET /late HTTP/1.1\r\nHost: a\r\n\r\n');
  for (const client of [secure, plain]) assert.match((await client.rest()).toString(), /\r\n\r\nlate$/);
  const rubbish = await connectPlain(httpPort);
  rubbish.send('\x01\r\n');
  assert.match((await rubbish.rest()).toString(), /^HTTP\/1\.1 400 /);
  await gateway.untilLog(
    / access - - peer=127\.0\.0\.1 protocol=HTTP\/1\.1 status=400 .*error=LGW_HEAD_MALFORMED/,
  );
  await gateway.untilIdle();
  await gateway.stop();
});

test('A head of the limit is served over HTTP/2 too, one byte more, one large field and many small ones are 431', async () => {
  const max = 4096;
  const words = ['--max-head', String(max)];
  const gateway = await TestGateway.start({ '/': SCRIPT }, { words });
  const session = await gateway.session({ maxSendHeaderBlockLength: 1024 * 1024 });
  const fields: readonly (readonly [string, string])[] = [
    [':method', 'GET'],
    [':path', '/'],
    [':scheme', 'https'],
    [':authority', `localhost:${gateway.port}`],
    ['x', ''],
  ];
  const used = fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  const ask = async (size: number): Promise<number> =>
    (await askSession(session, '/', { headers: { x: 'x'.repeat(size) } })).status;
  assert.deepEqual([await ask(max - used), await ask(max - used + 1)], [200, 431]);
  assert.equal(await ask(100 * 1024), 431);
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`x${i}`, '1']));
  assert.equal((await askSession(session, '/', { headers: many })).status, 431);
  assert.equal(await ask(1), 200, 'the connection lives on');
  session.destroy();
  await gateway.stop();
});
