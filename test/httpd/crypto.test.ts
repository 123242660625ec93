/** httpd.crypto: vectors of the RFCs, what is refused, and that computations in the pool are bounded and leave nothing behind. */
import assert from 'node:assert/strict';
import {
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  pbkdf2Sync,
  randomBytes,
  sign as signWith,
  verify as verifyWith,
} from 'node:crypto';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { eventually, ScriptHarness } from '../support/script-harness.ts';

let harness: ScriptHarness;

before(async () => {
  harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local hex = function(s) return s and (s:gsub('.', function(c) return ('%02x'):format(c:byte()) end)) end
    local unhex = function(s) return (s:gsub('%x%x', function(d) return string.char(tonumber(d, 16)) end)) end
    httpd.register_handler('/eval', function(env)
      local code = httpd.read(nil, 'a')
      local environment = setmetatable({httpd = httpd, c = httpd.crypto, hex = hex, unhex = unhex}, {__index = _G})
      local r = table.pack(pcall(assert(load(code, '=code', 't', environment))))
      for i = 1, r.n do r[i] = tostring(r[i]) end
      httpd.write(nil, table.concat(r, ' ', 2, r.n))
    end)`,
  );
});
after(() => harness.close());

async function run(code: string): Promise<string> {
  const { text, status } = await harness.request('/eval', { body: Buffer.from(code, 'latin1') });
  assert.equal(status, 200, harness.log.join('\n'));
  return text.replace(/^code:1: /, '');
}

const evaluate = (expression: string): Promise<string> => run(`return ${expression}`);

const literal = (bytes: Uint8Array): string => `unhex '${Buffer.from(bytes).toString('hex')}'`;

const rsa = pair('rsa', { modulusLength: 2048 });
const ec = pair('ec', { namedCurve: 'P-256' });
const p384 = pair('ec', { namedCurve: 'P-384' });
const ed = pair('ed25519');

function pair(
  kind: string,
  options: object = {},
): { readonly publicKey: string; readonly privateKey: string } {
  // the overloads of each kind ask for its own options
  const generate = generateKeyPairSync as unknown as (
    kind: string,
    options: object,
  ) => { publicKey: string; privateKey: string };
  return generate(kind, {
    ...options,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

/** An RSA key of 4104 bits, of numbers that are no primes: to find such takes seconds, and no key of this length is used. */
function longRsa(): { readonly publicKey: string; readonly privateKey: string } {
  const [p = 0n, q = 0n] = [257, 256].map((size) => {
    const bytes = randomBytes(size);
    // the product has all bits
    bytes[0] = (bytes[0] as number) | 0xc0;
    bytes[size - 1] = (bytes[size - 1] as number) | 1;
    return BigInt(`0x${bytes.toString('hex')}`);
  });
  const text = (n: bigint): string => {
    const digits = n.toString(16);
    return Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex').toString(
      'base64url',
    );
  };
  const [n, d, dp, dq, qi] = [p * q, p * (q >> 2n), p >> 1n, q >> 1n, q >> 1n].map(text);
  const key = { kty: 'RSA', n, e: 'AQAB', d, p: text(p), q: text(q), dp, dq, qi } as JsonWebKey;
  const made = createPrivateKey({ key, format: 'jwk' });
  return {
    publicKey: createPublicKey(made).export({ format: 'pem', type: 'spki' }).toString(),
    privateKey: made.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
}

const pem = (text: string): string => `[[${text}]]`;

/** RFC 4231 §4: key, data, and what HMAC-SHA-224, 256, 384 and 512 make of them. Case 5 is cut to 128 bits. */
const RFC_4231: readonly (readonly [
  key: string,
  data: string,
  digests: readonly [string, string, string, string],
])[] = [
  [
    '0b'.repeat(20),
    Buffer.from('Hi There').toString('hex'),
    [
      '896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22',
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
      'afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6',
      '87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854',
    ],
  ],
  [
    Buffer.from('Jefe').toString('hex'),
    Buffer.from('what do ya want for nothing?').toString('hex'),
    [
      'a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44',
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
      'af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649',
      '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
    ],
  ],
  [
    'aa'.repeat(20),
    'dd'.repeat(50),
    [
      '7fb3cb3588c6c1f6ffa9694d7d6ad2649365b0c1f65d69d1ec8333ea',
      '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
      '88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27',
      'fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb',
    ],
  ],
  [
    'aa'.repeat(131),
    Buffer.from('Test Using Larger Than Block-Size Key - Hash Key First').toString('hex'),
    [
      '95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e',
      '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
      '4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952',
      '80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598',
    ],
  ],
];

test('hmac makes what RFC 4231 says', async () => {
  for (const [key, data, digests] of RFC_4231)
    for (const [i, algorithm] of (['sha224', 'sha256', 'sha384', 'sha512'] as const).entries())
      assert.equal(
        await evaluate(`c.hmac('${algorithm}', unhex '${key}', unhex '${data}', 'hex')`),
        digests[i],
        algorithm,
      );
});

test('hmac takes strings of any length, empty keys and any case of the name, and gives bytes', async () => {
  for (const size of [0, 1, 65_536, 65_537, 1_000_000]) {
    const expected = createHmac('sha256', 'k').update('x'.repeat(size)).digest('hex');
    assert.equal(await evaluate(`hex(c.hmac('SHA256', 'k', ('x'):rep(${size})))`), expected, `${size} bytes`);
  }
  const empty = createHmac('sha1', '').update('').digest('hex');
  assert.equal(await evaluate(`c.hmac('sha1', '', '', 'hex')`), empty);
});

test('hmac reads a file to its end as hash does', async () => {
  harness.writeFile('long.bin', 'x'.repeat(300_000));
  const expected = createHmac('sha256', 'k').update('x'.repeat(300_000)).digest('hex');
  assert.equal(await evaluate(`c.hmac('sha256', 'k', io.open('long.bin'), 'hex')`), expected);
});

/** What is called, and what is said of it. */
const REFUSED: readonly (readonly [code: string, expected: string])[] = [
  [`c.hmac('nope', 'k', 's')`, `bad argument #1 to 'hmac' (unknown hash algorithm 'nope')`],
  [`c.hmac('shake128', 'k', 's')`, `bad argument #1 to 'hmac' (hash algorithm 'shake128' makes no hmac)`],
  [`c.hmac('sha256', 'k')`, `wrong number of arguments to 'hmac' (3 or 4 expected, got 2)`],
  [`c.hmac('sha256', {}, 's')`, `bad argument #2 to 'hmac' (string expected, got table)`],
  [`c.hmac('sha256', 'k', 's', 'base64')`, `bad argument #4 to 'hmac' (unknown format 'base64')`],
  [
    `c.hmac('sha256', ('k'):rep(131073), 's')`,
    `bad argument #2 to 'hmac' (key of 131073 bytes is longer than the limit of 131072)`,
  ],
  [`c.random(65537)`, `bad argument #1 to 'random' (0 to 65536 expected)`],
  [`c.random(-1)`, `bad argument #1 to 'random' (0 to 65536 expected)`],
  [`c.random(1.5)`, `bad argument #1 to 'random' (number has no integer representation)`],
  [`c.equal('a')`, `wrong number of arguments to 'equal' (2 expected, got 1)`],
  [`c.equal('a', nil)`, `bad argument #2 to 'equal' (string expected, got nil)`],
  [`c.seal('short', 's')`, `bad argument #1 to 'seal' (key of 5 bytes, and 32 were expected)`],
  [`c.open(('k'):rep(33), 's')`, `bad argument #1 to 'open' (key of 33 bytes, and 32 were expected)`],
  [
    `c.seal(('k'):rep(32), 's', ('a'):rep(1025))`,
    `bad argument #3 to 'seal' (string of 1025 bytes is longer than the limit of 1024)`,
  ],
  [`c.kdf('p', 's', {n = 1000})`, `option "n" is 1000 (a power of 2 was expected)`],
  [`c.kdf('p', 's', {n = 1})`, `option "n" is 1 (a power of 2 was expected)`],
  [
    `c.kdf('p', 's', {n = 262144})`,
    'scrypt would need 268435456 bytes and the limit is 134217728: 128 · n · r',
  ],
  [`c.kdf('p', 's', {n = 131072, p = 3})`, 'n · r · p is 3145728 and the limit is 2097152'],
  [`c.kdf('p', 's', {n = 0})`, 'option "n" is 0 (1 or more was expected)'],
  [`c.kdf('p', 's', {n = 'x'})`, 'option "n" is a string (an integer was expected)'],
  [`c.kdf('p', 's', {length = 1025})`, 'option "length" is 1025 and the limit is 1024'],
  [`c.kdf('p', 's', {kind = 'md5'})`, 'option "kind" is "md5" ("scrypt" or "pbkdf2" was expected)'],
  [`c.kdf('p', 's', {kind = 'pbkdf2', hash = 'md5'})`, 'pbkdf2 knows no hash "md5"'],
  [`c.kdf('p', 's', {kind = 'pbkdf2', hash = 'toString'})`, 'pbkdf2 knows no hash "tostring"'],
  [
    `c.kdf('p', 's', {kind = 'pbkdf2', iterations = 2000001})`,
    '2000001 iterations for 32 bytes are more than the limit of 2000000 in all',
  ],
  [
    `c.kdf('p', 's', {kind = 'pbkdf2', iterations = 1000001, length = 33})`,
    '1000001 iterations for 33 bytes are more than the limit of 2000000 in all',
  ],
  [
    `c.kdf('p', 's', {kind = 'pbkdf2', n = 2})`,
    'pbkdf2 has the options "iterations" and "hash", not "n", "r" or "p"',
  ],
  [
    `c.kdf('p', 's', {iterations = 2})`,
    'scrypt has the options "n", "r" and "p", not "iterations" or "hash"',
  ],
  [`c.kdf('p', 's', {salt = 'x'})`, 'kdf has no option "salt"'],
  [
    `c.kdf(('p'):rep(4097), 's')`,
    'nil Cannot derive a key: the password has 4097 bytes and the limit is 4096 limit',
  ],
  [
    `c.kdf('p', ('s'):rep(1025))`,
    'nil Cannot derive a key: the salt has 1025 bytes and the limit is 1024 limit',
  ],
  [`c.sign('no key', 's')`, 'nil Cannot sign: the text has no unencrypted private key in PEM invalid'],
  [
    `c.verify('no key', 's', 'x')`,
    'nil Cannot verify: the text has no public key or certificate in PEM invalid',
  ],
  [`c.sign(('k'):rep(8193), 's')`, 'nil Cannot sign: the key has 8193 bytes and the limit is 8192 limit'],
];

for (const [code, expected] of REFUSED) {
  test(`${code} is refused`, async () => {
    assert.equal(await evaluate(code), expected);
  });
}

test('random gives as many bytes as it is asked for, and others each time', async () => {
  assert.equal(await evaluate('#c.random(0), #c.random(1), #c.random(65536)'), '0 1 65536');
  assert.equal(await evaluate('c.random(16) ~= c.random(16)'), 'true');
});

test('equal compares bytes, and lengths', async () => {
  assert.equal(
    await evaluate(
      `c.equal('', ''), c.equal('a', 'a'), c.equal('a', 'b'), c.equal('a', 'aa'), c.equal('\\0a', '\\0b')`,
    ),
    'true true false false false',
  );
  assert.equal(await evaluate(`c.equal(12, '12'), c.equal(('x'):rep(1e6), ('x'):rep(1e6))`), 'true true');
});

test('kdf makes what RFC 7914 §12 says, and PBKDF2 what node:crypto makes', async () => {
  const vectors: readonly (readonly [string, string])[] = [
    [
      `'', '', {n = 16, r = 1, p = 1, length = 64}`,
      '77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906',
    ],
    [
      `'password', 'NaCl', {n = 1024, r = 8, p = 16, length = 64}`,
      'fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640',
    ],
  ];
  for (const [args, expected] of vectors) assert.equal(await evaluate(`hex(c.kdf(${args}))`), expected);
  assert.equal(
    await evaluate(`hex(c.kdf('passwd', 'salt', {kind = 'pbkdf2', iterations = 1, length = 64}))`),
    pbkdf2Sync('passwd', 'salt', 1, 64, 'sha256').toString('hex'),
  );
});

test('kdf takes the documented cost where nothing is said, up to its largest', async () => {
  // of node:crypto's scryptSync with N 16384, r 8 and p 5, and with N 131072, r 8 and p 1
  assert.equal(
    await evaluate(`hex(c.kdf('p', 's'))`),
    'ced3ed57b8b209ac37d4f8a71d82969c27300b3d78cf0785799f39aa3ba2375e',
  );
  assert.equal(
    await evaluate(`hex(c.kdf('p', 's', {n = 131072, p = 1, length = 16}))`),
    '2aafb3e40e1580930bfaae7f48fd1bd6',
  );
  assert.equal(
    await evaluate(
      `hex(c.kdf('p', 's', {kind = 'pbkdf2', iterations = 1000, hash = 'sha512', length = 64}))`,
    ),
    pbkdf2Sync('p', 's', 1000, 64, 'sha512').toString('hex'),
  );
});

test('Other requests run while a key is derived, and those beyond the limit are refused', async () => {
  const slow = harness.begin('/eval', { body: Buffer.from(`return #c.kdf('p', 's', {n = 65536, p = 2})`) });
  assert.equal(await evaluate(`'beside'`), 'beside');
  assert.equal(slow.text, '', 'it is not ready yet');
  const tasks = `
    local tasks, refused = {}, 0
    for i = 1, 40 do
      tasks[i] = httpd.spawn(function() return c.kdf('p', 's', {n = 1024, p = 1}) end)
    end
    local messages, first = {}
    for i = 1, 40 do
      local _, ok, key, message, code = httpd.wait(tasks[i])
      if ok and not key then refused, first = refused + 1, code .. ': ' .. message end
    end
    return refused, first`;
  assert.equal(
    await run(tasks),
    '8 limit: Cannot begin: 32 derivations of keys wait and the limit of a mapping is 32',
  );
  await slow.closed;
  assert.equal(slow.text, '32');
});

test('A client that goes away takes its derivation out of the queue', async () => {
  const first = harness.begin('/eval', { body: Buffer.from(`return #c.kdf('p', 's', {n = 65536, p = 2})`) });
  const waiting = Array.from({ length: 32 }, () =>
    harness.begin('/eval', { body: Buffer.from(`return #c.kdf('p', 's', {n = 1024, p = 1})`) }),
  );
  for (const exchange of waiting) exchange.abort();
  // there is room for as many again, and none of those that left is begun in the thread of another request
  const next = Array.from({ length: 32 }, () =>
    harness.begin('/eval', { body: Buffer.from(`return #c.kdf('p', 's', {n = 1024, p = 1})`) }),
  );
  for (const exchange of [first, ...next]) {
    await exchange.closed;
    assert.equal(exchange.text, '32');
  }
  await harness.expectNothingOpen();
});

test('seal and open are AES-256-GCM with a version, a nonce and a tag', async () => {
  const sealed = Buffer.from(await evaluate(`hex(c.seal(('k'):rep(32), 'text', 'bound'))`), 'hex');
  assert.equal(sealed.length, 4 + 29);
  assert.equal(sealed[0], 1);
  const decipher = createDecipheriv('aes-256-gcm', Buffer.alloc(32, 'k'), sealed.subarray(1, 13));
  decipher.setAAD(Buffer.from('bound')).setAuthTag(sealed.subarray(-16));
  assert.equal(decipher.update(sealed.subarray(13, -16), undefined, 'utf8') + decipher.final('utf8'), 'text');
  assert.equal(await evaluate(`c.open(('k'):rep(32), ${literal(sealed)}, 'bound')`), 'text');
  assert.equal(await evaluate(`c.seal(('k'):rep(32), 'x') ~= c.seal(('k'):rep(32), 'x')`), 'true');
});

const CHANGED = 'nil Cannot open the seal: it has been changed, or was made with another key invalid';

test('A seal that was changed at any byte, cut anywhere, or is opened with something else is none', async () => {
  const code = `
    local key = ('k'):rep(32)
    local sealed = c.seal(key, 'some text', 'bound')
    local opened = 0
    for i = 1, #sealed do
      for _, bit in ipairs {1, 128} do
        local changed = sealed:sub(1, i - 1) .. string.char(sealed:byte(i) ~ bit) .. sealed:sub(i + 1)
        local text, message, invalid = c.open(key, changed, 'bound')
        if text or invalid ~= 'invalid' then opened = opened + 1 end
      end
      if c.open(key, sealed:sub(1, i - 1), 'bound') then opened = opened + 1 end
    end
    for _, wrong in ipairs {
      {('K'):rep(32), sealed, 'bound'}, {key, sealed}, {key, sealed, ''}, {key, sealed, 'Bound'}, {key, sealed .. 'x', 'bound'}, {key, ''},
    } do
      if c.open(table.unpack(wrong, 1, 3)) then opened = opened + 1 end
    end
    return opened, c.open(key, sealed, 'bound')`;
  assert.equal(await run(code), '0 some text');
  assert.equal(await evaluate(`c.open(('k'):rep(32), 'no seal')`), CHANGED);
});

test('seal takes a mebibyte and open what comes of it; one byte more is too much', async () => {
  const key = `('k'):rep(32)`;
  assert.equal(await evaluate(`#c.open(${key}, c.seal(${key}, ('x'):rep(1048576)))`), '1048576');
  assert.equal(
    await evaluate(`c.seal(${key}, ('x'):rep(1048577))`),
    'nil Cannot seal: the text has 1048577 bytes and the limit is 1048576 limit',
  );
  assert.equal(
    await evaluate(`c.open(${key}, ('x'):rep(1048606))`),
    'nil Cannot open: the seal has 1048606 bytes and the limit is 1048605 limit',
  );
});

test('Whatever is given to open, it gives nil and "invalid" or what was sealed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 100 }),
      fc.uint8Array({ maxLength: 20 }),
      async (bytes, bound) => {
        assert.equal(await evaluate(`c.open(('k'):rep(32), ${literal(bytes)}, ${literal(bound)})`), CHANGED);
        const key = `('k'):rep(32)`;
        const sealed = `c.seal(${key}, ${literal(bytes)}, ${literal(bound)})`;
        assert.equal(
          await evaluate(`'=' .. hex(c.open(${key}, ${sealed}, ${literal(bound)}))`),
          `=${Buffer.from(bytes).toString('hex')}`,
        );
      },
    ),
    { numRuns: 100 },
  );
});

/** The options of our functions, and those of node:crypto for the same. */
const SIGNATURES: readonly (readonly [
  name: string,
  keys: { readonly publicKey: string; readonly privateKey: string },
  options: string,
  hash: string | null,
  input: object,
])[] = [
  ['RSA with PKCS #1 v1.5', rsa, '', 'sha256', {}],
  ['RSA with PSS', rsa, `, {padding = 'pss', hash = 'sha384'}`, 'sha384', { padding: 6, saltLength: -1 }],
  ['P-256 in ASN.1', ec, '', 'sha256', {}],
  ['P-256 in two numbers', ec, `, {encoding = 'raw'}`, 'sha256', { dsaEncoding: 'ieee-p1363' }],
  ['P-384', p384, `, {hash = 'sha512', encoding = 'der'}`, 'sha512', {}],
  ['Ed25519', ed, '', null, {}],
];

for (const [name, { publicKey, privateKey }, options, hash, input] of SIGNATURES) {
  test(`sign and verify do ${name} as node:crypto does`, async () => {
    const text = Buffer.from('a text');
    const signature = Buffer.from(
      await evaluate(`hex(c.sign(${pem(privateKey)}, 'a text'${options}))`),
      'hex',
    );
    assert.ok(verifyWith(hash, text, { key: publicKey, ...input }, signature));
    const theirs = signWith(hash, text, { key: privateKey, ...input });
    const verify = (bytes: Buffer, what: string): Promise<string> =>
      evaluate(`c.verify(${pem(publicKey)}, '${what}', ${literal(bytes)}${options})`);
    assert.equal(await verify(theirs, 'a text'), 'true');
    assert.equal(await verify(theirs, 'another text'), 'false');
    for (const at of [0, theirs.length >> 1, theirs.length - 1]) {
      const changed = Buffer.from(theirs);
      changed[at] = (changed[at] as number) ^ 1;
      assert.equal(await verify(changed, 'a text'), 'false', `changed at ${at}`);
    }
    assert.equal(await verify(Buffer.alloc(0), 'a text'), 'false');
    assert.equal(await verify(theirs.subarray(1), 'a text'), 'false');
  });
}

test('Ed25519 signs as the first and third vector of RFC 8032 §7.1 say', async () => {
  const keyOf = (seed: string): string =>
    `-----BEGIN PRIVATE KEY-----\n${Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex').toString('base64')}\n-----END PRIVATE KEY-----\n`;
  const vectors = [
    [
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ] as const;
  for (const [seed, text, signature] of vectors)
    assert.equal(await evaluate(`hex(c.sign(${pem(keyOf(seed))}, unhex '${text}'))`), signature);
});

test('verify takes the public part of a private key, and sign takes no public key', async () => {
  assert.equal(
    await evaluate(`c.verify(${pem(ed.privateKey)}, 'x', c.sign(${pem(ed.privateKey)}, 'x'))`),
    'true',
  );
  assert.match(await evaluate(`c.sign(${pem(ed.publicKey)}, 'x')`), /^nil Cannot sign: .* invalid$/);
});

/** Keys that would hold a thread, or are too weak. */
const KEYS: readonly (readonly [name: string, keys: ReturnType<typeof pair>, refusal: RegExp])[] = [
  [
    'RSA with 1024 bits',
    pair('rsa', { modulusLength: 1024 }),
    /it has 1024 bits \(2048 to 4096 are taken\) invalid$/,
  ],
  ['RSA with 4104 bits', longRsa(), /it has 4104 bits and the limit is 4096 limit$/],
  ['EC on another curve', pair('ec', { namedCurve: 'secp256k1' }), /its curve is not taken .* invalid$/],
  ['Ed448', pair('ed448'), /it is a key for ed448 .* invalid$/],
  ['DSA', pair('dsa', { modulusLength: 1024, divisorLength: 160 }), /it is a key for dsa .* invalid$/],
];

for (const [name, { publicKey, privateKey }, refusal] of KEYS) {
  test(`A key of the kind ${name} is refused`, async () => {
    assert.match(await evaluate(`c.sign(${pem(privateKey)}, 'x')`), refusal);
    assert.match(await evaluate(`c.verify(${pem(publicKey)}, 'x', 'y')`), refusal);
  });
}

test('An RSA key with a large public exponent is refused', async () => {
  const jwk = createPublicKey(rsa.publicKey).export({ format: 'jwk' });
  const withExponent = (e: string): string =>
    createPublicKey({ key: { ...jwk, e: Buffer.from(e, 'hex').toString('base64url') }, format: 'jwk' })
      .export({ format: 'pem', type: 'spki' })
      .toString();
  assert.equal(await evaluate(`c.verify(${pem(withExponent('ffffffff'))}, 'x', 'y')`), 'false');
  assert.match(
    await evaluate(`c.verify(${pem(withExponent('0100000001'))}, 'x', 'y')`),
    /its public exponent is above the limit of 2\^32 limit$/,
  );
});

test('Options that are none for the kind of the key are errors', async () => {
  const cases: readonly (readonly [string, string, string])[] = [
    [ed.privateKey, `{hash = 'sha256'}`, 'option "hash" is none for a key of the kind ed25519'],
    [ec.privateKey, `{padding = 'pss'}`, 'option "padding" is none for a key of the kind ec'],
    [rsa.privateKey, `{encoding = 'raw'}`, 'option "encoding" is none for a key of the kind rsa'],
    [
      rsa.privateKey,
      `{hash = 'md5'}`,
      'option "hash" is "md5" ("sha256" or "sha384" or "sha512" was expected)',
    ],
    [rsa.privateKey, `{salt = 1}`, 'sign has no option "salt"'],
  ];
  for (const [key, options, expected] of cases)
    assert.equal(await evaluate(`c.sign(${pem(key)}, 'x', ${options})`), expected);
});

test('Texts of a mebibyte are signed; longer ones, and long signatures, are refused', async () => {
  assert.equal(await evaluate(`#c.sign(${pem(ed.privateKey)}, ('x'):rep(1048576))`), '64');
  assert.equal(
    await evaluate(`c.sign(${pem(ed.privateKey)}, ('x'):rep(1048577))`),
    'nil Cannot sign: the text has 1048577 bytes and the limit is 1048576 limit',
  );
  assert.equal(
    await evaluate(`c.verify(${pem(ed.publicKey)}, 'x', ('s'):rep(1025))`),
    'nil Cannot verify: the signature has 1025 bytes and the limit is 1024 limit',
  );
});

test('What computes in the pool is an error where Lua cannot wait', async () => {
  const code = `
    local ok, message = pcall(table.sort, {1, 2, 3}, function() c.kdf('p', 's') end)
    return message`;
  assert.match(await run(code), /cannot wait for a computation here: a yield cannot cross this call/);
});

test('A script derives, signs and seals while it is loaded', async () => {
  const own = await ScriptHarness.load(`
    local httpd = require 'httpd'
    local key = httpd.crypto.kdf('password', 'salt', {n = 1024, p = 1})
    local sealed = httpd.crypto.seal(key, 'made at the start')
    httpd.register_handler('/run', function() httpd.write(nil, httpd.crypto.open(key, sealed)) end)`);
  try {
    assert.equal(await own.output(), 'made at the start');
  } finally {
    await own.close();
  }
});

test('A state that ends while its derivation runs is not woken by it', async () => {
  const own = await ScriptHarness.run(`say(#httpd.crypto.kdf('p', 's', {n = 65536, p = 1}))`);
  const exchange = own.begin('/run');
  await own.close();
  await eventually(() => assert.notEqual(exchange.text, '32\n'));
  // the next one of this thread begins when that has ended
  assert.equal(await evaluate(`#c.kdf('p', 's', {n = 1024, p = 1})`), '32');
});
