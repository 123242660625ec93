/** lgateway.cors over sockets: what preflights and answers say to which origins, for each kind of list and for wrong fields. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { refusesOptions } from '../support/library-options.ts';
import { type Answer, type ClientProtocol, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

function script(options: string): string {
  return `
    local httpd = require 'httpd'
    require 'lgateway.cors'.use ${options}
    httpd.hook('request', function(env) if env.QUERY_INFO == 'refuse' then httpd.exit(401, 'no') end end)
    httpd.register_handler('/run', function(env)
      if env.QUERY_INFO == 'fail' then error('x') end
      local vary = ({language = 'Accept-Language', both = {'Accept', 'origin'}, any = '*'})[env.QUERY_INFO]
      httpd.header {status = 200, vary = vary}
      httpd.write(nil, env.REQUEST_METHOD)
    end)`;
}

/** As many as a service with a domain for each customer has. */
const ORIGINS = 5000;

const SCRIPTS = {
  '/list': script(`{origins = {'https://app.example', 'http://localhost:3000'}, methods = {'PUT', 'GET'},
    headers = {'content-type', 'X-Own'}, expose = {'x-total'}, max_age = 60}`),
  '/with': script(`{origins = {'https://app.example'}, credentials = true}`),
  '/any': script(`{origins = '*', headers = {'*'}}`),
  '/many': `local all = {} for i = 1, ${ORIGINS} do all[i] = 'https://c' .. i .. '.example' end
    ${script('{origins = all}')}`,
  '/asked': script(`{credentials = true, origins = function(origin, env)
    httpd.sleep(0)
    if origin == 'https://fails.example' then error('origins failed') end
    return origin:find('%.example$') ~= nil or origin == 'null'
  end}`),
};

let gateway: TestGateway;

before(async () => {
  gateway = await TestGateway.start(SCRIPTS, { keeps: true });
});
after(() => gateway.stop());

const APP = 'https://app.example';

function preflight(path: string, origin: string, protocol: ClientProtocol = 'h1'): Promise<Answer> {
  return gateway.ask(protocol, path, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'x-own',
      'access-control-request-private-network': 'true',
    },
  });
}

function get(path: string, origin?: string, protocol: ClientProtocol = 'h1'): Promise<Answer> {
  return gateway.ask(protocol, path, origin === undefined ? {} : { headers: { origin } });
}

/** The fields of CORS, and `vary`. */
function fieldsOf({ headers }: Answer): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.startsWith('access-control-') || name === 'vary'),
  );
}

test('A preflight of an origin that is allowed gets 204 with methods, fields and age, but no private network', async () => {
  for (const protocol of PROTOCOLS) {
    const answer = await preflight('/list/run', APP, protocol);
    assert.deepEqual([answer.status, answer.text], [204, '']);
    assert.deepEqual(fieldsOf(answer), {
      vary: 'Origin',
      'access-control-allow-origin': APP,
      'access-control-allow-methods': 'GET, HEAD, POST, PUT',
      'access-control-allow-headers': 'content-type, X-Own',
      'access-control-expose-headers': 'x-total',
      'access-control-max-age': '60',
    });
  }
});

test('An answer to an origin that is allowed names it, and those to others vary by it all the same', async () => {
  for (const protocol of PROTOCOLS) {
    const allowed = await get('/list/run', APP, protocol);
    assert.equal(allowed.text, 'GET');
    assert.deepEqual(fieldsOf(allowed), {
      vary: 'Origin',
      'access-control-allow-origin': APP,
      'access-control-expose-headers': 'x-total',
    });
    for (const origin of [undefined, 'https://evil.example']) {
      const answer = await get('/list/run', origin, protocol);
      assert.equal(answer.text, 'GET', 'the request is served');
      assert.deepEqual(fieldsOf(answer), { vary: 'Origin' });
    }
  }
});

test('Answers of errors and of other hooks have the fields, so that pages can read them', async () => {
  for (const [query, status, vary] of [
    ['fail', 500, 'accept, Origin'],
    ['refuse', 401, 'Origin'],
  ] as const) {
    const answer = await get(`/list/run?${query}`, APP);
    assert.deepEqual(
      [answer.status, answer.headers['access-control-allow-origin'], answer.headers['vary']],
      [status, APP, vary],
    );
  }
});

test('What a handler says of vary stays, and Origin stands in it once', async () => {
  const expected: [string, string][] = [
    ['language', 'Accept-Language, Origin'],
    ['both', 'Accept, origin'],
    ['any', '*'],
  ];
  for (const [query, vary] of expected)
    assert.equal((await get(`/list/run?${query}`, APP)).headers['vary'], vary);
});

test('Origins that are written otherwise, several, too long or broken are not allowed, and do not come back', async () => {
  const origins = [
    'https://APP.example',
    'https://app.example/',
    'https://app.example:443',
    'http://app.example',
    'https://app.example.evil.example',
    'https://evil.example/https://app.example',
    `${APP}, ${APP}`,
    `${APP} ${APP}`,
    'null',
    '*',
    'x',
    `https://${'a'.repeat(600)}.example`,
    `https://${'a'.repeat(15_000)}.example`,
  ];
  for (const path of ['/list/run', '/with/run', '/asked/run']) {
    for (const origin of origins) {
      if (path === '/asked/run' && /^https?:\/\/[^ ,/]+\.example$/.test(origin) && origin.length < 600)
        continue;
      const refused = await preflight(path, origin);
      assert.deepEqual([refused.status, fieldsOf(refused)], [403, { vary: 'Origin' }], origin.slice(0, 50));
      assert.deepEqual(fieldsOf(await get(path, origin)), { vary: 'Origin' }, origin.slice(0, 50));
    }
  }
});

test('With credentials the origin is named and never "*"', async () => {
  const allowed = {
    vary: 'Origin',
    'access-control-allow-origin': APP,
    'access-control-allow-credentials': 'true',
  };
  assert.deepEqual(fieldsOf(await get('/with/run', APP)), allowed);
  assert.equal((await preflight('/with/run', APP)).headers['access-control-allow-credentials'], 'true');
});

test('"*" names no origin and varies by nothing', async () => {
  assert.deepEqual(fieldsOf(await get('/any/run', APP)), { 'access-control-allow-origin': '*' });
  assert.deepEqual(fieldsOf(await get('/any/run')), {});
  const answer = await preflight('/any/run', 'null');
  assert.deepEqual([answer.status, answer.headers['access-control-allow-origin']], [204, '*']);
  assert.equal(answer.headers['access-control-allow-headers'], '*');
});

test(`One of ${ORIGINS} origins is found, and others are not`, async () => {
  for (const i of [1, ORIGINS / 2, ORIGINS]) {
    const origin = `https://c${i}.example`;
    assert.equal((await get('/many/run', origin)).headers['access-control-allow-origin'], origin);
  }
  assert.equal(
    (await get('/many/run', `https://c${ORIGINS + 1}.example`)).headers['access-control-allow-origin'],
    undefined,
  );
});

test('A function may wait, and says once for a request which origins are allowed; an error in it is 500', async () => {
  const answer = await get('/asked/run', 'https://some.example');
  assert.deepEqual(fieldsOf(answer), {
    vary: 'Origin',
    'access-control-allow-origin': 'https://some.example',
    'access-control-allow-credentials': 'true',
  });
  assert.equal((await preflight('/asked/run', 'https://some.example')).status, 204);
  assert.deepEqual(fieldsOf(await get('/asked/run', 'https://some.test')), { vary: 'Origin' });
  assert.deepEqual(fieldsOf(await get('/asked/run', 'null')), { vary: 'Origin' }, 'never with credentials');
  const failed = await get('/asked/run', 'https://fails.example');
  assert.deepEqual([failed.status, fieldsOf(failed)], [500, { vary: 'accept, Origin' }]);
});

test('An OPTIONS request that is no preflight is the handler’s', async () => {
  const answer = await gateway.ask('h1', '/list/run', { method: 'OPTIONS', headers: { origin: APP } });
  assert.deepEqual([answer.status, answer.text], [200, 'OPTIONS']);
  const noOrigin = await gateway.ask('h1', '/list/run', {
    method: 'OPTIONS',
    headers: { 'access-control-request-method': 'PUT' },
  });
  assert.equal(noOrigin.text, 'OPTIONS');
});

const ORIGINS_KIND = 'option "origins" has to be "*", a list of origins or a function';
const written = (origin: string): string =>
  `option "origins" lists origins as browsers write them ("https://app.example"), got "${origin}"`;
refusesOptions(
  'lgateway.cors refuses options while the script is loaded',
  `local lib = require 'lgateway.cors'`,
  [
    ['lib.use()', 'cors needs a table of options, got nil'],
    ['lib.use {}', ORIGINS_KIND],
    ['lib.use {origins = {}}', ORIGINS_KIND],
    [`lib.use {origins = 'https://app.example'}`, ORIGINS_KIND],
    [`lib.use {origins = {'https://app.example/'}}`, written('https://app.example/')],
    [`lib.use {origins = {'https://App.example'}}`, written('https://App.example')],
    [`lib.use {origins = {'https://app.example:443'}}`, written('https://app.example:443')],
    [`lib.use {origins = {'http://app.example:80'}}`, written('http://app.example:80')],
    [`lib.use {origins = {'app.example'}}`, written('app.example')],
    [`lib.use {origins = {'*'}}`, written('*')],
    [`lib.use {origins = {'https://a.example\\r\\nx: y'}}`, written('https://a.example\r\nx: y')],
    [`lib.use {origins = {'null'}, credentials = true}`, written('null')],
    [
      `lib.use {origins = '*', credentials = true}`,
      'option "credentials" cannot go with the origins "*": list them',
    ],
    [`lib.use {origins = '*', headers = {'a b'}}`, 'option "headers" has to be a list of names'],
    [`lib.use {origins = '*', methods = {'GET\\r\\nx: y'}}`, 'option "methods" has to be a list of names'],
    [
      `lib.use {origins = {'https://a.example'}, headers = {'*'}, credentials = true}`,
      'option "headers" cannot have "*" together with credentials',
    ],
    [`lib.use {origins = '*', max_age = -1}`, 'option "max_age" has to be an integer from 0 to 86400'],
    [`lib.use {origins = '*', max_age = 86401}`, 'option "max_age" has to be an integer from 0 to 86400'],
    [`lib.use {origins = '*', max_age = 0.5}`, 'option "max_age" has to be an integer from 0 to 86400'],
    [`lib.use {origins = '*', private_network = true}`, 'cors has no option "private_network"'],
  ],
);
