import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';
import { SHOW_VALUE } from '../support/show-value.ts';

let harness: ScriptHarness;

before(async () => {
  harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    ${SHOW_VALUE}
    httpd.register_handler('/eval', function(env)
      local code = httpd.read(nil, 'a')
      local r = table.pack(pcall(load('local httpd, env = ... return ' .. code, '=code'), httpd, env))
      for i = 1, r.n do r[i] = show(r[i]) end
      httpd.write(nil, table.concat(r, ' ', 2, r.n))
    end)`,
    { files: { 'abc.txt': 'abc', 'big.bin': 'x'.repeat(1_000_000) } },
  );
});

after(() => harness.close());

async function evaluate(code: string, query = ''): Promise<string> {
  return (await harness.request(`/eval${query}`, { body: Buffer.from(code) })).text;
}

const VECTORS: readonly (readonly [code: string, expected: string])[] = [
  // RFC 4648 §10
  [
    "httpd.encode('base64', 'f'), httpd.encode('base64', 'fo'), httpd.encode('base64', 'foobar'), httpd.encode('base64', '')",
    'Zg== Zm8= Zm9vYmFy ',
  ],
  [
    "httpd.decode('base64', 'Zg=='), httpd.decode('base64', 'Zm8'), httpd.decode('base64', 'Zm9v\\r\\nYmFy')",
    'f fo foobar',
  ],
  ["httpd.encode('base64url', '\\xfb\\xff'), #httpd.decode('base64url', '-_8')", '-_8 i2'],
  [
    "httpd.encode('hex', '\\0\\xffA'), httpd.decode('hex', '4142'), httpd.decode('hex', '4A4a')",
    '00ff41 AB JJ',
  ],
  ["httpd.encode('url', 'a b/ü~'), httpd.decode('url', 'a%20b+c%2F')", 'a%20b%2F%C3%BC~ a b+c/'],
  ["httpd.encode('query', 'a b&c'), httpd.decode('query', 'a+b%26c')", 'a+b%26c a b&c'],
  [
    "httpd.encode('query', {a = 1}), httpd.encode('query', {['x y'] = {'1', '2 '}}), httpd.encode('query', {flag = true})",
    'a=1 x+y=1&x+y=2+ flag',
  ],
  [`httpd.encode('html', '<a href="x">\\'&')`, '&lt;a href=&quot;x&quot;&gt;&#39;&amp;'],
  ["httpd.decode('base64', '!')", 'nil Cannot decode: the text is no valid base64 invalid'],
  ["httpd.decode('hex', 'abc')", 'nil Cannot decode: the text is no valid hex invalid'],
  ["httpd.decode('url', '%zz')", 'nil Cannot decode: the text is no valid url invalid'],
  ["httpd.encode('nope', 'x')", "bad argument #1 to 'encode' (unknown encoding 'nope')"],
  ["httpd.encode('toString', 'x')", "bad argument #1 to 'encode' (unknown encoding 'toString')"],
  ["httpd.encode('hex', {})", "bad argument #2 to 'encode' (string expected, got table)"],
  ["httpd.decode('html', 'x')", "bad argument #1 to 'decode' (unknown encoding 'html')"],
  ["httpd.query('a=1&b=two+words&c=%41&flag&e=')", '{a=1,b=two words,c=A,e=,flag=true}'],
  ["httpd.query('a=1&a=2&a=3&b&b=x')", '{a={1=1,2=2,3=3},b={1=true,2=x}}'],
  ["httpd.query('')", '{}'],
  ["httpd.query('__proto__=1&constructor=2')", '{__proto__=1,constructor=2}'],
  ["httpd.query('a=%4')", 'nil Cannot parse the query: an escape is invalid invalid'],
  ["httpd.query(('a=1&'):rep(1000)) ~= nil, (httpd.query(('a=1&'):rep(1001)))", 'true nil'],
  ['httpd.query()', "bad argument #1 to 'query' (string expected, got no value)"],
  ["httpd.crypto.hash('sha256', 'abc', 'hex')", createHash('sha256').update('abc').digest('hex')],
  ["httpd.crypto.hash('SHA256', '', 'hex')", createHash('sha256').digest('hex')],
  [
    "httpd.crypto.hash('md5', 'abc', 'hex'), #httpd.crypto.hash('sha1', 'abc')",
    '900150983cd24fb0d6963f7d28e17f72 i20',
  ],
  [
    "httpd.crypto.hash('sha256', io.open('abc.txt'), 'hex')",
    createHash('sha256').update('abc').digest('hex'),
  ],
  [
    "httpd.crypto.hash('sha512', io.open('big.bin'), 'hex')",
    createHash('sha512').update('x'.repeat(1_000_000)).digest('hex'),
  ],
  ["httpd.crypto.hash('nope', 'x')", "bad argument #1 to 'hash' (unknown hash algorithm 'nope')"],
  ["httpd.crypto.hash('md5', 'x', 'base64')", "bad argument #3 to 'hash' (unknown format 'base64')"],
  ["httpd.crypto.hash('md5', io.stdin)", 'Cannot read stdin: Bad file descriptor'],
];

for (const [code, expected] of VECTORS) {
  test(`${code.slice(0, 80)} is ${expected.slice(0, 60)}`, async () => {
    assert.equal((await evaluate(code)).replace(/^code:1: /, ''), expected);
  });
}

test('httpd.query(env) reads the query of the request', async () => {
  assert.equal(await evaluate('httpd.query(env)', '?x=1&y'), '{x=1,y=true}');
  assert.equal(await evaluate('httpd.query(env)'), '{}');
});

test('Every byte value survives each encoding', async () => {
  for (const kind of ['base64', 'base64url', 'hex', 'url', 'query']) {
    assert.equal(
      await evaluate(
        `(function() local t = {} for i = 0, 255 do t[i + 1] = string.char(i) end local s = table.concat(t) return httpd.decode('${kind}', httpd.encode('${kind}', s)) == s end)()`,
      ),
      'true',
      kind,
    );
  }
});
