/** lgateway.auth over sockets: who is let in, what the others are told, and what wrong credentials of every kind get. */
import assert from 'node:assert/strict';
import { createHmac, scryptSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import { refusesOptions } from '../support/library-options.ts';
import { type Answer, type ClientProtocol, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const SECRET = 'k'.repeat(32);

/** The costs are the least that are of use: tests are no attackers. */
function stored(password: string): string {
  const salt = Buffer.alloc(16, 7);
  const hash = scryptSync(password, salt, 32, { N: 2, r: 8, p: 1 });
  const text = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');
  return `$scrypt$ln=1,r=8,p=1$${text(salt)}$${text(hash)}`;
}

function script(hook: string): string {
  return `
    local httpd = require 'httpd'
    local auth = require 'lgateway.auth'
    httpd.hook('request', ${hook})
    httpd.register_handler('/run', function()
      local user = httpd.request().ctx.user
      httpd.header {status = 200}
      httpd.write(nil, type(user) == 'table' and (user.sub or user.name) or user)
    end)`;
}

const SCRIPTS = {
  '/plain': script(
    `auth.basic {realm = 'Members', users = {ada = 'love:lace', ['j\\195\\188rgen'] = 'geheim', [''] = ''}}`,
  ),
  '/hashed': script(`auth.basic {users = {ada = '${stored('lovelace')}', bob = '${stored('builder')}'}}`),
  '/asked': script(`auth.basic {verify = function(name, password, env)
    httpd.sleep(0)
    if name == 'down' then return nil, 'the store does not answer', 'timeout' end
    if name == 'error' then error('verify failed') end
    return password == 'right' and {name = name .. env.REQUEST_METHOD}
  end}`),
  '/tokens': script(`auth.bearer {realm = 'API', tokens = {['abc-._~+/='] = 'machine'}}`),
  '/scoped': script(`auth.bearer {scope = 'read write', verify = function(token)
    if token == 'down' then return nil, 'the store does not answer', 'io' end
    return ({all = {name = 'all', scope = 'write admin read'}, less = {name = 'less', scope = 'read writer'}, text = 'text'})[token]
  end}`),
  '/jwt': script(`auth.bearer {jwt = {key = '${SECRET}', alg = 'HS256', iss = 'us', aud = 'here'}}`),
  '/made': `
    local httpd = require 'httpd'
    local auth = require 'lgateway.auth'
    httpd.register_handler('/run', function()
      local text = assert(auth.hash('pass'))
      httpd.write(nil, text .. ' ' .. tostring(auth.matches('pass', text)) .. ' ' .. tostring(auth.matches('Pass', text)))
    end)
    httpd.register_handler('/wrong', function(env)
      httpd.write(nil, table.concat({tostring(select(1, auth.matches('x', httpd.decode('url', env.QUERY_INFO)))),
        select(3, auth.matches('x', httpd.decode('url', env.QUERY_INFO)))}, ' '))
    end)`,
};

let gateway: TestGateway;

before(async () => {
  gateway = await TestGateway.start(SCRIPTS, { keeps: true });
});
after(() => gateway.stop());

function ask(path: string, authorization?: string, protocol: ClientProtocol = 'h1'): Promise<Answer> {
  return gateway.ask(protocol, path, authorization === undefined ? {} : { headers: { authorization } });
}

function basic(text: string): string {
  return `Basic ${Buffer.from(text).toString('base64')}`;
}

function token(claims: object, key = SECRET, header: object = { alg: 'HS256' }): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part(header)}.${part(claims)}`;
  return `Bearer ${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

test('Basic: a name with its password is let in, over both protocols, and the challenge is that of RFC 7617', async () => {
  for (const protocol of PROTOCOLS) {
    const refused = await ask('/plain/run', undefined, protocol);
    assert.deepEqual(
      [refused.status, refused.headers['www-authenticate'], refused.headers['cache-control'], refused.text],
      [401, 'Basic realm="Members", charset="UTF-8"', 'no-store', 'Not authorized\n'],
    );
    const served = await ask('/plain/run', basic('ada:love:lace'), protocol);
    assert.deepEqual([served.status, served.text], [200, 'ada']);
  }
  assert.equal(
    (await ask('/plain/run', basic('jürgen:geheim'))).text,
    Buffer.from('jürgen').toString('latin1'),
  );
  assert.equal((await ask('/plain/run', basic(':'))).status, 200);
  assert.equal((await ask('/plain/run', `bAsIc   ${basic('ada:love:lace').slice(6)}`)).status, 200);
});

test('Basic: malformed fields of every kind get 401, and nothing of them comes back', async () => {
  const fields = [
    '',
    'Basic',
    'Basic ',
    'Basic !!!!',
    'Basic YWRh',
    'Basic YWRhOmxvdmU6bGFjZQ==x',
    'Basic YWRhOmxvdmU6bGFjZQ==, Basic YWRhOmxvdmU6bGFjZQ==',
    'Basic YWRhOmxvdmU6bGFjZQ== x',
    'Basic=YWRhOmxvdmU6bGFjZQ==',
    'Basic\tYWRhOmxvdmU6bGFjZQ==',
    'YWRhOmxvdmU6bGFjZQ==',
    'Bearer YWRhOmxvdmU6bGFjZQ==',
    'Digest username="ada"',
    basic('ada'),
    basic('ada:'),
    basic('ada:love:lace\0'),
    basic('ada:love:lace\r\nx-evil: 1'),
    basic('Ada:love:lace'),
    basic('ada:love:lacE'),
    basic(':ada:love:lace'),
    basic('nobody:love:lace'),
    basic(`ada:${'x'.repeat(3500)}`),
    basic(`ada:${'x'.repeat(20_000)}`),
  ];
  for (const field of fields) {
    const answer = await ask('/plain/run', field);
    assert.equal(answer.status, 401, field.slice(0, 60));
    assert.equal(answer.headers['www-authenticate'], 'Basic realm="Members", charset="UTF-8"');
    assert.equal(answer.headers['x-evil'], undefined);
  }
  const socket = await gateway.connect();
  socket.end(
    `GET /plain/run HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: ${basic('ada:love:lace')}\r\nAuthorization: ${basic('x:y')}\r\n\r\n`,
  );
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  assert.match(text, /^HTTP\/1\.1 401 /, 'two fields are neither of them');
});

test('Basic: hashed passwords of scrypt are verified, the second time without computing, and unknown names are refused', async () => {
  for (let i = 0; i < 3; i++) {
    assert.equal((await ask('/hashed/run', basic('ada:lovelace'))).text, 'ada');
    assert.equal((await ask('/hashed/run', basic('bob:builder'))).text, 'bob');
    for (const wrong of ['ada:builder', 'bob:lovelace', 'ada:', 'eve:lovelace', `ada:${stored('lovelace')}`])
      assert.equal((await ask('/hashed/run', basic(wrong))).status, 401, wrong);
  }
});

test('Basic: a function says who is let in; a store that fails is 503, an error 500, and nobody gets in by them', async () => {
  assert.equal((await ask('/asked/run', basic('ada:right'))).text, 'adaGET');
  assert.equal((await ask('/asked/run', basic('ada:wrong'))).status, 401);
  const down = await ask('/asked/run', basic('down:right'));
  assert.deepEqual([down.status, down.headers['retry-after']], [503, '1']);
  await gateway.untilLog(/Nobody can be authenticated: the store does not answer/);
  assert.equal((await ask('/asked/run', basic('error:right'))).status, 500);
  await gateway.untilLog(/verify failed/);
});

test('auth.hash() makes the text of scrypt that auth.matches() and others take', async () => {
  const { text } = await ask('/made/run');
  const [made, right, wrong] = text.split(' ');
  assert.deepEqual([right, wrong], ['true', 'false']);
  const [, salt, hash] = /^\$scrypt\$ln=14,r=8,p=5\$([\w+/]{22})\$([\w+/]{43})$/.exec(made ?? '') ?? [];
  assert.deepEqual(
    scryptSync('pass', Buffer.from(salt as string, 'base64'), 32, { N: 16384, r: 8, p: 5 }),
    Buffer.from(hash as string, 'base64'),
  );
});

test('auth.matches() refuses texts that are none, and costs that are too high', async () => {
  const good = stored('x');
  assert.equal((await ask(`/made/wrong?${encodeURIComponent(good)}`)).text, 'true');
  const wrong = [
    '',
    'x',
    good.replace('ln=1,', 'ln=0,'),
    good.replace('ln=1,', 'ln=21,'),
    good.replace('ln=1,r=8', 'ln=20,r=99'),
    good.replace('p=1', 'p=0'),
    good.replace('ln=1,r=8,p=1', 'ln=14,r=8,p=99'),
    good.replace('$scrypt', '$argon2id'),
    good.replace(/\$[^$]*$/, '$AAAA'),
    `${good}$`,
    ` ${good}`,
  ];
  for (const text of wrong)
    assert.equal((await ask(`/made/wrong?${encodeURIComponent(text)}`)).text, 'nil invalid', text);
});

test('Bearer: a known token is let in; the challenges are those of RFC 6750', async () => {
  for (const protocol of PROTOCOLS) {
    assert.equal((await ask('/tokens/run', 'Bearer abc-._~+/=', protocol)).text, 'machine');
    const rows: [string | undefined, number, string][] = [
      [undefined, 401, 'Bearer realm="API"'],
      ['Basic YTpi', 401, 'Bearer realm="API"'],
      ['Bearer', 400, 'Bearer realm="API", error="invalid_request"'],
      ['Bearer a b', 400, 'Bearer realm="API", error="invalid_request"'],
      ['Bearer a,b', 400, 'Bearer realm="API", error="invalid_request"'],
      ['Bearer "abc"', 400, 'Bearer realm="API", error="invalid_request"'],
      [`Bearer ${'a'.repeat(16_400)}`, 400, 'Bearer realm="API", error="invalid_request"'],
      ['Bearer abc-._~+/', 401, 'Bearer realm="API", error="invalid_token"'],
      ['bearer ABC-._~+/=', 401, 'Bearer realm="API", error="invalid_token"'],
    ];
    for (const [field, status, challenge] of rows) {
      const answer = await ask('/tokens/run', field, protocol);
      assert.deepEqual(
        [answer.status, answer.headers['www-authenticate']],
        [status, challenge],
        field?.slice(0, 40),
      );
    }
  }
  const inQuery = await ask('/tokens/run?access_token=abc-._~%2B/=');
  assert.equal(inQuery.status, 401, 'addresses stand in logs');
});

test('Bearer: a scope that is missing gives 403 with its name, and a store that fails 503', async () => {
  assert.equal((await ask('/scoped/run', 'Bearer all')).text, 'all');
  for (const name of ['less', 'text']) {
    const answer = await ask('/scoped/run', `Bearer ${name}`);
    assert.deepEqual(
      [answer.status, answer.headers['www-authenticate']],
      [403, 'Bearer realm="Restricted", scope="read write", error="insufficient_scope"'],
    );
  }
  assert.equal((await ask('/scoped/run', 'Bearer none')).status, 401);
  assert.equal((await ask('/scoped/run', 'Bearer down')).status, 503);
});

test('Bearer: tokens of httpd.jwt are verified: signature, algorithm, times, issuer, audience', async () => {
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: 'ann', iss: 'us', aud: 'here', exp: now + 600 };
  assert.equal((await ask('/jwt/run', token(claims))).text, 'ann');
  const refused: [string, string][] = [
    ['another key', token(claims, 'x'.repeat(32))],
    ['no algorithm', token(claims, SECRET, { alg: 'none' })],
    ['no signature', token(claims).replace(/\.[^.]*$/, '.')],
    ['expired', token({ ...claims, exp: now - 10 })],
    ['not yet', token({ ...claims, nbf: now + 600 })],
    ['another issuer', token({ ...claims, iss: 'them' })],
    ['another audience', token({ ...claims, aud: 'there' })],
    ['no token', 'Bearer a.b.c'],
  ];
  for (const [what, field] of refused) {
    const answer = await ask('/jwt/run', field);
    assert.deepEqual(
      [answer.status, answer.headers['www-authenticate']],
      [401, 'Bearer realm="Restricted", error="invalid_token"'],
      what,
    );
  }
});

const NEEDS_ONE = 'basic needs one of the options "users" and "verify"';
const USERS = 'option "users" has to be a table of passwords by name, and a name has no colon';
const TOKENS =
  'option "tokens" has to be a table of users by token, and a token has letters, digits and "-._~+/"';
refusesOptions(
  'lgateway.auth refuses options while the script is loaded',
  `local lib = require 'lgateway.auth'`,
  [
    ['lib.basic()', 'basic needs a table of options, got nil'],
    ['lib.basic {}', NEEDS_ONE],
    ['lib.basic {users = {}, verify = print}', NEEDS_ONE],
    ['lib.basic {user = {}}', 'basic has no option "user"'],
    ['lib.basic {users = print}', 'option "users" of basic has to be a table, got function'],
    ['lib.basic {users = {1}}', USERS],
    [`lib.basic {users = {['a:b'] = 'c'}}`, USERS],
    [
      `lib.basic {users = {a = '$scrypt$x'}}`,
      'the password of "a" looks like a text of auth.hash and is none',
    ],
    [
      `lib.basic {users = {a = '${stored('x')}', b = 'plain'}}`,
      'option "users" has hashes and plain passwords: make all of them hashes',
    ],
    [
      `lib.basic {users = {}, realm = 'a"b'}`,
      'option "realm" has to be printable ASCII without quotes and backslashes',
    ],
    [
      `lib.bearer {tokens = {}, realm = 'a\\r\\nx: y'}`,
      'option "realm" has to be printable ASCII without quotes and backslashes',
    ],
    ['lib.bearer {}', 'bearer needs one of the options "tokens", "verify" and "jwt"'],
    [
      'lib.bearer {tokens = {}, verify = print}',
      'bearer needs one of the options "tokens", "verify" and "jwt"',
    ],
    [`lib.bearer {tokens = {['a b'] = 'c'}}`, TOKENS],
    [`lib.bearer {tokens = {a = false}}`, TOKENS],
    [`lib.bearer {verify = print, scope = ''}`, 'option "scope" has to be names with blanks between'],
    [`lib.bearer {jwt = {key = ('k'):rep(32), alg = 'none'}}`, /option "alg" has "none"/],
    [`lib.bearer {jwt = {key = 'short', alg = 'HS256'}}`, /a secret of 5 bytes is too short/],
    [
      `lib.bearer {jwt = {key = ('k'):rep(32), alg = 'HS256', audience = 'x'}}`,
      /jwt.verify has no option "audience"/,
    ],
    [`lib.bearer {jwt = {alg = 'HS256'}}`, /string expected, got nil/],
  ],
);
