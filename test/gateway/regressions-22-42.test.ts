/** What lhttpd got wrong, rows 22 to 42: fields, targets, HTTP/1 framing, files, start, TLS and time. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect as connectTls } from 'node:tls';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import { testCertificate } from '../support/certificate.ts';
import { LocalGateway } from '../support/local-gateway.ts';
import { regressionSuite } from '../support/regression.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { runProgram } from '../support/run-program.ts';
import { askSession, PROTOCOLS, TestGateway, untilReceived, usualWords } from '../support/test-gateway.ts';
import { WireClient } from '../support/wire-client.ts';

const OK = `httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}\n`;
const IS_ROOT = process.getuid?.() === 0;

const { regression } = regressionSuite();

regression(
  22,
  'Field names are lower case on HTTP/2, whatever the script writes',
  `httpd.header{[':status'] = '200', ['X-Upper-CASE'] = 'v', ['Content-Type'] = 'text/plain', ['Connection'] = 'keep-alive'}`,
  async (gateway, path) => {
    const wire = new WireClient(await gateway.connect('h2'));
    wire.request(1, path);
    await wire.response(1);
    const head = wire.frames.find((frame) => frame.head?.has(':status'))?.head;
    assert.equal(head?.get('x-upper-case'), 'v');
    assert.equal(head?.get('content-type'), 'text/plain');
    assert.ok(!head?.has('connection'));
    for (const name of head?.keys() ?? []) assert.equal(name, name.toLowerCase());
    wire.destroy();
  },
);

regression(
  23,
  'Fields called method and path do not pass for the request itself',
  `${OK}httpd.write(nil, header.method .. ' ' .. header.path .. ' ' .. env.REQUEST_METHOD)`,
  async (gateway, path) => {
    const headers = { method: 'DELETE', path: '/admin' };
    for (const protocol of PROTOCOLS) {
      const { text } = await gateway.ask(protocol, `${path}?q`, { headers });
      assert.equal(text, 'GET /23?q GET', protocol);
    }
  },
);

regression(
  24,
  'Repeated fields and cookie crumbs are joined',
  `${OK}httpd.write(nil, header['x-many'] .. '|' .. header.cookie)`,
  async (gateway, path) => {
    const wire = new WireClient(await gateway.connect('h2'));
    wire.request(1, path, {
      fields: [
        ['cookie', 'a=1'],
        ['x-many', 'one'],
        ['cookie', 'b=2'],
        ['x-many', 'two'],
        ['cookie', 'c=3'],
      ],
    });
    assert.equal((await wire.response(1)).body.toString(), 'one, two|a=1; b=2; c=3');
    wire.destroy();
    const text = await gateway.talk(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nCookie: a=1\r\nX-Many: one\r\ncookie: b=2\r\nx-MANY: two\r\nConnection: close\r\n\r\n`,
    );
    assert.ok(text.endsWith('\r\n\r\none, two|a=1; b=2'), text);
  },
);

regression(
  25,
  'A slash in the query belongs to the query',
  `${OK}httpd.write(nil, env.HANDLER_NAME .. ' ' .. env.QUERY_INFO)`,
  async (gateway, path) => {
    for (const protocol of PROTOCOLS)
      assert.equal((await gateway.ask(protocol, `${path}?u=/a/b`)).text, '/25 u=/a/b');
  },
);

regression(
  26,
  'Paths are decoded once, after the query is split off, on both protocols; %00 is refused',
  { '/26': `${OK}httpd.write(nil, 'plain')`, '/26?x': `${OK}httpd.write(nil, tostring(env.QUERY_INFO))` },
  async (gateway, path) => {
    for (const protocol of PROTOCOLS) {
      assert.equal((await gateway.ask(protocol, '/%326')).text, 'plain', protocol);
      assert.equal((await gateway.ask(protocol, `${path}%3Fx`)).text, 'nil', protocol);
      assert.equal((await gateway.ask(protocol, `${path}%3Fx?y%3Fz`)).text, 'y%3Fz', protocol);
      assert.equal((await gateway.ask(protocol, '/%25326')).status, 404, protocol);
      assert.equal((await gateway.ask(protocol, `${path}%00`)).status, 400, protocol);
    }
  },
);

regression(
  27,
  'HEAD runs the handler and gets its head without a body',
  `httpd.header{[':status'] = '200', ['content-length'] = 11, ['x-seen'] = env.REQUEST_METHOD}\nhttpd.write(nil, 'hello world')`,
  async (gateway, path) => {
    for (const protocol of PROTOCOLS) {
      const answer = await gateway.ask(protocol, path, { method: 'HEAD' });
      assert.deepEqual(
        [answer.status, answer.headers['content-length'], answer.headers['x-seen'], answer.text],
        [200, '11', 'HEAD', ''],
      );
    }
    const one = ` ${path} HTTP/1.1\r\nHost: localhost\r\n`;
    const text = await gateway.talk(`HEAD${one}\r\nGET${one}Connection: close\r\n\r\n`);
    assert.equal(text.match(/hello world/g)?.length, 1);
    assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 2);
  },
);

regression(
  28,
  'HTTP/1.0 connections close after the answer unless the client asks for more',
  `${OK}httpd.write(nil, env.SERVER_PROTOCOL)`,
  async (gateway, path) => {
    const once = await gateway.talk(`GET ${path} HTTP/1.0\r\n\r\n`);
    assert.match(once, /\r\nconnection: close\r\n.*\r\n\r\nHTTP\/1\.0$/is);
    const twice = await gateway.talk(
      `GET ${path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET ${path} HTTP/1.0\r\n\r\n`,
    );
    assert.equal(twice.match(/\r\n\r\nHTTP\/1\.0/g)?.length, 2);
    assert.match(twice, /\r\nconnection: keep-alive\r\n/i);
    assert.doesNotMatch(twice, /transfer-encoding/i);
  },
);

regression(
  29,
  'A request body that nobody read is never taken for the next request',
  { '/29': `${OK}httpd.write(nil, 'unread;')`, '/29b': `${OK}httpd.write(nil, 'SMUGGLED')` },
  async (gateway, path) => {
    const inner = 'GET /29b HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const last = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\n`;
    const length = `${head}Content-Length: ${inner.length}\r\n\r\n${inner}${last}`;
    const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n${last}`;
    const answered = (bytes: string): Promise<number | undefined> =>
      gateway.talk(bytes).then((text) => {
        assert.doesNotMatch(text, /SMUGGLED/);
        return text.match(/unread;/g)?.length;
      });
    assert.equal(await answered(length), 2);
    // how much is still to come is not known when the answer is ready, so that one is the connection's last
    assert.equal(await answered(chunked), 1);
    // too much to read for nothing: the connection closes, and nothing of it is a request
    const much = `${head}Content-Length: 100000000\r\n\r\n${inner.repeat(1000)}`;
    assert.equal((await gateway.talk(much)).match(/HTTP\/1\.1 /g)?.length, 1);
  },
);

regression(
  30,
  'Chunked request bodies are decoded',
  `local body, rest = httpd.read(nil, 100), httpd.read(nil, 1)
${OK}httpd.write(nil, tostring(body) .. '|' .. tostring(rest) .. '|' .. tostring(header['content-length']))`,
  async (gateway, path) => {
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n`;
    const text = await gateway.talk(
      `${head}\r\n3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nTrailer: t\r\n\r\n${head}Connection: close\r\n\r\n0\r\n\r\n`,
    );
    assert.match(text, /abcdefgh\|nil\|nil.*nil\|nil\|nil$/s);
  },
);

regression(
  31,
  'Expect: 100-continue is answered when the body is first read, and only then',
  {
    '/31': `local body = httpd.read(nil, 100)\n${OK}httpd.write(nil, 'got ' .. body)`,
    '/31b': `${OK}httpd.write(nil, 'no')`,
  },
  async (gateway, path) => {
    const head = (target: string): string =>
      `POST ${target} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`;
    const socket = await gateway.connect();
    socket.write(head(path));
    await untilReceived(socket, /^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    const answer = untilReceived(socket, /got body$/);
    socket.write('body');
    assert.match(await answer, /^HTTP\/1\.1 200 OK\r\n/);
    socket.destroy();
    assert.match(
      await gateway.talk(head('/31b')),
      /^HTTP\/1\.1 200 OK\r\n.*\r\nconnection: close\r\n.*no$/is,
    );
  },
);

regression(
  32,
  'A file handle may be shared by requests',
  `shared = shared or assert(io.open('$FOLDER/shared.txt', 'w+'))
httpd.write(shared, env.QUERY_INFO .. ';')
local at = shared:seek('cur')
${OK}httpd.write(nil, at)
if env.QUERY_INFO == 'last' then
    shared:seek('set')
    httpd.write(nil, ' ' .. httpd.read(shared, 100))
    shared:close()
    shared = nil
end`,
  async (gateway, path) => {
    assert.equal((await gateway.ask('h1', `${path}?one`)).text, '4');
    const session = await gateway.session();
    await Promise.all(['two', 'six', 'ten'].map((query) => askSession(session, `${path}?${query}`)));
    const { text } = await askSession(session, `${path}?last`);
    assert.deepEqual(text.slice(3).split(';').sort(), ['', 'last', 'one', 'six', 'ten', 'two']);
    assert.equal(text.slice(0, 3), '21 ');
    session.destroy();
  },
);

regression(
  33,
  'write returns the number of bytes for files, pipes and the client',
  `local file <close> = assert(io.open('$FOLDER/count.txt', 'w'))
local pipe <close> = assert(io.popen('cat > /dev/null', 'w'))
local a, b = httpd.write(file, 'four'), httpd.write(pipe, 'seven77')
${OK}local c = httpd.write(nil, 'x')
httpd.write(nil, string.format('%d %d %d %s', a, b, c, tostring((httpd.write(file, nil)))))`,
  async (gateway, path) => {
    assert.equal((await gateway.ask('h1', path)).text, 'x4 7 1 nil');
  },
);

regression(
  34,
  'Strings being written outlive a collection, and no request pays for a full one',
  {
    '/34': `${OK}for i = 1, 40 do
    httpd.write(nil, string.rep(string.char(65 + i % 26), 20000))
    collectgarbage()
end`,
    '/34b': `collected = collected or 0
collectgarbage('stop')
setmetatable({}, {__gc = function() collected = collected + 1 end})
${OK}httpd.write(nil, collected)`,
    '/34c': `collectgarbage('restart')\ncollectgarbage()\n${OK}httpd.write(nil, collected)`,
  },
  async (gateway, path) => {
    const wanted = Array.from({ length: 40 }, (_, i) =>
      String.fromCharCode(65 + ((i + 1) % 26)).repeat(20_000),
    );
    for (const protocol of PROTOCOLS)
      for (const { text } of await Promise.all([1, 2, 3].map(() => gateway.ask(protocol, path))))
        assert.ok(text === wanted.join(''), 'every byte is the one that was written');
    const session = await gateway.session();
    for (let i = 0; i < 20; i++) assert.equal((await askSession(session, '/34b')).text, '0');
    assert.equal((await askSession(session, '/34c')).text, '20');
    session.destroy();
  },
);

regression(
  35,
  "The script's own coroutines may read and write; the top level of a script gets an error with its place",
  `${OK}local produce = coroutine.wrap(function()
    local pipe <close> = assert(io.popen('echo from the pipe'))
    for word in httpd.read(pipe, 100):gmatch('%a+') do
        httpd.write(nil, word .. ' ')
        coroutine.yield(word)
    end
end)
httpd.write(nil, table.concat({produce(), produce(), produce()}, '-'))`,
  async (gateway, path) => {
    assert.equal((await gateway.ask('h2', path)).text, 'from the pipe from-the-pipe');
    const folder = new GatewayFolder();
    const script = folder.file('top.lua');
    const lines = [
      `local httpd = require 'httpd'`,
      `print(pcall(function() httpd.write(nil, 'x') end))`,
      `print(pcall(function() httpd.header{status = 200} end))`,
      'httpd.read(nil, 1)',
    ];
    writeFileSync(script, lines.join('\n'));
    const failed = new GatewayProcess(folder, [...usualWords(folder), '-l', '/', script]);
    assert.equal((await failed.ended).code, 1);
    for (const line of [2, 3])
      assert.match(failed.stderr, new RegExp(`false\\W+\\S*top\\.lua:${line}: called outside of a request`));
    assert.match(failed.stderr, /lgateway: .*top\.lua:4: called outside of a request/);
    folder.remove();
  },
);

regression(
  36,
  'Options without their value are one clear line, -d takes its level or none, and -D tells how the start went',
  '',
  async () => {
    const folder = new GatewayFolder();
    const endOf = async (...words: string[]): Promise<string> => {
      const failed = new GatewayProcess(folder, words);
      const { code } = await failed.ended;
      return `${code} ${failed.stderr}`;
    };
    assert.match(await endOf('-f', '-c'), /^2 lgateway: [^\n]*-c [^\n]+\n(?:[^\n]+--help[^\n]*\n)?$/);
    for (const option of ['-k', '-l', '-p']) {
      const result = await parseCommandLine(['-f', option], { columns: 80, shell: '' });
      assert.match(
        result.kind === 'usage-error' ? result.message : result.kind,
        new RegExp(`^.*${option} .+$`),
      );
    }
    const script = folder.file('app.lua');
    const usual = [...usualWords(folder), '-l', '/', script];
    writeFileSync(script, `require 'httpd'.register_handler('/', function() end)`);
    for (const words of [['-d', '5'], ['-d0']]) {
      const { kind } = await parseCommandLine([...usual, ...words], { columns: 80, shell: '' });
      assert.equal(kind, 'run', words.join(' '));
    }
    await (await new LocalGateway([...usual, '-d', '-f']).ready()).stop();
    writeFileSync(script, `error('no luck')`);
    assert.match(await endOf(...usual, '-D'), /^1 lgateway: .*app\.lua:1: no luck/);
    folder.remove();
  },
);

regression(37, 'The user of -u is looked up outside of the root of -r', '', async () => {
  const folder = new GatewayFolder();
  chmodSync(folder.path, 0o755);
  mkdirSync(folder.file('root'));
  writeFileSync(
    folder.file('root/app.lua'),
    `local httpd = require 'httpd'
httpd.register_handler('/', function(env)
    httpd.write(nil, env.SCRIPT_FILENAME .. ' ' .. tostring(io.open('/etc/passwd')))
end)`,
  );
  const words = usualWords(folder);
  const own = ['-r', folder.file('root'), '-u', 'nobody', '-l', '/', 'app.lua'];
  const gateway = new GatewayProcess(folder, [...words, ...own]);
  if (IS_ROOT) {
    await gateway.ready();
    assert.deepEqual(await gateway.ask('/'), { status: 200, body: 'app.lua nil' });
    await gateway.stop();
  } else {
    assert.equal((await gateway.ended).code, 1);
    assert.match(gateway.stderr, /only root may change its user/);
  }
  folder.remove();
});

regression(38, 'SIGTERM lets a running request finish', '', async () => {
  const gateway = await TestGateway.start(
    {
      '/': `local httpd = require 'httpd'
httpd.register_handler('/', function()
    local pipe <close> = assert(io.popen('while [ ! -e $FOLDER/go ]; do sleep 0.05; done; echo finished'))
    httpd.write(nil, httpd.read(pipe, 100))
end)`,
    },
    { apart: true },
  );
  const answers = PROTOCOLS.map((protocol) => gateway.ask(protocol, '/'));
  await gateway.untilCounters((now) => now.pipes === 2, 'both requests run');
  gateway.process.child.kill('SIGTERM');
  await gateway.untilLog(/draining/);
  writeFileSync(gateway.folder.file('go'), '');
  for (const { text, cut } of await Promise.all(answers))
    assert.deepEqual([text, cut], ['finished\n', false]);
  assert.equal((await gateway.process.ended).code, 0);
  await gateway.stop();
});

regression(
  39,
  'EC and RSA keys, TLS 1.2 and 1.3, and the server name are known',
  `${OK}httpd.write(nil, table.concat({env.TLS_PROTOCOL, env.TLS_CIPHER, env.TLS_SNI}, ' '))`,
  async (gateway, path) => {
    assert.match((await gateway.ask('h1', path)).text, /^TLSv1\.3 TLS_AES_\w+ localhost$/);
    assert.match(await askWithVersion(gateway.port, path, 'TLSv1.2'), /TLSv1\.2 ECDHE-ECDSA-\S+ localhost$/);
    const folder = new GatewayFolder();
    const { certPath, keyPath } = testCertificate('rsa');
    copyFileSync(certPath, folder.certificate);
    copyFileSync(keyPath, folder.key);
    const script = folder.file('app.lua');
    writeFileSync(
      script,
      `require 'httpd'.register_handler('/', function(env) require 'httpd'.write(nil, env.TLS_CIPHER) end)`,
    );
    const words = [...usualWords(folder), '-l', '/', script];
    const rsa = await new LocalGateway(words).ready();
    assert.match(await askWithVersion(rsa.port, '/', 'TLSv1.2'), /ECDHE-RSA-\S+$/);
    assert.match(await askWithVersion(rsa.port, '/', 'TLSv1.3'), /TLS_AES_\S+$/);
    await rsa.stop();
    folder.remove();
  },
);

regression(
  40,
  'The idle timeout closes idle connections and spares handlers that take long',
  '',
  async () => {
    const gateway = await TestGateway.start(
      {
        '/': `local httpd = require 'httpd'
httpd.register_handler('/', function()
    local pipe <close> = assert(io.popen('sleep 1.5; echo patience'))
    httpd.write(nil, httpd.read(pipe, 100))
end)`,
      },
      { words: ['--idle-timeout', '1'] },
    );
    const untilAnswered = async (run: () => Promise<void>): Promise<void> => {
      for (let tries = 1; ; tries++) {
        try {
          return await run();
        } catch (error) {
          // a client that has stood still for so long before its request was idle
          if (tries === 6) throw error;
        }
      }
    };
    await untilAnswered(async () => {
      const session = await gateway.session();
      const closed = new Promise((resolve) => session.once('close', resolve));
      const answers = await Promise.all([gateway.ask('h1', '/'), askSession(session, '/')]);
      for (const { text, cut } of answers) assert.deepEqual([text, cut], ['patience\n', false]);
      await closed;
    });
    await untilAnswered(async () =>
      assert.match(await gateway.talk('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), /patience/),
    );
    await gateway.untilCounters(
      (now) => now.connections === 0 && now.sessions === 0,
      'idle connections close',
    );
    await gateway.stop();
  },
);

regression(
  41,
  'PUSH_PROMISE is 1 where push is possible and absent elsewhere',
  `${OK}httpd.write(nil, tostring(env.PUSH_PROMISE) .. ' ' .. math.type(env.PUSH_PROMISE or 0.5))`,
  async (gateway, path) => {
    for (const protocol of PROTOCOLS) assert.equal((await gateway.ask(protocol, path)).text, 'nil float');
    const session = await gateway.session({ settings: { enablePush: true } });
    assert.equal((await askSession(session, path)).text, '1 integer');
    session.destroy();
  },
);

regression(
  42,
  'TLS connections end with close_notify',
  `${OK}httpd.write(nil, 'bye')`,
  async (gateway, path) => {
    const words = [
      's_client',
      '-connect',
      `127.0.0.1:${gateway.port}`,
      '-servername',
      'localhost',
      '-ign_eof',
      '-msg',
    ];
    const { text, stderr } = await runProgram('openssl', words, { input: `GET ${path} HTTP/1.0\r\n\r\n` });
    assert.match(text, /<<< [^\n]*Alert[^\n]*close_notify/, stderr);
    assert.doesNotMatch(text + stderr, /unexpected eof/);
  },
);

async function askWithVersion(port: number, path: string, version: 'TLSv1.2' | 'TLSv1.3'): Promise<string> {
  const options = { host: '127.0.0.1', servername: 'localhost', port, rejectUnauthorized: false };
  const socket = connectTls({ ...options, minVersion: version, maxVersion: version });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}
