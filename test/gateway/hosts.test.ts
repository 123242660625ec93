/** `-l HOST/PREFIX SCRIPT`: which script a host reaches over real connections, at a reload, in the log and in the counters. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type ClientProtocol, PROTOCOLS, readToEnd, TestGateway } from '../support/test-gateway.ts';

/** Answers `tag path params`. */
const script = (tag: string, names: readonly string[]): string => `local httpd = require 'httpd'
for _, name in ipairs{${names.map((name) => `'${name}'`).join(', ')}} do
    httpd.register_handler(name, function(env, header, params)
        httpd.write(nil, '${tag} ' .. env.HANDLER_NAME .. ' ' .. tostring(params and params.id))
    end)
end
httpd.register_handler('/log', function() httpd.log('info', 'line of ${tag}') httpd.write(nil, 'logged') end)`;

let open: TestGateway;
/** Without a mapping for hosts that none names. */
let closed: TestGateway;

before(async () => {
  [open, closed] = await Promise.all([
    TestGateway.start(
      {
        '/': script('any', ['/', '/shared', '/users/{id}']),
        'a.test/': script('a', ['/', '/users/{id}']),
        'a.test/app': script('a-app', ['/', '/x']),
        '*.test/app': script('wide', ['/', '/w']),
        '[::1]/': script('six', ['/']),
        'localhost/': script('local', ['/']),
      },
      {
        prepare: (folder) => {
          mkdirSync(folder.file('public'));
          writeFileSync(folder.file('public/index.html'), 'static of b');
        },
        words: ['-l', 'b.test/', '$FOLDER/public/', '--access-log'],
      },
    ),
    TestGateway.start({ 'a.test/': script('only', ['/']) }),
  ]);
});

after(async () => {
  await Promise.all([open.stop(), closed.stop()]);
});

function ask(gateway: TestGateway, protocol: ClientProtocol, host: string, path: string) {
  const headers = protocol === 'h1' ? { host } : { ':authority': host };
  return gateway.ask(protocol, path, { headers });
}

const ROWS: readonly (readonly [host: string, path: string, answer: string])[] = [
  ['a.test', '/', 'a / nil'],
  ['A.TEST:1234', '/users/7', 'a /users/{id} 7'],
  ['a.test.', '/', 'a / nil'],
  ['a.test', '/app', 'a-app / nil'],
  ['a.test', '/app/x', 'a-app /x nil'],
  // what the mappings of the host lack
  ['a.test', '/app/w', 'wide /w nil'],
  ['a.test', '/shared', 'any /shared nil'],
  ['www.test', '/app/w', 'wide /w nil'],
  ['x.y.test', '/app/w', 'wide /w nil'],
  ['test', '/', 'any / nil'],
  ['www.test', '/users/8', 'any /users/{id} 8'],
  ['[::1]:9', '/', 'six / nil'],
  ['[0:0:0:0:0:0:0:1]', '/', 'six / nil'],
  ['[::2]', '/', 'any / nil'],
  ['127.0.0.1', '/', 'any / nil'],
  ['localhost', '/', 'local / nil'],
  ['b.test', '/', 'static of b'],
  ['b.test', '/index.html', 'static of b'],
];

for (const protocol of PROTOCOLS) {
  test(`A host reaches its own mappings first, whatever its case, port and dot (${protocol})`, async () => {
    for (const [host, path, answer] of ROWS) {
      const { status, text } = await ask(open, protocol, host, path);
      assert.equal(`${status} ${text}`, `200 ${answer}`, `${host}${path}`);
    }
    // the folder answers all below its prefix
    assert.equal((await ask(open, protocol, 'b.test', '/shared')).status, 404);
  });
}

test('A host that no mapping is for gets 421', async () => {
  for (const protocol of PROTOCOLS) {
    assert.equal((await ask(closed, protocol, 'a.test', '/')).text, 'only / nil');
    assert.equal((await ask(closed, protocol, 'a.test', '/none')).status, 404);
    for (const host of ['b.test', 'localhost', 'sub.a.test'])
      assert.equal((await ask(closed, protocol, host, '/')).status, 421, host);
  }
});

test('One connection serves all hosts, whatever name its TLS handshake had', async () => {
  const session = await open.session();
  const get = (host: string) =>
    new Promise<string>((resolve, reject) => {
      const stream = session.request({ ':path': '/', ':authority': host });
      let text = '';
      stream.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      stream.on('error', reject).on('end', () => resolve(text));
    });
  assert.deepEqual(await Promise.all(['a.test', 'localhost', 'b.test', 'c.test'].map(get)), [
    'a / nil',
    'local / nil',
    'static of b',
    'any / nil',
  ]);
  session.destroy();
});

test('A target in absolute form names the host, and a Host beside it does not count', async () => {
  const answer = await open.talk(
    'GET https://a.test/users/1 HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n',
  );
  assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*a \/users\/\{id\} 1/);
});

test('A request of HTTP/1.0 without a host gets the mappings of any host, or 404', async () => {
  assert.match(await open.talk('GET / HTTP/1.0\r\n\r\n'), / 200 [\s\S]*any \/ nil$/);
  assert.match(await closed.talk('GET / HTTP/1.0\r\n\r\n'), / 404 /);
});

test('Two Host fields, or :authority beside another host, are refused before any mapping is asked', async () => {
  assert.match(await open.talk('GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n'), /^HTTP\/1\.1 400 /);
  const session = await open.session();
  const stream = session.request({ ':path': '/', ':authority': 'a.test', host: 'b.test' });
  const code = await new Promise((resolve) => {
    stream.on('error', () => undefined).on('close', () => resolve(stream.rstCode));
  });
  assert.equal(code, 1);
  session.destroy();
});

test('Log lines and the counters of a mapping name its host', async () => {
  await ask(open, 'h1', 'a.test', '/log');
  await open.untilLog(/line of a .*mapping=a\.test\//);
  const { mappings } = await open.running.counters();
  assert.ok(mappings.some(({ mapping }) => mapping === '*.test/app'));
});

test('A reload keeps hosts apart, and takes away a pattern that its script does not register any more', async () => {
  const before = await ask(open, 'h2', 'a.test', '/users/5');
  assert.equal(before.text, 'a /users/{id} 5');
  // the second script of the folder is that of a.test/
  writeFileSync(open.folder.file('script-1.lua'), script('a2', ['/', '/people/{id}']));
  open.running.signal('SIGHUP');
  await open.untilLog(/Reloaded/);
  assert.equal((await ask(open, 'h2', 'a.test', '/people/6')).text, 'a2 /people/{id} 6');
  // the pattern of the mapping for any host is next
  assert.equal((await ask(open, 'h2', 'a.test', '/users/5')).text, 'any /users/{id} 5');
  assert.equal((await ask(open, 'h1', 'localhost', '/')).text, 'local / nil');
  await open.untilIdle();
});

test('Pipelined requests for several hosts are answered by each', async () => {
  const socket = await open.connect();
  const all = readToEnd(socket);
  socket.write(
    ['a.test', 'b.test', 'localhost']
      .map((host, i) => `GET / HTTP/1.1\r\nHost: ${host}\r\n${i === 2 ? 'Connection: close\r\n' : ''}\r\n`)
      .join(''),
  );
  const text = await all;
  assert.match(text, /a2? \/ nil[\s\S]*static of b[\s\S]*local \/ nil/);
});

test('Lines of the access log name the host that was asked for', async () => {
  for (const protocol of PROTOCOLS) {
    await ask(open, protocol, 'A.test:1234', '/users/logged');
    await open.untilLog(
      new RegExp(
        ` access GET /users/logged peer=\\S+ host=A\\.test:1234 protocol=HTTP/${protocol === 'h2' ? '2' : '1\\.1'} status=200 `,
      ),
    );
  }
});
