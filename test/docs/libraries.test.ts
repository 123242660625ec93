/** The examples of docs/libraries.md run as they stand there, and answer as the page says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import type { FakeExchange } from '../support/fake-exchange.ts';
import { ScriptHarness } from '../support/script-harness.ts';

const sections = readFileSync(join(PACKAGE_ROOT, 'docs/libraries.md'), 'latin1').split(/^## /m).slice(1);

type Ask = (path: string, fields?: string[], method?: string) => Promise<FakeExchange>;

/** What the example of each section has to do. */
const EXAMPLES: Readonly<Record<string, (ask: Ask) => Promise<void>>> = {
  'lgateway.auth': async (ask) => {
    const refused = await ask('/members');
    assert.deepEqual(
      [refused.status, refused.field('www-authenticate')],
      [401, 'Basic realm="Members", charset="UTF-8"'],
    );
    assert.equal(
      (await ask('/members', ['authorization', `Basic ${btoa('ada:lovelace')}`])).text,
      'Hello ada\n',
    );
  },
  'lgateway.cors': async (ask) => {
    const origin = ['origin', 'https://app.example'];
    const preflight = await ask('/orders', [...origin, 'access-control-request-method', 'PUT'], 'OPTIONS');
    assert.deepEqual(
      [preflight.status, preflight.field('access-control-allow-methods')],
      [204, 'GET, HEAD, POST, PUT'],
    );
    const answer = await ask('/orders', origin);
    assert.deepEqual(
      [
        answer.text,
        answer.field('access-control-allow-origin'),
        answer.field('access-control-allow-credentials'),
      ],
      ['[]', 'https://app.example', 'true'],
    );
  },
  'lgateway.csrf': async (ask) => {
    const site = ['sec-fetch-site', 'cross-site', 'origin'];
    assert.equal((await ask('/transfer', [...site, 'https://evil.example'], 'POST')).status, 403);
    assert.equal((await ask('/transfer', [...site, 'https://partner.example'], 'POST')).text, 'done\n');
    assert.equal((await ask('/transfer', ['sec-fetch-site', 'same-origin'], 'POST')).text, 'done\n');
  },
  'lgateway.headers': async (ask) => {
    const answer = await ask('/page');
    const nonce = /<script nonce="([\w+/]{24})">/.exec(answer.text)?.[1];
    assert.equal(answer.field('content-security-policy'), `default-src 'self'; script-src 'nonce-${nonce}'`);
    assert.deepEqual(
      [answer.field('permissions-policy'), answer.field('x-frame-options')],
      [undefined, 'DENY'],
    );
  },
  'lgateway.ratelimit': async (ask) => {
    const statuses = [await ask('/search'), await ask('/search'), await ask('/search')].map(
      ({ status }) => status,
    );
    assert.deepEqual(statuses, [200, 200, 429]);
  },
};

test('Each section of the page has a library and each library a section', () => {
  assert.deepEqual(
    sections.map((text) => text.split('\n')[0]),
    Object.keys(EXAMPLES),
  );
});

for (const [name, check] of Object.entries(EXAMPLES)) {
  test(`The example of ${name} runs and answers as the page says`, async () => {
    const section = sections.find((text) => text.startsWith(`${name}\n`));
    const code = /^```lua\n(.*?)^```$/ms.exec(section ?? '')?.[1];
    assert.ok(code !== undefined, 'the section has an example');
    const harness = await ScriptHarness.load(code);
    try {
      await check((path, fields = [], method = 'GET') => harness.request(path, { fields, method }));
    } finally {
      await harness.close();
    }
  });
}
