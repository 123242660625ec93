/** lgateway.csrf over sockets: which requests browsers send from elsewhere, and that nothing else is refused. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { refusesOptions } from '../support/library-options.ts';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

let gateway: TestGateway;

before(async () => {
  gateway = await TestGateway.start(
    {
      '/': `local httpd = require 'httpd'
      local csrf = require 'lgateway.csrf'
      httpd.hook('request', csrf.check {origins = {'https://partner.example'}})
      httpd.register_handler('/run', function() httpd.write(nil, 'done') end)`,
      '/strict': `local httpd = require 'httpd'
      httpd.hook('request', require 'lgateway.csrf'.check())
      httpd.register_handler('/run', function() httpd.write(nil, 'done') end)`,
    },
    { keeps: true },
  );
});
after(() => gateway.stop());

const PARTNER = 'https://partner.example';
const EVIL = 'https://evil.example';

/** Fields of a POST, by what they stand for, and whether it is let in. `SELF` is the gateway's own origin. */
const ROWS: readonly (readonly [what: string, fields: Record<string, string>, isAllowed: boolean])[] = [
  ['no browser', {}, true],
  ['a page of ours', { 'sec-fetch-site': 'same-origin', origin: 'SELF' }, true],
  ['a bookmark', { 'sec-fetch-site': 'none' }, true],
  ['another site', { 'sec-fetch-site': 'cross-site', origin: EVIL }, false],
  ['a sibling domain', { 'sec-fetch-site': 'same-site', origin: 'https://other.localhost' }, false],
  ['another site, origin hidden', { 'sec-fetch-site': 'cross-site', origin: 'null' }, false],
  ['another site without an origin', { 'sec-fetch-site': 'cross-site' }, false],
  ['a value that nobody knows', { 'sec-fetch-site': 'new-kind', origin: 'SELF' }, false],
  ['two values', { 'sec-fetch-site': 'same-origin, cross-site', origin: 'SELF' }, false],
  ['an empty value', { 'sec-fetch-site': '', origin: 'SELF' }, false],
  ['a partner', { 'sec-fetch-site': 'cross-site', origin: PARTNER }, true],
  ['a partner, older browser', { origin: PARTNER }, true],
  [
    'a name like that of a partner',
    { 'sec-fetch-site': 'cross-site', origin: `${PARTNER}.evil.example` },
    false,
  ],
  ['a page of ours, older browser', { origin: 'SELF' }, true],
  ['a page of ours behind a proxy with TLS', { origin: 'SELF-HTTP' }, true],
  ['another site, older browser', { origin: EVIL }, false],
  ['another port, older browser', { origin: 'https://localhost:1' }, false],
  ['a page in a sandbox, older browser', { origin: 'null' }, false],
  ['an empty origin', { origin: '' }, false],
  ['no origin at all', { origin: 'x' }, false],
  ['a long origin', { origin: `https://${'a'.repeat(15_000)}` }, false],
];

for (const [what, fields, isAllowed] of ROWS) {
  test(`A POST of ${what} is ${isAllowed ? 'let in' : 'refused'}`, async () => {
    const host = `localhost:${gateway.port}`;
    const headers = Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [
        name,
        value.replace(/^SELF-HTTP$/, `http://${host}`).replace(/^SELF$/, `https://${host}`),
      ]),
    );
    for (const protocol of PROTOCOLS) {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const { status, text } = await gateway.ask(protocol, '/run', { method, headers });
        const expected = isAllowed ? [200, 'done'] : [403, 'This request comes from another site\n'];
        assert.deepEqual([status, text], expected, `${protocol} ${method}`);
      }
    }
  });
}

test('Methods that change nothing are let in from everywhere', async () => {
  const headers = { 'sec-fetch-site': 'cross-site', origin: EVIL };
  for (const method of ['GET', 'HEAD', 'OPTIONS'])
    assert.equal((await gateway.ask('h2', '/run', { method, headers })).status, 200, method);
});

test('Without a list nobody else is let in', async () => {
  const headers = { 'sec-fetch-site': 'cross-site', origin: PARTNER };
  assert.equal((await gateway.ask('h1', '/strict/run', { method: 'POST', headers })).status, 403);
});

const written = (origin: string): string =>
  `option "origins" lists origins as browsers write them ("https://app.example"), got "${origin}"`;
refusesOptions(
  'lgateway.csrf refuses options while the script is loaded',
  `local lib = require 'lgateway.csrf'`,
  [
    ['lib.check {origins = {"https://partner.example/"}}', written('https://partner.example/')],
    ['lib.check {origins = {"null"}}', written('null')],
    ['lib.check {origins = {1}}', written('1')],
    ['lib.check {origins = "x"}', 'option "origins" of csrf has to be a table, got string'],
    ['lib.check {token = true}', 'csrf has no option "token"'],
  ],
);
