/** What servers learn of the client: from clients that are trusted and others, of every family of addresses, over both protocols. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Protocol } from '../../src/http/exchange/exchange.ts';
import { DEFAULT_PROXY_RULES, type ProxyRules } from '../../src/mapping/proxy-settings.ts';
import { parseTarget } from '../../src/mapping/proxy-target.ts';
import { forwardedRequest } from '../../src/proxy/forwarded-request.ts';
import { proxySettings } from '../../src/proxy/proxy-settings.ts';
import { FakeExchange } from '../support/fake-exchange.ts';
import { connectH2, fetchH2 } from '../support/h2-client.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { answering, type RecordingBackend, recordingBackend } from '../support/recording-backend.ts';

interface Case {
  /** What the client says. */
  readonly fields?: readonly string[];
  readonly rules?: Partial<ProxyRules>;
  /** Default: 192.0.2.7. */
  readonly peer?: string;
  /** Fields that arrive, those of this kind only. */
  readonly arrives: readonly string[];
}

const TRUSTED = ['192.0.2.0/24', '2001:db8::/32', 'fe80::/10'];
const CHAIN = [
  'X-Forwarded-For',
  '203.0.113.9, 198.51.100.2',
  'X-Forwarded-Proto',
  'http',
  'X-Forwarded-Host',
  'site.example',
];
const OWN = ['X-Forwarded-For', '192.0.2.7', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'a.example'];

const CASES: Readonly<Record<string, Case>> = {
  'a client that says nothing': { arrives: OWN },
  'a client that is not trusted': { fields: CHAIN, arrives: OWN },
  'a client that is not trusted, in any case and order': {
    fields: ['x-FORWARDED-proto', 'http', 'FORWARDED', 'for=203.0.113.9', 'x-forwarded-for', '203.0.113.9'],
    arrives: OWN,
  },
  'a client that writes underscores where the fields have hyphens': {
    fields: [
      'X_Forwarded_For',
      '203.0.113.9',
      'x-forwarded_host',
      'evil.example',
      'X_FORWARDED-PROTO',
      'http',
    ],
    arrives: OWN,
  },
  'a client that is not trusted, where nothing is added': {
    fields: [...CHAIN, 'Forwarded', 'for=203.0.113.9'],
    rules: { forwarded: false },
    arrives: [],
  },
  'a client beside the trusted network': {
    fields: CHAIN,
    peer: '192.0.3.7',
    rules: { trusted: TRUSTED },
    arrives: ['X-Forwarded-For', '192.0.3.7', ...OWN.slice(2)],
  },
  'a client that is trusted': {
    fields: CHAIN,
    rules: { trusted: TRUSTED },
    arrives: ['X-Forwarded-For', '203.0.113.9, 198.51.100.2, 192.0.2.7', ...CHAIN.slice(2)],
  },
  'a client that is trusted and says nothing': { rules: { trusted: TRUSTED }, arrives: OWN },
  'a client that is trusted, where nothing is added': {
    fields: CHAIN,
    rules: { trusted: TRUSTED, forwarded: false },
    arrives: CHAIN,
  },
  'a list in several lines': {
    fields: ['X-Forwarded-For', '203.0.113.9', 'X-Other', '1', 'x-forwarded-for', 'unknown, 198.51.100.2'],
    rules: { trusted: TRUSTED },
    arrives: ['X-Forwarded-For', '203.0.113.9, unknown, 198.51.100.2, 192.0.2.7', ...OWN.slice(2)],
  },
  'a field that Connection names': {
    fields: ['Connection', 'X-Forwarded-For', 'X-Forwarded-For', '203.0.113.9'],
    arrives: OWN,
  },
  'an address of IPv6': {
    peer: '2001:db8::7',
    rules: { forwarded: 'both' },
    arrives: [
      'X-Forwarded-For',
      '2001:db8::7',
      ...OWN.slice(2),
      'Forwarded',
      'for="[2001:db8::7]";proto=https;host="a.example"',
    ],
  },
  'a trusted address of IPv6': {
    peer: '2001:db8::7',
    fields: ['Forwarded', 'for="[2001:db8:1::1]:4711";by=_hidden', 'forwarded', 'for=_obfuscated'],
    rules: { forwarded: 'rfc7239', trusted: TRUSTED },
    arrives: [
      'Forwarded',
      'for="[2001:db8:1::1]:4711";by=_hidden, for=_obfuscated, for="[2001:db8::7]";proto=https;host="a.example"',
    ],
  },
  'an address of one link': {
    peer: 'fe80::1%eth0',
    fields: CHAIN.slice(0, 2),
    rules: { trusted: TRUSTED },
    arrives: ['X-Forwarded-For', '203.0.113.9, 198.51.100.2, fe80::1%eth0', ...OWN.slice(2)],
  },
  'a client that is not trusted, with Forwarded': {
    fields: ['Forwarded', 'for=203.0.113.9', ...CHAIN],
    rules: { forwarded: 'rfc7239' },
    arrives: ['Forwarded', 'for=192.0.2.7;proto=https;host="a.example"'],
  },
  'a client that has gone already': {
    peer: '',
    rules: { forwarded: 'both', trusted: TRUSTED },
    arrives: [
      'X-Forwarded-For',
      'unknown',
      ...OWN.slice(2),
      'Forwarded',
      'for=unknown;proto=https;host="a.example"',
    ],
  },
  'fields that the operator sets and a client imitates': {
    fields: ['X-User', 'root', 'X_User', 'root', 'x_USER', 'root'],
    rules: { setFields: ['X-User', 'ann'], removedFields: ['x-user'], forwarded: false },
    arrives: ['X-User', 'ann'],
  },
};

const OF_KIND = /^(?:x[-_]forwarded[-_]|forwarded$|x[-_]user$)/i;

for (const protocol of ['HTTP/1.1', 'HTTP/2'] as const satisfies readonly Protocol[])
  for (const [what, { fields = [], rules = {}, peer = '192.0.2.7', arrives }] of Object.entries(CASES))
    test(`What a server learns of ${what} (${protocol})`, () => {
      // over HTTP/2 names are in lower case and no field speaks of the connection
      const given =
        protocol === 'HTTP/1.1' ? fields : fields.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
      const exchange = new FakeExchange('/', {
        protocol,
        fields: protocol === 'HTTP/2' && given[0] === 'connection' ? given.slice(2) : given,
        authority: 'a.example',
        connection: { peerAddress: peer },
      });
      const settings = proxySettings({ ...DEFAULT_PROXY_RULES, ...rules });
      const made = forwardedRequest(exchange, settings, parseTarget('http://10.0.0.1:80'), '/').fields;
      const pairs = (list: readonly string[]): string[] =>
        list
          .flatMap((name, i) =>
            i % 2 === 0 && OF_KIND.test(name) ? [`${name.toLowerCase()}: ${list[i + 1]}`] : [],
          )
          .sort();
      assert.deepEqual(pairs(made), pairs(arrives));
    });

let front: ProxyFront;
let backend: RecordingBackend;

before(async () => {
  front = await startProxyFront();
  backend = await recordingBackend(answering('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
});

after(async () => {
  await backend.close();
  await front.stop();
});

test('Over real connections a trusted chain has the address of the client at its end, and Via says each version', async () => {
  front.passTo([backend.url], { trusted: ['127.0.0.0/8'], forwarded: 'both' });
  const raw = await connectRaw(front.port);
  await raw.ask(
    'GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\nVia: 1.0 fred\r\n\r\n',
  );
  raw.close();
  const session = await connectH2(front.port);
  await fetchH2(session, {
    ':path': '/',
    ':authority': 'a.example',
    'x-forwarded-for': '203.0.113.9',
    forwarded: 'for=203.0.113.9',
    via: '1.0 fred',
  });
  session.destroy();
  for (const [i, version] of ['1.1', '2.0'].entries()) {
    const { head } = backend.requests[i] ?? assert.fail('it arrives');
    assert.match(head, /\r\nX-Forwarded-For: 203\.0\.113\.9, 127\.0\.0\.1\r\n/);
    assert.match(
      head,
      /\r\nForwarded: for=203\.0\.113\.9, for=127\.0\.0\.1;proto=https;host="a\.example"\r\n/,
    );
    assert.match(head, new RegExp(`\\r\\nVia: 1\\.0 fred, ${version} lgateway\\r\\n`));
  }
});

test('A request that has come back eight times is refused', async () => {
  front.passTo([backend.url]);
  const before = backend.requests.length;
  const raw = await connectRaw(front.port);
  const via = (count: number): string =>
    Array.from({ length: count }, () => 'Via: 1.1 lgateway\r\n').join('');
  const first = await raw.ask(`GET / HTTP/1.1\r\nHost: a\r\n${via(7)}\r\n`);
  const second = await raw.ask(`GET / HTTP/1.1\r\nHost: a\r\n${via(8)}\r\n`);
  raw.close();
  assert.match(first.head, /^HTTP\/1\.1 200 /);
  assert.match(second.head, /^HTTP\/1\.1 508 /);
  assert.equal(backend.requests.length, before + 1);
});
