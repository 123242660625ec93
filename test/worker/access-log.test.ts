/** formatAccess() makes one line, whatever the client sends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../src/base/errors.ts';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import { formatAccess } from '../../src/worker/access-log.ts';

const TIME = new Date('2026-01-02T03:04:05.678Z');

/** Makes the part of an exchange that the access log reads. */
function exchange(own: Partial<Exchange> = {}): Exchange {
  const facts: Partial<Exchange> = {
    method: 'GET',
    target: '/app?x=1',
    protocol: 'HTTP/2',
    status: 200,
    bytesWritten: 512,
    pushed: false,
    error: undefined,
    connection: {
      peerAddress: '192.0.2.7',
      peerPort: 50_000,
      localAddress: '192.0.2.1',
      localPort: 8443,
      tlsProtocol: 'TLSv1.3',
      tlsCipher: 'TLS_AES_128_GCM_SHA256',
      tlsServerName: 'localhost',
    },
    ...own,
  };
  return facts as Exchange;
}

test('formatAccess() writes time, worker, method, target, peer, protocol, status, bytes and duration', () => {
  assert.equal(
    formatAccess(TIME, 'worker-1', exchange(), 1.25),
    '2026-01-02T03:04:05.678Z info worker-1 access GET /app?x=1 peer=192.0.2.7 protocol=HTTP/2 status=200 bytes=512 ms=1.250',
  );
});

test('formatAccess() adds what is not the rule: pushed, request id, why it broke', () => {
  const error = new GatewayError('LGW_CLIENT_GONE', 'Client has gone');
  const line = formatAccess(
    TIME,
    'worker-1',
    exchange({ pushed: true, answeredBy: { requestId: 'abc-1' }, error, status: 0 }),
    1,
  );
  assert.match(line, / status=0 bytes=512 ms=1\.000 pushed=true id=abc-1 error=LGW_CLIENT_GONE$/);
});

test('formatAccess() leaves out a duration that is not known', () => {
  assert.match(formatAccess(TIME, 'worker-1', exchange(), undefined), / status=200 bytes=512$/);
});

test('formatAccess() names the host where it is asked to and the client has sent one, as one word of any bytes', () => {
  const line = (authority: string, namesHost = true): string =>
    formatAccess(TIME, 'worker-1', exchange({ authority }), 1, namesHost);
  assert.match(line('A.test:8443'), / peer=192\.0\.2\.7 host=A\.test:8443 protocol=/);
  assert.match(line('[::1]:8443'), / host=\[::1\]:8443 protocol=/);
  assert.match(line('a b"\u00e9'), / host=a\\x20b\\x22\\xe9 protocol=/);
  assert.match(line('a'.repeat(300)), / host=a{260}… protocol=/);
  for (const without of [line(''), line('a.test', false)]) assert.doesNotMatch(without, /host=/);
});

test('formatAccess() keeps a target of any bytes one word on one line', () => {
  let target = '/';
  for (let byte = 0; byte < 256; byte++) target += String.fromCharCode(byte);
  const line = formatAccess(TIME, 'worker-1', exchange({ target }), 1);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the line must not contain them
  assert.doesNotMatch(line, /[\x00-\x1f\x7f-\xff]/);
  assert.equal(line.split(' ').length, 11);
  assert.match(line, /\/\\x00\\x01.*\\x20!\\x22#.*\[\\x5c\].*~\\x7f\\x80.*\\xff peer=/);
});

test('formatAccess() cuts a very long target', () => {
  const line = formatAccess(TIME, 'worker-1', exchange({ target: `/${'a'.repeat(5000)}` }), 1);
  assert.ok(line.includes('a… peer='));
  assert.ok(line.length < 2300);
});
