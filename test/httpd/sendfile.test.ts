/** httpd.sendfile over real HTTP/1.1 and HTTP/2: fields, conditions, ranges, forms, names that lead out of the root. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Answer, type ClientProtocol, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const CHANGED = new Date('2024-02-29T12:00:00Z');
const CHANGED_TEXT = 'Thu, 29 Feb 2024 12:00:00 GMT';
const BIG_BYTES = 3 * 1024 * 1024 + 17;
const big = randomBytes(BIG_BYTES);
const text = 'body { margin: 0 }\n'.repeat(40);

const SCRIPT = `local httpd = require 'httpd'
local options = {
    none = nil,
    tagged = { etag = 'v1' },
    untagged = { etag = false, range = false },
    small = { precompressed = true },
    save = { download = true, type = 'text/x-test' },
    name = { download = 'Gr\\xc3\\xb6\\xc3\\x9fe "1".txt', headers = { ['cache-control'] = 'max-age=60' } },
    below = { root = '$FOLDER/public' },
}
httpd.register_handler('/send', function(env)
    local query = httpd.query(env)
    local bytes, message, code = httpd.sendfile(query.file, options[query.how or 'none'])
    if bytes == nil then
        httpd.header{ [':status'] = code == 'notfound' and 404 or 403, ['x-code'] = code }
        httpd.write(nil, message)
    end
end)
httpd.register_handler('/late', function()
    httpd.header{ [':status'] = 201, ['content-type'] = 'x/y' }
    httpd.write(nil, 'before ')
    httpd.write(nil, (' %s %s'):format(httpd.sendfile('$FOLDER/public/style.css')))
end)
httpd.register_handler('/misuse', function(env)
    local function fails(...) return select(2, pcall(httpd.sendfile, ...)) .. '\\n' end
    local out = fails() .. fails('a', { speed = 1 }) .. fails('a', { range = 'yes' })
    out = out .. fails('a', { headers = { ['content-length'] = 1 } }) .. fails('a', { type = 'x\\ny' })
    httpd.write(nil, out)
end)`;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { keeps: true });
  const file = (name: string): string => gateway.folder.file(name);
  mkdirSync(file('public/sub'), { recursive: true });
  writeFileSync(file('big.bin'), big);
  writeFileSync(file('empty.txt'), '');
  writeFileSync(file('public/style.css'), text);
  writeFileSync(file('public/style.css.gz'), gzipSync(text));
  writeFileSync(file('public/style.css.br'), 'not really brotli');
  utimesSync(file('public/style.css'), CHANGED, CHANGED);
  symlinkSync('/etc', file('public/out'));
  symlinkSync('style.css', file('public/inner'));
});
after(() => gateway.stop());

function send(
  protocol: ClientProtocol,
  file: string,
  how = 'none',
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  const name = file.startsWith('/') ? file : gateway.folder.file(file);
  return gateway.ask(protocol, `/send?file=${encodeURIComponent(name)}&how=${how}`, { headers, method });
}

for (const protocol of PROTOCOLS) {
  test(`sendfile sends a file with what is known of it (${protocol})`, async () => {
    const answer = await send(protocol, 'public/style.css');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, text);
    assert.equal(answer.headers['content-type'], 'text/css; charset=utf-8');
    assert.equal(answer.headers['content-length'], String(text.length));
    assert.equal(answer.headers['last-modified'], CHANGED_TEXT);
    assert.equal(answer.headers['accept-ranges'], 'bytes');
    assert.match(answer.headers['etag'] ?? '', /^W\/"[0-9a-f]+-[0-9a-f]+"$/);
    assert.equal(answer.headers['vary'], undefined);
    const large = await send(protocol, 'big.bin');
    assert.ok(large.body.equals(big));
    assert.equal(large.headers['content-type'], 'application/octet-stream');
    const empty = await send(protocol, 'empty.txt');
    assert.deepEqual([empty.status, empty.text, empty.headers['content-length']], [200, '', '0']);
  });

  test(`sendfile answers HEAD with the fields of GET (${protocol})`, async () => {
    const head = await send(protocol, 'big.bin', 'none', {}, 'HEAD');
    assert.equal(head.status, 200);
    assert.equal(head.body.length, 0);
    assert.equal(head.headers['content-length'], String(BIG_BYTES));
  });

  test(`sendfile answers 304 where the client has the file already (${protocol})`, async () => {
    const { headers } = await send(protocol, 'public/style.css');
    const tag = headers['etag'] ?? '';
    const cases: readonly (readonly [Record<string, string>, number])[] = [
      [{ 'if-none-match': tag }, 304],
      [{ 'if-none-match': `"other", ${tag.slice(2)}` }, 304],
      [{ 'if-none-match': '*' }, 304],
      [{ 'if-none-match': '"other"' }, 200],
      [{ 'if-modified-since': CHANGED_TEXT }, 304],
      [{ 'if-modified-since': 'Thu, 29 Feb 2024 11:59:59 GMT' }, 200],
      [{ 'if-modified-since': 'yesterday' }, 200],
      // the entity tag decides where both conditions are given (RFC 9110 §13.2.2)
      [{ 'if-none-match': '"other"', 'if-modified-since': CHANGED_TEXT }, 200],
    ];
    for (const [fields, status] of cases) {
      const answer = await send(protocol, 'public/style.css', 'none', fields);
      assert.equal(answer.status, status, JSON.stringify(fields));
      if (status === 200) continue;
      assert.equal(answer.text, '');
      assert.equal(answer.headers['etag'], tag);
      assert.equal(answer.headers['content-type'], undefined);
    }
    const posted = await send(protocol, 'public/style.css', 'none', { 'if-none-match': '*' }, 'POST');
    assert.equal(posted.status, 200);
  });

  test(`sendfile answers 412 where the file is not what the client takes it for (${protocol})`, async () => {
    for (const fields of [
      { 'if-match': '"nope"' },
      { 'if-unmodified-since': 'Thu, 29 Feb 2024 11:59:59 GMT' },
    ]) {
      const answer = await send(protocol, 'public/style.css', 'none', { ...fields, range: 'bytes=0-9' });
      assert.deepEqual([answer.status, answer.text, answer.headers['content-length']], [412, '', '0']);
      assert.deepEqual(
        [answer.headers['content-type'], answer.headers['content-range']],
        [undefined, undefined],
      );
    }
    const tagged = await send(protocol, 'public/style.css', 'tagged', { 'if-match': '"v1"' });
    assert.equal(tagged.status, 200);
  });

  test(`sendfile sends the range that was asked for (${protocol})`, async () => {
    const cases: readonly (readonly [string, number, number, number])[] = [
      ['bytes=0-0', 206, 0, 1],
      ['bytes=1000000-1999999', 206, 1_000_000, 2_000_000],
      ['bytes=3000000-', 206, 3_000_000, BIG_BYTES],
      ['bytes=-5', 206, BIG_BYTES - 5, BIG_BYTES],
      ['bytes=-99999999', 206, 0, BIG_BYTES],
      ['bytes=5-99999999', 206, 5, BIG_BYTES],
      [`bytes=${BIG_BYTES - 1}-`, 206, BIG_BYTES - 1, BIG_BYTES],
      [`bytes=${BIG_BYTES}-`, 416, 0, 0],
      ['bytes=-0', 416, 0, 0],
      ['bytes=9-5', 200, 0, BIG_BYTES],
      ['bytes=0-1,5-6', 200, 0, BIG_BYTES],
      ['lines=0-1', 200, 0, BIG_BYTES],
      ['bytes=', 200, 0, BIG_BYTES],
    ];
    for (const [range, status, start, end] of cases) {
      const answer = await send(protocol, 'big.bin', 'none', { range });
      assert.equal(answer.status, status, range);
      assert.ok(answer.body.equals(big.subarray(start, end)), range);
      assert.equal(answer.headers['content-length'], String(end - start), range);
      const expected = status === 206 ? `bytes ${start}-${end - 1}/${BIG_BYTES}` : `bytes */${BIG_BYTES}`;
      assert.equal(answer.headers['content-range'], status === 200 ? undefined : expected, range);
    }
    const refused = await send(protocol, 'big.bin', 'untagged', { range: 'bytes=0-0' });
    assert.equal(refused.status, 200);
    assert.equal(refused.headers['accept-ranges'], undefined);
    assert.equal(refused.headers['etag'], undefined);
  });

  test(`sendfile sends a range only of what If-Range names (${protocol})`, async () => {
    const cases: readonly (readonly [string, string, number])[] = [
      ['tagged', '"v1"', 206],
      ['tagged', '"v2"', 200],
      ['tagged', CHANGED_TEXT, 206],
      ['tagged', 'Thu, 29 Feb 2024 12:00:01 GMT', 200],
      ['none', 'W/"1"', 200],
    ];
    for (const [how, condition, status] of cases) {
      const answer = await send(protocol, 'public/style.css', how, {
        range: 'bytes=0-3',
        'if-range': condition,
      });
      assert.equal(answer.status, status, condition);
    }
    const { headers } = await send(protocol, 'public/style.css');
    const weak = { range: 'bytes=0-3', 'if-range': headers['etag'] ?? '' };
    assert.equal((await send(protocol, 'public/style.css', 'none', weak)).status, 200);
  });

  test(`sendfile prefers the smaller form the client takes (${protocol})`, async () => {
    const cases: readonly (readonly [string, string | undefined])[] = [
      ['gzip, br', 'br'],
      ['gzip;q=0.5, br;q=0', 'gzip'],
      ['x-gzip', 'gzip'],
      ['x-gzip;q=0', undefined],
      [', ,gzip,,', 'gzip'],
      ['*', 'br'],
      ['identity', undefined],
      ['', undefined],
    ];
    for (const [accepted, coding] of cases) {
      const answer = await send(protocol, 'public/style.css', 'small', { 'accept-encoding': accepted });
      assert.equal(answer.headers['content-encoding'], coding, accepted);
      assert.equal(answer.headers['content-type'], 'text/css; charset=utf-8');
      assert.equal(answer.headers['vary'], 'accept-encoding');
      if (coding === undefined) assert.equal(answer.text, text);
    }
    const plain = await send(protocol, 'big.bin', 'small', { 'accept-encoding': 'br, gzip' });
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.ok(plain.body.equals(big));
  });

  test(`sendfile names what is to be saved, in RFC 6266's two forms (${protocol})`, async () => {
    const plain = await send(protocol, 'public/style.css', 'save');
    assert.equal(plain.headers['content-disposition'], 'attachment; filename="style.css"');
    assert.equal(plain.headers['content-type'], 'text/x-test');
    const named = await send(protocol, 'public/style.css', 'name');
    assert.equal(
      named.headers['content-disposition'],
      `attachment; filename="Gr__e _1_.txt"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22.txt`,
    );
    assert.equal(named.headers['cache-control'], 'max-age=60');
  });

  test(`sendfile with a root sends nothing from outside of it (${protocol})`, async () => {
    for (const name of ['/style.css', '/sub/../style.css', '//style.css', '/inner', '/./style.css'])
      assert.equal((await send(protocol, name, 'below')).text, text, name);
    const refused = ['/../big.bin', '/sub/../../big.bin', '/out/passwd', '/style.css\0', '/..', '/sub', '/'];
    for (const name of refused) {
      const answer = await send(protocol, name, 'below');
      assert.ok([403, 404].includes(answer.status), name);
      assert.match(answer.headers['x-code'] ?? '', /^(?:denied|invalid|notfound)$/, name);
    }
  });
}

test('sendfile leaves the answer to the script where there is no such file, and refuses what is none', async () => {
  const missing = await send('h2', 'public/none.css', 'small', { 'accept-encoding': 'br' });
  assert.deepEqual([missing.status, missing.headers['x-code']], [404, 'notfound']);
  assert.match(missing.text, /none\.css": No such file or directory$/);
  assert.equal((await send('h2', 'public/style.css/x')).headers['x-code'], 'notfound');
  const folder = await send('h2', 'public');
  assert.deepEqual([folder.status, folder.headers['x-code']], [403, 'invalid']);
  const device = await send('h2', '/dev/zero');
  assert.deepEqual([device.status, device.headers['x-code']], [403, 'invalid']);
});

test('sendfile after the head sends the bytes only', async () => {
  const answer = await gateway.ask('h2', '/late');
  assert.equal(answer.status, 201);
  assert.equal(answer.headers['content-type'], 'x/y');
  assert.equal(answer.headers['etag'], undefined);
  assert.equal(answer.text, `before ${text} ${text.length} 201`);
});

test('sendfile raises an error for options it does not know', async () => {
  const { text: lines } = await gateway.ask('h2', '/misuse');
  assert.match(lines, /wrong number of arguments to 'sendfile' \(1 or 2 expected, got 0\)/);
  assert.match(lines, /sendfile has no option "speed"/);
  assert.match(lines, /option "range" is a string \(a boolean was expected\)/);
  assert.match(lines, /option "headers" cannot hold "content-length"/);
  assert.match(lines, /field "content-type" holds a control character/);
});

test('sendfile ends with its client: no file stays open', async () => {
  for (let i = 0; i < 5; i++) {
    const session = await gateway.session();
    const stream = session.request({ ':path': `/send?file=${encodeURIComponent('/proc/self/exe')}` });
    stream.on('error', () => undefined);
    await new Promise((resolve) => stream.once('data', resolve));
    session.destroy();
  }
  await gateway.untilIdle();
});
