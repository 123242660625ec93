/** httpd.jwt: examples of the RFCs, tokens of node:crypto, and what must never be taken. */
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { ScriptHarness } from '../support/script-harness.ts';
import { SHOW_VALUE } from '../support/show-value.ts';

let harness: ScriptHarness;

before(async () => {
  harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    ${SHOW_VALUE}
    httpd.register_handler('/eval', function(env)
      local code = httpd.read(nil, 'a')
      local environment = setmetatable({httpd = httpd, jwt = httpd.jwt, K = ('k'):rep(64)}, {__index = _G})
      local r = table.pack(pcall(assert(load(code, '=code', 't', environment))))
      for i = 1, r.n do r[i] = show(r[i]) end
      httpd.write(nil, table.concat(r, ' ', 2, r.n))
    end)`,
  );
});
after(() => harness.close());

async function evaluate(expression: string): Promise<string> {
  const { text, status } = await harness.request('/eval', {
    body: Buffer.from(`return ${expression}`, 'latin1'),
  });
  assert.equal(status, 200, harness.log.join('\n'));
  return text.replace(/^code:\d+: /, '');
}

const encoded = (bytes: string | Buffer): string => Buffer.from(bytes).toString('base64url');

/** A token with any head and claims, signed with HS256. */
function hmacToken(head: object, claims: string, key: string | Buffer): string {
  const input = `${encoded(JSON.stringify(head))}.${encoded(claims)}`;
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
}

const KEY = 'k'.repeat(64);
const HS256 = { alg: 'HS256', typ: 'JWT' };
const now = (): number => Math.floor(Date.now() / 1000);

const rsa = pair('rsa', { modulusLength: 2048 });
const p256 = pair('ec', { namedCurve: 'P-256' });
const p384 = pair('ec', { namedCurve: 'P-384' });
const p521 = pair('ec', { namedCurve: 'P-521' });
const ed = pair('ed25519', {});

function pair(
  kind: string,
  options: object,
): { readonly publicPem: string; readonly privatePem: string; readonly key: KeyObject } {
  // the overloads of each kind ask for its own options
  const generate = generateKeyPairSync as unknown as (
    kind: string,
    options: object,
  ) => { publicKey: KeyObject; privateKey: KeyObject };
  const { publicKey, privateKey } = generate(kind, options);
  return {
    publicPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    privatePem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    key: privateKey,
  };
}

const pemOf = (jwk: object): string =>
  createPublicKey({ key: jwk as never, format: 'jwk' })
    .export({ format: 'pem', type: 'spki' })
    .toString();

const EXPIRED = 'nil Cannot take the token: it has expired denied';
const WRONG_SIGNATURE = 'nil Cannot take the token: its signature does not fit invalid';
const WRONG_ALGORITHM = 'nil Cannot take the token: its algorithm is none of those expected invalid';
const MALFORMED = 'nil Cannot take the token: it is malformed invalid';

const CLAIMS_OF_RFC =
  'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';

/** RFC 7515 appendix A. The tokens have expired in 2011, which is said only of those whose signature fits. */
const EXAMPLES: readonly (readonly [name: string, alg: string, key: string, token: string])[] = [
  [
    'A.1 (and RFC 7519 §3.1)',
    'HS256',
    `httpd.decode('base64url', 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow')`,
    `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${CLAIMS_OF_RFC}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`,
  ],
  [
    'A.2',
    'RS256',
    `[[${pemOf({ kty: 'RSA', e: 'AQAB', n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ' })}]]`,
    `eyJhbGciOiJSUzI1NiJ9.${CLAIMS_OF_RFC}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw`,
  ],
  [
    'A.3',
    'ES256',
    `[[${pemOf({
      kty: 'EC',
      crv: 'P-256',
      x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
      y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
    })}]]`,
    `eyJhbGciOiJFUzI1NiJ9.${CLAIMS_OF_RFC}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`,
  ],
];

for (const [name, alg, key, token] of EXAMPLES) {
  test(`The signature of RFC 7515 ${name} fits, and no other does`, async () => {
    assert.equal(await evaluate(`jwt.verify('${token}', ${key}, {alg = '${alg}'})`), EXPIRED);
    const at = token.lastIndexOf('.') + 5;
    const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
    assert.equal(await evaluate(`jwt.verify('${changed}', ${key}, {alg = '${alg}'})`), WRONG_SIGNATURE);
  });
}

test('The signature of RFC 8037 appendix A.4 fits; a token of claims that are no JSON is none', async () => {
  const key = pemOf({ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' });
  const input = 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc';
  const signature = 'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg';
  assert.equal(
    await evaluate(`httpd.crypto.verify([[${key}]], '${input}', httpd.decode('base64url', '${signature}'))`),
    'true',
  );
  assert.equal(await evaluate(`jwt.verify('${input}.${signature}', [[${key}]], {alg = 'EdDSA'})`), MALFORMED);
});

test('The unsecured token of RFC 7519 §6.1 is taken with no algorithm, and "none" cannot be asked for', async () => {
  const token = `eyJhbGciOiJub25lIn0.${CLAIMS_OF_RFC}.`;
  for (const [alg, key] of [
    ['HS256', 'K'],
    ['RS256', `[[${rsa.publicPem}]]`],
    ['EdDSA', `[[${ed.publicPem}]]`],
  ] as const)
    assert.equal(await evaluate(`jwt.verify('${token}', ${key}, {alg = '${alg}'})`), WRONG_ALGORITHM, alg);
  for (const none of ['none', 'None', 'NONE', 'nOnE', '', 'HS1', 'RSA-OAEP', 'toString'])
    assert.match(
      await evaluate(`jwt.verify('${token}', K, {alg = '${none}'})`),
      /^option "alg" has ".*" \(one of HS256, HS384, .* was expected\)$/,
      none,
    );
  assert.match(await evaluate(`jwt.sign({}, K, {alg = 'none'})`), /^option "alg" has "none"/);
  assert.equal(
    await evaluate(`jwt.verify('${token}', K, {})`),
    'option "alg" is missing: it says how tokens are signed',
  );
});

/** Algorithms, keys to sign and verify with as Lua has them, and how node:crypto signs the same. */
const ALGORITHMS: readonly (readonly [
  alg: string,
  signKey: string,
  verifyKey: string,
  signed: (input: Buffer) => Buffer,
])[] = [
  ...(['256', '384', '512'] as const).flatMap((bits) => {
    const bytes = (input: Buffer, options: object): Buffer =>
      sign(`sha${bits}`, input, { key: rsa.key, ...options });
    return [
      [`HS${bits}`, 'K', 'K', (input: Buffer) => createHmac(`sha${bits}`, KEY).update(input).digest()],
      [`RS${bits}`, `[[${rsa.privatePem}]]`, `[[${rsa.publicPem}]]`, (input: Buffer) => bytes(input, {})],
      [
        `PS${bits}`,
        `[[${rsa.privatePem}]]`,
        `[[${rsa.publicPem}]]`,
        (input: Buffer) => bytes(input, { padding: 6, saltLength: -1 }),
      ],
    ] as const;
  }),
  ...(
    [
      ['256', p256],
      ['384', p384],
      ['512', p521],
    ] as const
  ).map(
    ([bits, { key, privatePem, publicPem }]) =>
      [
        `ES${bits}`,
        `[[${privatePem}]]`,
        `[[${publicPem}]]`,
        (input: Buffer) => sign(`sha${bits}`, input, { key, dsaEncoding: 'ieee-p1363' }),
      ] as const,
  ),
  ['EdDSA', `[[${ed.privatePem}]]`, `[[${ed.publicPem}]]`, (input) => sign(null, input, ed.key)],
];

for (const [alg, signKey, verifyKey, signed] of ALGORITHMS) {
  test(`${alg}: tokens of node:crypto are taken, ours are, and those of no other algorithm`, async () => {
    const input = `${encoded(JSON.stringify({ alg }))}.${encoded('{"n":9007199254740993,"f":1.5,"s":"\u00fc","list":[]}')}`;
    const theirs = `${input}.${encoded(signed(Buffer.from(input)))}`;
    assert.equal(
      await evaluate(`jwt.verify('${theirs}', ${verifyKey}, {alg = '${alg}'})`),
      '{f=1.5,list={},n=i9007199254740993,s=\u00c3\u00bc}'.replace(
        '\u00c3\u00bc',
        Buffer.from('ü').toString('latin1'),
      ),
    );
    assert.equal(
      await evaluate(
        `jwt.verify(jwt.sign({a = 1, b = {'x'}}, ${signKey}, {alg = '${alg}'}), ${verifyKey}, {alg = {'${alg}'}})`,
      ),
      '{a=i1,b={1=x}}',
    );
    const head = await evaluate(
      `httpd.decode('base64url', jwt.sign({a = 1}, ${signKey}, {alg = '${alg}'}):match '^[^.]+')`,
    );
    assert.deepEqual(JSON.parse(head), { alg, typ: 'JWT' });
    // signed as it should be, and by its head something else
    for (const other of ['none', 'HS256', 'RS256', 'ES256', 'EdDSA'].filter((name) => name !== alg)) {
      const claimed = `${encoded(JSON.stringify({ alg: other }))}.${encoded('{}')}`;
      const token = `${claimed}.${encoded(signed(Buffer.from(claimed)))}`;
      assert.equal(
        await evaluate(`jwt.verify('${token}', ${verifyKey}, {alg = '${alg}'})`),
        WRONG_ALGORITHM,
        other,
      );
    }
  });
}

test('A public key is no secret: tokens signed with it by HMAC are not taken, whatever the options say', async () => {
  const token = hmacToken(HS256, '{"admin":true}', rsa.publicPem);
  assert.equal(
    await evaluate(`jwt.verify('${token}', [[${rsa.publicPem}]], {alg = 'RS256'})`),
    WRONG_ALGORITHM,
  );
  assert.equal(
    await evaluate(`jwt.verify('${token}', [[${rsa.publicPem}]], {alg = {'RS256', 'HS256'}})`),
    'option "alg" has RS256 and HS256, which take keys of different kinds',
  );
  const noSecret = `bad argument #2 to 'verify' (a key of another kind is no secret for HS256)`;
  const der = createPublicKey(rsa.publicPem).export({ format: 'der', type: 'spki' });
  const jwk = JSON.stringify(createPublicKey(rsa.publicPem).export({ format: 'jwk' }));
  for (const key of [
    `[[${rsa.publicPem}]]`,
    `[[${rsa.publicPem.trim()}]]`,
    `'  ' .. [[${rsa.publicPem}]]`,
    `httpd.decode('hex', '${der.toString('hex')}')`,
    `'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7'`,
    `[[${jwk}]]`,
  ])
    assert.equal(
      await evaluate(`jwt.verify('${token}', ${key}, {alg = 'HS256'})`),
      noSecret,
      key.slice(0, 40),
    );
});

test('Secrets are as long as the hash, and keys fit the algorithm', async () => {
  const cases: readonly (readonly [string, string, string])[] = [
    [`('k'):rep(31)`, 'HS256', 'a secret of 31 bytes is too short for HS256 (32)'],
    [`('k'):rep(47)`, 'HS384', 'a secret of 47 bytes is too short for HS384 (48)'],
    [`('k'):rep(63)`, 'HS512', 'a secret of 63 bytes is too short for HS512 (64)'],
    [`[[${p256.privatePem}]]`, 'RS256', 'the key is none for RS256'],
    [`[[${p256.privatePem}]]`, 'ES384', 'the key is none for ES384'],
    [`[[${rsa.privatePem}]]`, 'EdDSA', 'the key is none for EdDSA'],
    [`[[${ed.privatePem}]]`, 'ES256', 'the key is none for ES256'],
  ];
  for (const [key, alg, fault] of cases)
    assert.equal(
      await evaluate(`jwt.sign({}, ${key}, {alg = '${alg}'})`),
      `bad argument #2 to 'sign' (${fault})`,
    );
  assert.match(
    await evaluate(`jwt.verify('a.b.c', 'no key', {alg = 'RS256'})`),
    /^nil Cannot verify: the text has no public key or certificate in PEM invalid$/,
  );
  assert.match(
    await evaluate(`jwt.sign({}, [[${rsa.publicPem}]], {alg = 'RS256'})`),
    /^nil Cannot sign: the text has no unencrypted private key .* invalid$/,
  );
});

/** Claims, options, and what comes of them: `{…}` is what is taken. */
const CHECKS: readonly (readonly [name: string, claims: () => object, options: string, expected: string])[] =
  [
    ['no claims', () => ({}), '', '{}'],
    ['a time that has not come', () => ({ exp: now() + 60 }), '', '{exp=i'],
    ['a time that is over', () => ({ exp: now() - 5 }), '', EXPIRED],
    ['a time that is over by less than the leeway', () => ({ exp: now() - 5 }), ', leeway = 60', '{exp=i'],
    ['a time that is over by more than the leeway', () => ({ exp: now() - 65 }), ', leeway = 60', EXPIRED],
    [
      'a time that is no number',
      () => ({ exp: 'tomorrow' }),
      '',
      'nil Cannot take the token: its claim "exp" has the wrong type invalid',
    ],
    [
      'a beginning that has not come',
      () => ({ nbf: now() + 60 }),
      '',
      'nil Cannot take the token: it is not valid yet denied',
    ],
    ['a beginning within the leeway', () => ({ nbf: now() + 30 }), ', leeway = 60', '{nbf=i'],
    [
      'a beginning that is no number',
      () => ({ nbf: {} }),
      '',
      'nil Cannot take the token: its claim "nbf" has the wrong type invalid',
    ],
    ['an issue in the past', () => ({ iat: now() - 5 }), '', '{iat=i'],
    [
      'an issue in the future',
      () => ({ iat: now() + 60 }),
      '',
      'nil Cannot take the token: it was issued in the future denied',
    ],
    [
      'an issue that is no number',
      () => ({ iat: true }),
      '',
      'nil Cannot take the token: its claim "iat" has the wrong type invalid',
    ],
    ['the issuer', () => ({ iss: 'us' }), `, iss = 'us'`, '{iss=us}'],
    ['one of the issuers', () => ({ iss: 'us' }), `, iss = {'them', 'us'}`, '{iss=us}'],
    [
      'another issuer',
      () => ({ iss: 'they' }),
      `, iss = 'us'`,
      'nil Cannot take the token: its claim "iss" is not the one expected denied',
    ],
    ['no issuer', () => ({}), `, iss = 'us'`, 'nil Cannot take the token: it has no claim "iss" denied'],
    ['the audience', () => ({ aud: 'us' }), `, aud = 'us'`, '{aud=us}'],
    [
      'the audience in a list',
      () => ({ aud: ['us', 'them'] }),
      `, aud = {'others', 'us'}`,
      '{aud={1=us,2=them}}',
    ],
    [
      'another audience',
      () => ({ aud: 'them' }),
      `, aud = 'us'`,
      'nil Cannot take the token: its claim "aud" is not the one expected denied',
    ],
    ['no audience', () => ({}), `, aud = 'us'`, 'nil Cannot take the token: it has no claim "aud" denied'],
    [
      'an audience where none was named',
      () => ({ aud: 'us' }),
      '',
      'nil Cannot take the token: it is for an audience, and the option "aud" does not say which is ours denied',
    ],
    ['a name that is Unicode', () => ({ iss: 'ü' }), `, iss = '\u00c3\u00bc'`, '{iss='],
  ];

for (const [name, claims, options, expected] of CHECKS) {
  test(`A token with ${name}${options} gives ${expected.slice(0, 60)}`, async () => {
    const token = hmacToken(HS256, JSON.stringify(claims()), KEY);
    const given = await evaluate(`jwt.verify('${token}', K, {alg = 'HS256'${options}})`);
    assert.ok(given.startsWith(expected), given);
  });
}

test('A token that was changed by one bit anywhere is not taken', async () => {
  const token = hmacToken(HS256, '{"a":1}', KEY);
  const code = `(function()
    local token, taken, reasons = '${token}', 0, {}
    for at = 1, #token do
      for bit = 0, 7 do
        local changed = token:sub(1, at - 1) .. string.char(token:byte(at) ~ 1 << bit) .. token:sub(at + 1)
        local claims, message, code = jwt.verify(changed, K, {alg = 'HS256'})
        if claims then taken = taken + 1 else reasons[code] = true end
      end
    end
    return taken, reasons
  end)()`;
  assert.equal(await evaluate(code), 'i0 {invalid=true}');
  assert.equal(await evaluate(`jwt.verify('${token}', K, {alg = 'HS256'})`), '{a=i1}');
});

test('Heads with something critical, without an algorithm, or with a key of their own decide nothing', async () => {
  const jwk = createPublicKey(rsa.publicPem).export({ format: 'jwk' });
  for (const [head, expected] of [
    [{ ...HS256, crit: ['exp'] }, MALFORMED],
    [{ ...HS256, b64: false, crit: ['b64'] }, MALFORMED],
    [{ typ: 'JWT' }, MALFORMED],
    [{ alg: ['HS256'] }, MALFORMED],
    [{ ...HS256, jwk, jku: 'https://attacker.test/keys', kid: '../../dev/null' }, '{}'],
  ] as const)
    assert.equal(
      await evaluate(`jwt.verify('${hmacToken(head, '{}', KEY)}', K, {alg = 'HS256'})`),
      expected,
      JSON.stringify(head),
    );
});

test('Claims are an object of at most 11 KiB, and tokens have at most 16 KiB', async () => {
  assert.equal(
    await evaluate(`jwt.sign({1, 2}, K, {alg = 'HS256'})`),
    `bad argument #1 to 'sign' (a table with names expected, got a list)`,
  );
  assert.equal(
    await evaluate(`#jwt.verify(jwt.sign({a = ('x'):rep(11256)}, K, {alg = 'HS256'}), K, {alg = 'HS256'}).a`),
    'i11256',
  );
  assert.equal(
    await evaluate(`jwt.sign({a = ('x'):rep(11257)}, K, {alg = 'HS256'})`),
    'nil Cannot sign the token: its claims have 11265 bytes and the limit is 11264 limit',
  );
  assert.equal(await evaluate(`jwt.verify(('x'):rep(16384), K, {alg = 'HS256'})`), MALFORMED);
  assert.equal(
    await evaluate(`jwt.verify(('x'):rep(16385), K, {alg = 'HS256'})`),
    'nil Cannot take the token: it has 16385 bytes and the limit is 16384 limit',
  );
  assert.equal(await evaluate(`jwt.verify('${hmacToken(HS256, '[]', KEY)}', K, {alg = 'HS256'})`), MALFORMED);
});

test('Options are checked', async () => {
  for (const [options, expected] of [
    [`{alg = 'HS256', leeway = -1}`, 'option "leeway" is -1 (0 to 3600 s were expected)'],
    [`{alg = 'HS256', leeway = 3601}`, 'option "leeway" is 3601 (0 to 3600 s were expected)'],
    [`{alg = 'HS256', leeway = 0/0}`, 'option "leeway" is NaN (0 to 3600 s were expected)'],
    [`{alg = {}}`, 'option "alg" has 0 entries (1 to 16 were expected)'],
    [`{alg = 'HS256', aud = 1}`, 'option "aud" is a number (a string was expected)'],
    [`{alg = 'HS256', algorithms = 1}`, 'jwt.verify has no option "algorithms"'],
  ] as const)
    assert.equal(await evaluate(`jwt.verify('a.b.c', K, ${options})`), expected);
  assert.equal(
    await evaluate(`jwt.verify('a.b.c', K)`),
    `wrong number of arguments to 'verify' (3 expected, got 2)`,
  );
});

test('Whatever a client sends, it is refused as invalid', async () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(parts, fc.boolean(), async (pieces, isEncoded) => {
      const token = pieces
        .map((piece) => Buffer.from(piece).toString(isEncoded ? 'base64url' : 'latin1'))
        .join('.');
      const hex = Buffer.from(token, 'latin1').toString('hex');
      const given = await evaluate(`jwt.verify(httpd.decode('hex', '${hex}'), K, {alg = 'HS256'})`);
      assert.match(given, /^nil Cannot take the token: .* invalid$/s);
    }),
    { numRuns: 200 },
  );
});
