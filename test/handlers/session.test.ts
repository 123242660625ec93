/** Sessions of handlers/lib: what they keep, when they end, and which cookies are none. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';

const KEYS = `{('a'):rep(32)}`;

/** Its handler runs the code of the body with the session of the request; what the code puts into `cookie` is sent. */
const SCRIPT = `
  local httpd = require 'httpd'
  local session = require 'lgateway.session'
  local made = {}
  httpd.register_handler('/do', function(env, header)
    local options, code = httpd.read(nil, 'a'):match('^([^\\n]*)\\n(.*)$')
    made[options] = made[options] or session.new(load('return ' .. options)())
    local now, why = made[options]:open(header)
    local text, cookie = assert(load('local session, httpd, why = ... ' .. code, '=code'))(now, httpd, why)
    httpd.header{[':status'] = 200, ['set-cookie'] = cookie}
    httpd.write(nil, tostring(text))
  end)
  httpd.register_handler('/wrong', function()
    local _, message = pcall(session.new, load('return ' .. httpd.read(nil, 'a'))())
    httpd.write(nil, tostring(message))
  end)`;

let harness: ScriptHarness;

before(async () => {
  harness = await ScriptHarness.load(SCRIPT);
});
after(() => harness.close());

/** A client that keeps its cookie as a browser does, but not the time until which it may. */
class Client {
  cookie: string | undefined;
  /** The last field that has come. */
  set: string | undefined;
  readonly #options: string;

  constructor(options: string) {
    this.#options = options;
  }

  async do(code: string): Promise<string> {
    const fields = this.cookie === undefined ? [] : ['cookie', this.cookie];
    const exchange = await harness.request('/do', { body: `${this.#options}\n${code}`, fields });
    assert.equal(exchange.status, 200, harness.log.join('\n'));
    this.set = exchange.field('set-cookie');
    if (this.set !== undefined)
      this.cookie = this.set.includes('Max-Age=0') ? undefined : /^[^;]*/.exec(this.set)?.[0];
    return exchange.text;
  }
}

const SHOW = `return (session.is_new and 'new ' or 'old ') .. tostring(session.data.user)`;
const LOGIN = `session.data.user = 'ann' session:renew() return session.id, assert(session:save())`;

for (const store of ['cookie', 'shared'] as const) {
  const options = `{keys = ${KEYS}, store = '${store}', dictionary = 'of-${store}'}`;

  test(`A session in a ${store} keeps what it is given, also when it began empty`, async () => {
    const client = new Client(options);
    assert.equal(await client.do(SHOW), 'new nil');
    await client.do('return 1, assert(session:save())');
    assert.match(
      client.set ?? '',
      /^__Host-session=[\w-]+; Max-Age=1800; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    );
    assert.equal(await client.do(SHOW), 'old nil');
    await client.do(
      `session.data.user = 'ann' session.data.n = {1, 2, {a = 2^53 | 0}} return 1, assert(session:save())`,
    );
    assert.equal(
      await client.do(`return session.data.user .. session.data.n[3].a .. math.type(session.data.n[1])`),
      'ann9007199254740992integer',
    );
    assert.equal(await new Client(options).do(SHOW), 'new nil');
  });

  test(`A new session in a ${store} comes with the reason why it is new`, async () => {
    const why = 'return tostring(session.is_new) .. " " .. tostring(why)';
    const client = new Client(options);
    assert.equal(await client.do(why), 'true absent');
    await client.do(LOGIN);
    assert.equal(await client.do(why), 'false nil');
    const { cookie } = client;
    for (const wrong of ['', 'x', `${cookie?.slice('__Host-session='.length)}AAAA`]) {
      client.cookie = `__Host-session=${wrong}`;
      assert.equal(await client.do(why), 'true invalid', wrong);
    }
    const otherKey = new Client(options.replace(KEYS, `{('b'):rep(32)}`));
    otherKey.cookie = cookie;
    assert.equal(await otherKey.do(why), 'true invalid');
    for (const limit of ['idle = 1e-9', 'absolute = 1e-9']) {
      const late = new Client(options.replace('{', `{${limit}, `));
      late.cookie = cookie;
      assert.equal(await late.do(why), 'true expired', limit);
    }
    client.cookie = cookie;
    await client.do('return 1, session:destroy()');
    client.cookie = cookie;
    assert.equal(await client.do(why), store === 'shared' ? 'true expired' : 'false nil');
  });

  test(`A session in a ${store} has another id after a login, and is none after it is destroyed`, async () => {
    const client = new Client(options);
    const before = await client.do('return session.id, assert(session:save())');
    assert.equal(await client.do('return session.id'), before);
    const afterwards = await client.do(LOGIN);
    assert.notEqual(afterwards, before);
    assert.equal(await client.do('return session.id'), afterwards);
    assert.equal(await client.do(SHOW), 'old ann');
    const { cookie } = client;
    await client.do('return 1, session:destroy()');
    assert.equal(client.cookie, undefined);
    assert.match(client.set ?? '', /^__Host-session=; Max-Age=0; Path=\/; /);
    // a copy of the cookie is worth nothing where the gateway itself remembers
    client.cookie = cookie;
    assert.equal(await client.do(SHOW), store === 'shared' ? 'new nil' : 'old ann');
  });

  test(`A cookie of a session in a ${store} that was changed, or is another's, is none`, async () => {
    const client = new Client(options);
    await client.do(LOGIN);
    const cookie = client.cookie as string;
    const value = cookie.slice(cookie.indexOf('=') + 1);
    for (let at = 0; at < value.length; at += 7) {
      // the last character of a group may have bits that mean nothing
      const changed = value.slice(0, at) + (value[at] === 'A' ? 'Q' : 'A') + value.slice(at + 1);
      if (Buffer.from(changed, 'base64url').equals(Buffer.from(value, 'base64url'))) continue;
      client.cookie = `__Host-session=${changed}`;
      assert.equal(await client.do(SHOW), 'new nil', `changed at ${at}`);
    }
    for (const other of ['', 'x', '!', value.slice(0, -4), `${value}AAAA`]) {
      client.cookie = `__Host-session=${other}`;
      assert.equal(await client.do(SHOW), 'new nil', other);
    }
    const named = new Client(options.replace('{', `{name = '__Host-other', `));
    named.cookie = `__Host-other=${value}`;
    assert.equal(await named.do(SHOW), 'new nil', 'the name is bound to the seal');
  });

  test(`A session in a ${store} lives on when keys are changed, until the old key goes`, async () => {
    const client = new Client(options);
    await client.do(LOGIN);
    const both = new Client(options.replace(KEYS, `{('b'):rep(32), ('a'):rep(32)}`));
    both.cookie = client.cookie;
    assert.equal(await both.do(`return session.data.user, assert(session:save())`), 'ann');
    const next = new Client(options.replace(KEYS, `{('b'):rep(32)}`));
    next.cookie = client.cookie;
    assert.equal(await next.do(SHOW), 'new nil');
    next.cookie = both.cookie;
    assert.equal(await next.do(SHOW), 'old ann');
  });

  test(`A session in a ${store} ends when it was idle, and when it is old`, async () => {
    for (const limits of ['idle = 1e-9', 'absolute = 1e-9']) {
      const client = new Client(options.replace('{', `{${limits}, `));
      await client.do(`session.data.user = 'ann' return 1, session:save()`);
      assert.equal(await client.do(SHOW), 'new nil', limits);
    }
    // that of a cookie is over by its own times, whatever the client keeps
    const client = new Client(options);
    await client.do(LOGIN);
    const later = new Client(options.replace('{', '{idle = 1e-9, '));
    later.cookie = client.cookie;
    assert.equal(await later.do(SHOW), 'new nil');
  });

  test(`A session in a ${store} holds so much and no more`, async () => {
    const client = new Client(options);
    const most = store === 'cookie' ? 2800 : 65_536;
    const fits = `
      local n = ${most} - #httpd.json.encode{id = session.id, created = session.created, seen = session.created, data = {x = ''}}
      session.data.x = ('x'):rep(n)`;
    assert.equal(await client.do(`${fits} return 'saved', assert(session:save())`), 'saved');
    assert.ok((client.set ?? '').length < 4096);
    assert.equal(
      await client.do(
        `${fits} session.data.x = session.data.x .. 'x' return table.concat({select(2, session:save())}, ' ')`,
      ),
      `Cannot save the session: it has ${most + 1} bytes and the limit is ${most} limit`,
    );
  });
}

/** Options that do not fit. */
const WRONG: readonly (readonly [options: string, expected: string])[] = [
  ['nil', 'option "keys" is a list of 1 to 8 secrets'],
  ['{keys = {}}', 'option "keys" is a list of 1 to 8 secrets'],
  [`{keys = {'short'}}`, 'secret 1 of the option "keys" has to be a string of 32 bytes or more'],
  [`{keys = ${KEYS}, store = 'file'}`, 'option "store" is "cookie" or "shared"'],
  [`{keys = ${KEYS}, idle = 0}`, 'options "idle" and "absolute" are seconds above 0'],
  [`{keys = ${KEYS}, idle = 0/0}`, 'options "idle" and "absolute" are seconds above 0'],
  [`{keys = ${KEYS}, ttl = 1}`, 'session has no option "ttl" of the type number'],
  [`{keys = ${KEYS}, path = '/x'}`, 'option "path" has to be "/" for a name that begins with "__Host-"'],
  [`{keys = ${KEYS}, name = 'a b'}`, `bad argument #1 to 'cookie' ("a b" is no token)`],
];

for (const [options, expected] of WRONG) {
  test(`new(${options}) is an error`, async () => {
    const { text } = await harness.request('/wrong', { body: options });
    assert.ok(text.endsWith(expected), text);
  });
}
