/** httpd.cookies, httpd.cookie and httpd.accepts: what clients send, what may be sent to them, and what is refused. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { ScriptHarness } from '../support/script-harness.ts';

let harness: ScriptHarness;

before(async () => {
  harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local function show(v)
      if type(v) ~= 'table' then return tostring(v) end
      local names, out = {}, {}
      for k in pairs(v) do names[#names + 1] = k end
      table.sort(names)
      for _, k in ipairs(names) do out[#out + 1] = k .. '=' .. v[k] end
      return '{' .. table.concat(out, '|') .. '}'
    end
    httpd.register_handler('/eval', function(env, header)
      local code = httpd.read(nil, 'a')
      local r = table.pack(pcall(assert(load('local httpd, header = ... return ' .. code, '=code')), httpd, header))
      for i = 1, r.n do r[i] = show(r[i]) end
      httpd.write(nil, table.concat(r, ' ', 2, r.n))
    end)`,
  );
});
after(() => harness.close());

async function evaluate(code: string, fields: readonly string[] = []): Promise<string> {
  const { text, status } = await harness.request('/eval', { body: Buffer.from(code, 'latin1'), fields });
  assert.equal(status, 200, harness.log.join('\n'));
  return text.replace(/^code:1: /, '');
}

/** What a client sends, and what is read. */
const SENT: readonly (readonly [field: string, expected: string])[] = [
  // RFC 6265 §3.1
  ['SID=31d4d96e407aad42', '{SID=31d4d96e407aad42}'],
  ['SID=31d4d96e407aad42; lang=en-US', '{SID=31d4d96e407aad42|lang=en-US}'],
  ['a=1;b=2; c=3 ;  d = 4', '{a=1|b=2|c=3|d=4}'],
  // the more specific path comes first (RFC 6265 §5.4)
  ['a=first; a=second', '{a=first}'],
  ['a=b=c; d="quoted"; e=%41', '{a=b=c|d="quoted"|e=%41}'],
  ['a=; flag; b=2', '{a=|b=2}'],
  ['', '{}'],
  ['no cookie', '{}'],
  [';;;=;;', '{=}'],
  ['__proto__=1; constructor=2; toString=3', '{__proto__=1|constructor=2|toString=3}'],
];

for (const [field, expected] of SENT) {
  test(`The cookies of "${field}" are ${expected}`, async () => {
    assert.equal(await evaluate('httpd.cookies()', ['Cookie', field]), expected);
    assert.equal(await evaluate('httpd.cookies(header)', ['Cookie', field]), expected);
    assert.equal(await evaluate(`httpd.cookies([[${field}]])`), expected);
  });
}

test('A request may have no cookies, or several fields of them', async () => {
  assert.equal(await evaluate('httpd.cookies(), httpd.cookies(header)'), '{} {}');
  assert.equal(await evaluate('httpd.cookies()', ['cookie', 'a=1', 'cookie', 'b=2']), '{a=1|b=2}');
});

test('So many bytes and cookies are read, and no more', async () => {
  const count = `(function(t) local n = 0 for _ in pairs(t) do n = n + 1 end return n end)`;
  const named = `(function(n) local t = {} for i = 1, n do t[i] = 'c' .. i .. '=1' end return table.concat(t, ';') end)`;
  assert.equal(await evaluate(`${count}(httpd.cookies(${named}(500)))`), '500');
  assert.equal(
    await evaluate(`httpd.cookies(${named}(501))`),
    'nil Cannot read the cookies: the request has 501 and the limit is 500 limit',
  );
  assert.equal(await evaluate(`#httpd.cookies('a=' .. ('x'):rep(65534)).a`), '65534');
  assert.equal(
    await evaluate(`httpd.cookies('a=' .. ('x'):rep(65535))`),
    'nil Cannot read the cookies: the field has more bytes than the limit of 65536 limit',
  );
  assert.equal(
    await evaluate('httpd.cookies(true)'),
    `bad argument #1 to 'cookies' (string expected, got boolean)`,
  );
});

/** Calls, and what a browser gets; the first are of RFC 6265 §3.1. */
const MADE: readonly (readonly [args: string, expected: string])[] = [
  [`'SID', '31d4d96e407aad42'`, 'SID=31d4d96e407aad42; Path=/; HttpOnly; Secure; SameSite=Lax'],
  [
    `'SID', '31d4d96e407aad42', {domain = 'example.com', samesite = 'Strict'}`,
    'SID=31d4d96e407aad42; Domain=example.com; Path=/; HttpOnly; Secure; SameSite=Strict',
  ],
  [
    `'lang', 'en-US', {expires = 1623233894, secure = false, httponly = false}`,
    'lang=en-US; Path=/; Expires=Wed, 09 Jun 2021 10:18:14 GMT; SameSite=Lax',
  ],
  [`'lang', '', {max_age = 0}`, 'lang=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax'],
  [
    `'a', 'b', {path = '/docs', max_age = 3600, samesite = 'none', partitioned = true}`,
    'a=b; Max-Age=3600; Path=/docs; HttpOnly; Secure; Partitioned; SameSite=None',
  ],
  [`'__Host-a', 'b'`, '__Host-a=b; Path=/; HttpOnly; Secure; SameSite=Lax'],
  [
    `'__Secure-a', 'b', {domain = 'a.test'}`,
    '__Secure-a=b; Domain=a.test; Path=/; HttpOnly; Secure; SameSite=Lax',
  ],
];

for (const [args, expected] of MADE) {
  test(`cookie(${args}) is ${expected}`, async () => {
    assert.equal(await evaluate(`httpd.cookie(${args})`), expected);
  });
}

const PATH = 'a path that begins with "/" and has no ";"';
const VALUE = 'a value has visible ASCII characters without ",;\\ and quotes: encode it, as by base64url';

/** Calls that raise: each would be another header, another cookie, or one that browsers drop. */
const REFUSED: readonly (readonly [args: string, expected: string])[] = [
  [`'', 'b'`, `bad argument #1 to 'cookie' ("" is no token)`],
  [`'a b', 'c'`, `bad argument #1 to 'cookie' ("a b" is no token)`],
  [`'a=b', 'c'`, `bad argument #1 to 'cookie' ("a=b" is no token)`],
  [`'a\\r\\nset-cookie: x', 'c'`, `bad argument #1 to 'cookie' ("a\\r\\nset-cookie: x" is no token)`],
  ...[
    `'b\\r\\nset-cookie: x=y'`,
    `'b; domain=evil.test'`,
    `'a b'`,
    `'"b"'`,
    `'b,c'`,
    `'b\\\\c'`,
    `'\\xfc'`,
    `'b\\0'`,
    `'\\x7f'`,
  ].map((value) => [`'a', ${value}`, `bad argument #2 to 'cookie' (${VALUE})`] as const),
  [`'a', 'b', {path = 'docs'}`, `option "path" is "docs" (${PATH} was expected)`],
  [
    `'a', 'b', {path = '/; domain=evil.test'}`,
    `option "path" is "/; domain=evil.test" (${PATH} was expected)`,
  ],
  [`'a', 'b', {path = '/\\r\\nx: y'}`, `option "path" is "/\\r\\nx: y" (${PATH} was expected)`],
  [
    `'a', 'b', {domain = 'a.test; path=/'}`,
    `option "domain" is "a.test; path=/" (the name of a host was expected)`,
  ],
  [`'a', 'b', {domain = 'a..test'}`, `option "domain" is "a..test" (the name of a host was expected)`],
  [`'a', 'b', {domain = ''}`, `option "domain" is "" (the name of a host was expected)`],
  [`'a', 'b', {path = '/' .. ('x'):rep(1024)}`, 'option "path" has 1025 bytes and the limit is 1024'],
  [`'a', 'b', {max_age = 1.5}`, 'option "max_age" is a number (an integer was expected)'],
  [`'a', 'b', {max_age = 315360001}`, 'option "max_age" is 315360001 and the limit is 315360000 s'],
  [
    `'a', 'b', {expires = 'tomorrow'}`,
    'option "expires" is a string (a time in seconds since 1970 was expected)',
  ],
  [
    `'a', 'b', {expires = 1e15}`,
    'option "expires" is 1000000000000000 (a time from 1970 to 9999 was expected)',
  ],
  [`'a', 'b', {samesite = 'Laxly'}`, 'option "samesite" is "Laxly" ("Strict", "Lax" or "None" was expected)'],
  [
    `'a', 'b', {samesite = 'None', secure = false}`,
    'option "secure" is false, and samesite = "None" needs it',
  ],
  [`'a', 'b', {partitioned = true, secure = false}`, 'option "secure" is false, and partitioned needs it'],
  [`'__Secure-a', 'b', {secure = false}`, 'option "secure" is false, and a name with this prefix needs it'],
  [`'__HOST-a', 'b', {secure = false}`, 'option "secure" is false, and a name with this prefix needs it'],
  [`'__Host-a', 'b', {path = '/x'}`, 'option "path" has to be "/" for a name that begins with "__Host-"'],
  [`'__Host-a', 'b', {domain = 'a.test'}`, 'a name that begins with "__Host-" takes no option "domain"'],
  [`'a', 'b', {httpOnly = true}`, 'cookie has no option "httpOnly"'],
  [
    `'a', ('b'):rep(4096)`,
    `bad argument #2 to 'cookie' (name and value have 4097 bytes and the limit is 4096)`,
  ],
  [
    `'a', ('b'):rep(4097)`,
    `bad argument #2 to 'cookie' (string of 4097 bytes is longer than the limit of 4096)`,
  ],
];

for (const [args, expected] of REFUSED) {
  test(`cookie(${args}) raises`, async () => {
    assert.equal(await evaluate(`httpd.cookie(${args})`), expected);
  });
}

test('A cookie of 4096 bytes is made, and what is made is read back', async () => {
  assert.equal(
    await evaluate(
      `#httpd.cookie('a', ('b'):rep(4095)), httpd.cookies((httpd.cookie('a', 'b=c&d')):match '^[^;]*').a`,
    ),
    '4137 b=c&d',
  );
});

test('No name, value or attribute brings a line end or another attribute into the field', async () => {
  const bytes = fc.uint8Array({ maxLength: 12 });
  const quoted = (text: Uint8Array): string =>
    `'${[...text].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}'`;
  await fc.assert(
    fc.asyncProperty(bytes, bytes, bytes, bytes, async (name, value, path, domain) => {
      const options = `{path = '/' .. ${quoted(path)}, domain = ${quoted(domain)}}`;
      for (const args of [`${quoted(name)}, ${quoted(value)}`, `'a', 'b', ${options}`]) {
        const made = await evaluate(`httpd.cookie(${args})`);
        if (/^(?:bad argument|option )/.test(made)) continue;
        assert.match(
          made,
          /^[!-~]+=[!-~]*(?:; Domain=[a-zA-Z0-9.-]+)?; Path=\/[ -:<-~]*; HttpOnly; Secure; SameSite=Lax$/,
        );
      }
    }),
    { numRuns: 300 },
  );
});

/** Which form is chosen; `none`: the field is not sent. */
const CHOSEN: readonly (readonly [
  field: string,
  value: string | undefined,
  forms: string,
  expected: string,
])[] = [
  ['accept', undefined, `'text/html', 'application/json'`, 'text/html'],
  ['accept', '*/*', `'text/html', 'application/json'`, 'text/html'],
  ['accept', 'application/json', `'text/html', 'application/json'`, 'application/json'],
  ['accept', 'application/xml', `'text/html', 'application/json'`, 'nil'],
  ['accept', 'text/html;q=0.5, application/json', `'text/html', 'application/json'`, 'application/json'],
  ['accept', 'text/html;q=0, */*;q=0.1', `'text/html', 'application/json'`, 'application/json'],
  [
    'accept',
    'text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed',
    `'text/plain', 'text/html'`,
    'text/plain',
  ],
  // RFC 9110 §12.5.1: the most specific range decides
  ['accept', 'text/*, text/html;q=0.1', `'text/html', 'text/plain'`, 'text/plain'],
  [
    'accept',
    'text/html;level=1, text/html;q=0.7',
    `'text/html;level=2', 'text/html;level=1'`,
    'text/html;level=1',
  ],
  ['accept', 'TEXT/HTML', `'text/html'`, 'text/html'],
  ['accept', 'text/html;q=0.001', `'text/html'`, 'text/html'],
  ['accept', 'nonsense, /, ;;, text/html', `'text/html'`, 'text/html'],
  ['accept-language', undefined, `'de', 'en'`, 'de'],
  ['accept-language', 'da, en-gb;q=0.8, en;q=0.7', `'de', 'en'`, 'en'],
  ['accept-language', 'de-CH', `'en', 'de'`, 'de'],
  ['accept-language', 'fr, *;q=0.1', `'en', 'de'`, 'en'],
  ['accept-language', 'fr', `'en', 'de'`, 'nil'],
  ['accept-encoding', undefined, `'gzip', 'identity'`, 'identity'],
  ['accept-encoding', 'gzip, br;q=1.0', `'br', 'gzip', 'identity'`, 'gzip'],
  ['accept-encoding', 'gzip;q=0.5, br;q=1.0', `'gzip', 'br', 'identity'`, 'br'],
  ['accept-encoding', 'identity;q=0, gzip', `'identity', 'gzip'`, 'gzip'],
  ['accept-encoding', '*;q=0', `'gzip'`, 'nil'],
  ['accept-charset', 'iso-8859-5, utf-8;q=0.8', `'utf-8', 'iso-8859-1'`, 'utf-8'],
];

for (const [field, value, forms, expected] of CHOSEN) {
  test(`Of ${forms} "${field}: ${value ?? '(none)'}" wants ${expected}`, async () => {
    const fields = value === undefined ? [] : [field, value];
    assert.equal(await evaluate(`httpd.accepts({${forms}}, '${field}')`, fields), expected);
  });
}

test('accepts looks at "accept" where no field is named, and refuses what is too much', async () => {
  assert.equal(await evaluate(`httpd.accepts{'a/b', 'c/d'}`, ['Accept', 'c/d']), 'c/d');
  const list = Array.from({ length: 101 }, () => 'a/b');
  assert.equal(await evaluate(`httpd.accepts{'a/b'}`, ['accept', list.slice(1).join()]), 'a/b');
  const limit = 'is longer than the limits of 4096 bytes and 100 entries limit';
  assert.equal(
    await evaluate(`httpd.accepts{'a/b'}`, ['accept', list.join()]),
    `nil Cannot choose: "accept" ${limit}`,
  );
  assert.equal(
    await evaluate(`httpd.accepts{'a/b'}`, ['accept', `a/b;x=${'y'.repeat(4092)}`]),
    `nil Cannot choose: "accept" ${limit}`,
  );
  for (const [call, expected] of [
    [`httpd.accepts{}`, `bad argument #1 to 'accepts' (list of 0 entries (1 to 32 were expected))`],
    [`httpd.accepts{1}`, 'entry 1 of the list is a number'],
    [
      `httpd.accepts({'a'}, 'host')`,
      `bad argument #2 to 'accepts' ('host' is none of accept, accept-language, accept-encoding, accept-charset)`,
    ],
  ] as const)
    assert.equal(await evaluate(call), expected);
});

test('Whatever a client sends, one of the forms is chosen or none', async () => {
  const word = fc.constantFrom(
    'text',
    'html',
    '*',
    '/',
    ';',
    'q=',
    '0.5',
    '1',
    ',',
    '=',
    '"',
    '-',
    'en',
    'gzip',
    ' ',
    '\t',
    '\xe4',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 20 }), async (words) => {
      for (const [field, forms] of [
        ['accept', `'text/html', 'text/plain'`],
        ['accept-language', `'en', 'de'`],
        ['accept-encoding', `'gzip', 'identity'`],
        ['accept-charset', `'utf-8'`],
      ] as const) {
        const chosen = await evaluate(`httpd.accepts({${forms}}, '${field}')`, [field, words.join('')]);
        assert.ok(chosen === 'nil' || forms.includes(`'${chosen}'`), chosen);
      }
    }),
    { numRuns: 200 },
  );
});
