/** `-l /static folder/`: which files are served, and how, with the real program over TLS and both protocols. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { type Answer, PROTOCOLS, TestGateway, usualWords } from '../support/test-gateway.ts';

const MODIFIED = new Date('2024-05-06T07:08:09Z');
const LAST_MODIFIED = MODIFIED.toUTCString();
const DIGITS = '0123456789';

let gateway: TestGateway;

function prepare(folder: GatewayFolder): void {
  const at = (name: string): string => folder.file(`public/${name}`);
  for (const name of ['', 'dir', 'bare', '.git', '.well-known', 'dir/.well-known', 'a b', '\\evil.example'])
    mkdirSync(at(name), { recursive: true });
  const write = (name: string, text: string): void => {
    writeFileSync(at(name), text);
    utimesSync(at(name), MODIFIED, MODIFIED);
  };
  write('index.html', 'front');
  write('dir/index.html', 'index of dir');
  write('\\evil.example/index.html', 'odd');
  write('a b/index.html', 'blank');
  write('digits.txt', DIGITS);
  write('empty.txt', '');
  write('a\\b.txt', 'backslash');
  write('.hidden', 'secret');
  write('.git/config', 'secret');
  write('.well-known/security.txt', 'contact');
  write('.well-known/.hidden', 'secret');
  write('dir/.well-known/x.txt', 'secret');
  write('app.js', 'plain');
  write('app.js.br', 'of br');
  write('app.js.gz', 'of gzip');
  write('app.js.zst', 'of zstd');
  write('unknown.xyz', 'x');
  writeFileSync(folder.file('outside.txt'), 'secret');
  symlinkSync(folder.file('outside.txt'), at('out.txt'));
  symlinkSync('../outside.txt', at('out-relative.txt'));
  symlinkSync(folder.path, at('out-folder'));
  symlinkSync('digits.txt', at('in.txt'));
  symlinkSync('dir', at('in-folder'));
  symlinkSync('loop.txt', at('loop.txt'));
  symlinkSync('/dev/zero', at('device'));
  execFileSync('mkfifo', [at('fifo')]);
  writeFileSync(at('large.bin'), Buffer.alloc(LARGE_BYTES, 1));
  writeFileSync(folder.file('notes.lua'), "require('httpd').register_handler('/', function() end)\n");
}

/** More than sockets and buffers hold. */
const LARGE_BYTES = 64 * 1024 * 1024;

before(async () => {
  const words = ['-l', '/static', '$FOLDER/public/', '-l', '/lua', '$FOLDER/notes.lua'];
  gateway = await TestGateway.start(
    {},
    { words: [...words, '-l', '/', '$FOLDER/public/'], prepare, keeps: true },
  );
});
after(() => gateway.stop());

/** Target → body, or status and location. */
const PATHS: readonly (readonly [string, string])[] = [
  ['/static/', 'front'],
  ['/static', '308 /static/'],
  ['/static?a=b', '308 /static/?a=b'],
  ['/static/index.html', 'front'],
  ['/static/dir/', 'index of dir'],
  ['/static/dir', '308 /static/dir/'],
  ['/static/dir?x=1&y=//z', '308 /static/dir/?x=1&y=//z'],
  ['/static/d%69r', '308 /static/dir/'],
  ['/static/a%20b', '308 /static/a%20b/'],
  ['/static/a%20b/', 'blank'],
  ['/static/%5Cevil.example', '308 /static/%5Cevil.example/'],
  ['/%5Cevil.example', '308 /%5Cevil.example/'],
  ['//%5Cevil.example', '308 /%5Cevil.example/'],
  ['//dir', '308 /dir/'],
  ['/%2fdir', '308 /dir/'],
  ['/%2f%2fdir', '308 /dir/'],
  ['//evil.example', '404'],
  ['//evil.example/', '404'],
  ['/static/bare/', '404'],
  ['/static/bare', '308 /static/bare/'],
  ['/static/in-folder', '308 /static/in-folder/'],
  ['/static/in-folder/', 'index of dir'],
  ['/static/digits.txt', DIGITS],
  ['/static/digits.txt?query', DIGITS],
  ['/static/%64igits.txt', DIGITS],
  ['/static/digits.txt/', '404'],
  ['/static/digits.txt/more', '404'],
  ['/static/DIGITS.TXT', '404'],
  ['/static/empty.txt', ''],
  ['/static/a%5Cb.txt', 'backslash'],
  ['/static/dir%2findex.html', 'index of dir'],
  ['/static/dir%5Cindex.html', '404'],
  ['/static//digits.txt', '404'],
  ['/static/dir//index.html', '404'],
  ['/static/./digits.txt', '404'],
  ['/static/%2e/digits.txt', '404'],
  ['/static/../outside.txt', '404'],
  ['/static/dir/../digits.txt', '404'],
  ['/static/%2e%2e/outside.txt', '404'],
  ['/static/%2e%2e%2foutside.txt', '404'],
  ['/static/..%2foutside.txt', '404'],
  ['/static/..%5Coutside.txt', '404'],
  ['/static/%252e%252e/outside.txt', '404'],
  ['/..%2foutside.txt', '404'],
  ['/static/%c0%ae%c0%ae/outside.txt', '404'],
  ['/static/digits.txt%00', '400'],
  ['/static/%00', '400'],
  ['/static/.hidden', '404'],
  ['/static/%2ehidden', '404'],
  ['/static/.git', '404'],
  ['/static/.git/config', '404'],
  ['/static/.well-known/security.txt', 'contact'],
  ['/static/.well-known/.hidden', '404'],
  ['/static/dir/.well-known/x.txt', '404'],
  ['/.well-known/security.txt', 'contact'],
  ['/static/out.txt', '404'],
  ['/static/out-relative.txt', '404'],
  ['/static/out-folder', '404'],
  ['/static/out-folder/outside.txt', '404'],
  ['/static/out-folder/', '404'],
  ['/static/in.txt', DIGITS],
  ['/static/loop.txt', '404'],
  ['/static/device', '404'],
  ['/static/fifo', '404'],
  [`/static/${'n'.repeat(256)}`, '404'],
  [`/static/${'n/'.repeat(2500)}`, '404'],
  ['/static/none', '404'],
  ['/static/%', '404'],
  ['/staticdigits.txt', '404'],
];

function outcome({ status, headers, text }: Answer): string {
  if (status === 200) return text;
  return [status, headers['location']].filter((part) => part !== undefined).join(' ');
}

for (const protocol of PROTOCOLS) {
  test(`A path names a file of the folder, or nothing (${protocol})`, async () => {
    for (const [path, expected] of PATHS) {
      assert.equal(outcome(await gateway.ask(protocol, path)), expected, path);
      const head = await gateway.ask(protocol, path, { method: 'HEAD' });
      assert.equal(head.text, '', path);
    }
    await gateway.untilIdle();
  });

  test(`The head says what the file is, to GET and HEAD alike (${protocol})`, async () => {
    const types: readonly (readonly [string, string])[] = [
      ['index.html', 'text/html; charset=utf-8'],
      ['digits.txt', 'text/plain; charset=utf-8'],
      ['app.js', 'text/javascript; charset=utf-8'],
      ['unknown.xyz', 'application/octet-stream'],
    ];
    for (const [name, type] of types) {
      const got = await gateway.ask(protocol, `/static/${name}`);
      const { headers } = got;
      assert.equal(headers['content-type'], type);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['last-modified'], LAST_MODIFIED);
      assert.equal(headers['vary'], 'accept-encoding');
      assert.equal(headers['accept-ranges'], 'bytes');
      assert.equal(headers['content-length'], String(got.body.length));
      assert.match(headers['etag'] ?? '', /^"[^"]+"$/);
      const asked = await gateway.ask(protocol, `/static/${name}`, { method: 'HEAD' });
      assert.deepEqual({ ...asked.headers, date: '' }, { ...headers, date: '' });
    }
  });

  test(`Conditions and ranges are taken in the order of RFC 9110 (${protocol})`, async () => {
    const tag = (await gateway.ask(protocol, '/static/digits.txt')).headers['etag'] as string;
    const later = new Date(MODIFIED.getTime() + 1000).toUTCString();
    const earlier = new Date(MODIFIED.getTime() - 1000).toUTCString();
    const rows: readonly (readonly [Record<string, string>, number, string?])[] = [
      [{ range: 'bytes=0-3' }, 206, '0123'],
      [{ range: 'bytes=3-' }, 206, '3456789'],
      [{ range: 'bytes=-3' }, 206, '789'],
      [{ range: 'bytes=8-99' }, 206, '89'],
      [{ range: 'bytes=-99' }, 206, DIGITS],
      [{ range: 'bytes=10-' }, 416],
      [{ range: 'bytes=-0' }, 416],
      [{ range: 'bytes=5-2' }, 200, DIGITS],
      [{ range: 'bytes=0-1,3-4' }, 200, DIGITS],
      [{ range: 'lines=0-1' }, 200, DIGITS],
      [{ range: 'bytes=0-3', 'if-range': tag }, 206, '0123'],
      [{ range: 'bytes=0-3', 'if-range': '"other"' }, 200, DIGITS],
      [{ range: 'bytes=0-3', 'if-range': `W/${tag}` }, 200, DIGITS],
      [{ range: 'bytes=0-3', 'if-range': LAST_MODIFIED }, 206, '0123'],
      [{ range: 'bytes=0-3', 'if-range': later }, 200, DIGITS],
      [{ 'if-none-match': tag }, 304],
      [{ 'if-none-match': `W/${tag}, "x"` }, 304],
      [{ 'if-none-match': '*' }, 304],
      [{ 'if-none-match': '"other"' }, 200, DIGITS],
      [{ 'if-none-match': '"other"', 'if-modified-since': later }, 200, DIGITS],
      [{ 'if-none-match': tag, range: 'bytes=0-3' }, 304],
      [{ 'if-modified-since': LAST_MODIFIED }, 304],
      [{ 'if-modified-since': earlier }, 200, DIGITS],
      [{ 'if-match': tag }, 200, DIGITS],
      [{ 'if-match': '"other"' }, 412],
      [{ 'if-match': `W/${tag}` }, 412],
      [{ 'if-match': '"other"', 'if-none-match': tag }, 412],
      [{ 'if-match': tag, 'if-unmodified-since': earlier }, 200, DIGITS],
      [{ 'if-unmodified-since': earlier }, 412],
      [{ 'if-unmodified-since': LAST_MODIFIED, range: 'bytes=1-1' }, 206, '1'],
    ];
    for (const [headers, status, text] of rows) {
      const got = await gateway.ask(protocol, '/static/digits.txt', { headers });
      assert.equal(got.status, status, JSON.stringify(headers));
      if (text !== undefined) assert.equal(got.text, text, JSON.stringify(headers));
      if (status === 416) assert.equal(got.headers['content-range'], 'bytes */10');
      if (status === 304) assert.equal(got.headers['etag'], tag);
    }
  });

  test(`The precompressed form that the client likes best is sent, whole and with its own tag (${protocol})`, async () => {
    const rows: readonly (readonly [string | undefined, string])[] = [
      [undefined, 'plain'],
      ['', 'plain'],
      ['identity', 'plain'],
      ['br', 'of br'],
      ['gzip', 'of gzip'],
      ['X-GZIP', 'of gzip'],
      ['zstd', 'of zstd'],
      ['gzip, br, zstd', 'of br'],
      ['gzip, zstd', 'of zstd'],
      ['*', 'of br'],
      ['*, br;q=0', 'of zstd'],
      ['*;q=0', 'plain'],
      ['gzip;q=1, br;q=0.5', 'of gzip'],
      ['gzip;q=0, br;q=0.000', 'plain'],
      ['gzip;q=0.5, identity', 'plain'],
      ['gzip, identity;q=0.5', 'of gzip'],
      ['gzip ; q = 0', 'plain'],
      ['deflate', 'plain'],
    ];
    const tags = new Map<string, string | undefined>();
    for (const [accepted, text] of rows) {
      const headers = accepted === undefined ? {} : { 'accept-encoding': accepted };
      const got = await gateway.ask(protocol, '/static/app.js', { headers });
      assert.equal(got.text, text, accepted);
      assert.equal(got.headers['vary'], 'accept-encoding');
      assert.equal(got.headers['content-encoding'], text === 'plain' ? undefined : text.slice('of '.length));
      assert.equal(got.headers['content-type'], 'text/javascript; charset=utf-8');
      tags.set(text, got.headers['etag']);
    }
    assert.equal(new Set(tags.values()).size, 4, 'each form has its own tag');
    const headers = { 'accept-encoding': 'br', range: 'bytes=0-1' };
    const whole = await gateway.ask(protocol, '/static/app.js', { headers });
    assert.deepEqual([whole.status, whole.text], [200, 'of br']);
    const known = { 'accept-encoding': 'br', 'if-none-match': tags.get('plain') as string };
    assert.equal((await gateway.ask(protocol, '/static/app.js', { headers: known })).status, 200);
    // nothing lies beside this one
    const accepts = { 'accept-encoding': 'br, gzip' };
    assert.equal((await gateway.ask(protocol, '/static/digits.txt', { headers: accepts })).text, DIGITS);
  });

  test(`Other methods are refused with what is allowed (${protocol})`, async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND']) {
      const got = await gateway.ask(protocol, '/static/digits.txt', { method });
      assert.deepEqual([got.status, got.headers['allow']], [405, 'GET, HEAD, OPTIONS'], method);
    }
    const options = await gateway.ask(protocol, '/static/digits.txt', { method: 'OPTIONS' });
    assert.deepEqual(
      [options.status, options.headers['allow'], options.text],
      [204, 'GET, HEAD, OPTIONS', ''],
    );
  });
}

test('A file that shrinks while it is sent is broken off', async () => {
  const name = gateway.folder.file('public/large.bin');
  const session = await gateway.session();
  const stream = session.request({ ':path': '/static/large.bin' });
  let received = 0;
  const ended = new Promise<number>((resolve) => stream.once('close', () => resolve(stream.rstCode ?? 0)));
  stream.on('error', () => undefined);
  await new Promise((resolve) => stream.once('response', resolve));
  truncateSync(name, LARGE_BYTES / 2);
  stream.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  assert.notEqual(await ended, 0);
  assert.ok(received < LARGE_BYTES);
  session.destroy();
  await gateway.untilLog(/File not sent/);
  await gateway.untilIdle();
});

test('A client that goes leaves no file open', async () => {
  const session = await gateway.session();
  const stream = session.request({ ':path': '/static/large.bin' });
  stream.on('error', () => undefined);
  await new Promise((resolve) => stream.once('response', resolve));
  session.destroy();
  await gateway.untilIdle();
});

test('A folder is served without a script, again after a reload, and finishes at SIGTERM', async () => {
  const { folder } = gateway;
  const own = new GatewayProcess(folder, [...usualWords(folder), '-l', '/', folder.file('public/')]);
  try {
    await own.ready();
    assert.equal((await own.ask('/digits.txt')).body, DIGITS);
    own.child.kill('SIGHUP');
    await own.until(() => /Reload/.test(own.stderr));
    assert.equal((await own.ask('/digits.txt')).body, DIGITS);
    own.child.kill('SIGTERM');
    assert.equal((await own.ended).code, 0);
  } finally {
    await own.stop();
  }
});

test('A folder that is missing, or is a file, is named at the start', async () => {
  const { folder } = gateway;
  for (const [name, why] of [
    ['nowhere/', /Cannot serve the folder .*nowhere\/.*No such file or directory/],
    ['outside.txt/', /Cannot serve the folder .*outside\.txt\/.*Not a directory/],
  ] as const) {
    const own = new GatewayProcess(folder, [...usualWords(folder), '-l', '/s', join(folder.path, name)]);
    const { code } = await own.ended;
    assert.equal(code, 1);
    assert.match(own.stderr, why);
  }
  assert.equal(statSync(folder.file('public')).isDirectory(), true);
});
