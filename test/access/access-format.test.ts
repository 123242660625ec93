/** The formats of the access log: what each line says, and that no client can forge a line or a field. */
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import type { AccessFacts } from '../../src/access/access-fields.ts';
import { accessFormatter } from '../../src/access/access-format.ts';
import { createAccessLog } from '../../src/access/access-log.ts';
import { TextLines } from '../../src/access/line-buffer.ts';
import type { LineWriter } from '../../src/access/line-writer.ts';
import { GatewayError } from '../../src/base/errors.ts';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import {
  type AccessFormat,
  DEFAULT_LOG_SETTINGS,
  type LogTarget,
  splitTemplate,
} from '../../src/settings/log-settings.ts';

const TIME = Date.parse('2026-01-02T03:04:05.678Z');

/** Makes the part of an exchange that the access log reads. */
function exchange(own: Partial<Exchange> = {}): Exchange {
  const facts: Partial<Exchange> = {
    method: 'GET',
    target: '/app?x=1',
    authority: 'a.test',
    scheme: 'https',
    protocol: 'HTTP/2',
    fields: ['user-agent', 'curl/8.5.0', 'referer', 'https://a.test/"x"'],
    status: 200,
    bytesWritten: 512,
    pushed: false,
    error: undefined,
    identity: { memo: undefined, hasBody: false },
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

function facts(one: Exchange, durationMs: number | null = 1.25): AccessFacts {
  const endedAt = 1000;
  return {
    exchange: one,
    startedAt: durationMs === null ? undefined : endedAt - durationMs,
    endedAt,
    time: TIME,
  };
}

function line(
  accessFormat: AccessFormat,
  own: Partial<Exchange> = {},
  more: { fields?: readonly string[]; hosts?: boolean; ms?: number | null; target?: LogTarget } = {},
): string {
  const surroundings = { worker: 1, source: 'worker-1', namesHosts: () => more.hosts === true };
  const writer = accessFormatter(
    { accessFormat, accessFields: more.fields, accessTarget: more.target ?? { kind: 'log' } },
    surroundings,
  );
  return bothWays(writer, facts(exchange(own), more.ms));
}

/** Written as bytes twice, anew and out of what was kept, and as a text: all are the same. */
function bothWays(writer: LineWriter, one: AccessFacts): string {
  const written: string[] = [];
  const lines = new TextLines((text) => written.push(text));
  for (let i = 0; i < 2; i++) writer.write(one, lines);
  const text = writer.text(one);
  assert.deepEqual(written, [text, text]);
  return text;
}

/** A hostile value: all bytes, ends of lines, escapes of a terminal. */
const EVIL = `${Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('')}\r\n\u001b[31m" status=200`;

test('text: time, worker, method, target, peer, protocol, status, bytes and duration', () => {
  assert.equal(
    line('text'),
    '2026-01-02T03:04:05.678Z info worker-1 access GET /app?x=1 peer=192.0.2.7 protocol=HTTP/2 status=200 bytes=512 ms=1.250',
  );
});

test('text adds what is not the rule: pushed, request id, why it broke; and leaves out a duration that is not known', () => {
  const error = new GatewayError('LGW_CLIENT_GONE', 'Client has gone');
  const own = { pushed: true, answeredBy: { requestId: 'abc-1' }, error, status: 0 };
  assert.match(
    line('text', own),
    / status=0 bytes=512 ms=1\.250 pushed=true id=abc-1 error=LGW_CLIENT_GONE$/,
  );
  assert.match(line('text', {}, { ms: null }), / status=200 bytes=512$/);
});

test('text names the host where it is asked to and the client has sent one, as one word of any bytes', () => {
  const of = (authority: string, hosts = true): string => line('text', { authority }, { hosts });
  assert.match(of('A.test:8443'), / peer=192\.0\.2\.7 host=A\.test:8443 protocol=/);
  assert.match(of('[::1]:8443'), / host=\[::1\]:8443 protocol=/);
  assert.match(of('a b"\u00e9'), / host=a\\x20b\\x22\\xe9 protocol=/);
  assert.match(of('a'.repeat(300)), / host=a{260}… protocol=/);
  for (const without of [of(''), of('a.test', false)]) assert.doesNotMatch(without, /host=/);
});

test('text keeps a target of any bytes one word on one line, and cuts a very long one', () => {
  const shown = line('text', { target: `/${EVIL}` });
  assert.match(shown, /^[!-~]+( [!-~]+){10}$/);
  assert.match(shown, /\/\\x00\\x01.*\\x20!\\x22#.*\[\\x5c\].*~\\x7f\\x80.*\\xff.*\\x1b\[31m.* peer=/);
  const long = line('text', { target: `/${'a'.repeat(5000)}` });
  assert.ok(long.includes('a… peer=') && long.length < 2300);
});

test('text with fields by name says these behind method and target', () => {
  assert.equal(
    line('text', {}, { fields: ['time', 'status', 'request.user-agent', 'request.accept', 'path'] }),
    '2026-01-02T03:04:05.678Z info worker-1 access GET /app?x=1 status=200 request.user-agent=curl/8.5.0 path=/app',
  );
});

test('json: a line is an object with level, time and named fields; unknown values are left out', () => {
  const answeredBy = { requestId: 'abc-1', mappingName: '/app', waitedMs: 0.5, cpuTotalMs: 2 };
  const own = { answeredBy, headSentAt: 999.5, upstream: 'http://127.0.0.1:1' };
  assert.deepEqual(JSON.parse(line('json', own)), {
    level: 'info',
    time: '2026-01-02T03:04:05.678Z',
    msg: 'request',
    remote: '192.0.2.7',
    method: 'GET',
    target: '/app?x=1',
    host: 'a.test',
    protocol: 'HTTP/2',
    status: 200,
    bytes: 512,
    duration: 1.25,
    first_byte: 0.75,
    waiting: 0.5,
    lua_cpu: 2,
    sending: 0.5,
    request_id: 'abc-1',
    mapping: '/app',
    upstream: 'http://127.0.0.1:1',
  });
});

test("pino: pino's numbers of levels, its time, process and host", () => {
  const shown = JSON.parse(line('pino', { status: 503 }, { fields: ['status', 'worker', 'pushed'] }));
  const head = { level: 50, time: TIME, pid: process.pid, hostname: hostname(), msg: 'request' };
  assert.deepEqual(shown, { ...head, status: 503, worker: 1 });
});

test('json and pino show any bytes in ASCII: UTF-8 as what it means, other bytes by their numbers', () => {
  for (const format of ['json', 'pino'] as const) {
    const shown = line(format, {
      target: `/${EVIL}`,
      authority: Buffer.from('bücher.test').toString('latin1'),
    });
    assert.match(shown, /^[ -~]+$/);
    const read = JSON.parse(shown);
    assert.equal(read.target, `/${EVIL}`);
    assert.equal(read.host, 'bücher.test');
    assert.equal(read.status, 200);
  }
});

test('combined: the line of Apache and nginx', () => {
  assert.equal(
    line('combined'),
    '192.0.2.7 - - [02/Jan/2026:03:04:05 +0000] "GET /app?x=1 HTTP/2.0" 200 512 "https://a.test/\\x22x\\x22" "curl/8.5.0"',
  );
  assert.match(
    line('combined', { fields: [], protocol: 'HTTP/1.1' }),
    /"GET \/app\?x=1 HTTP\/1\.1" 200 512 "-" "-"$/,
  );
});

test('combined keeps its fields apart, whatever a client sends', () => {
  const shown = line('combined', { target: `/${EVIL}`, fields: ['user-agent', EVIL, 'referer', EVIL] });
  const form = /^\S+ - - \[[^\]]+\] "GET ([!-~]+) HTTP\/2\.0" 200 512 "([^"]*)" "([^"]*)"$/;
  const [, target, referer, agent] = form.exec(shown) ?? [];
  assert.ok(target?.includes('\\x22\\x20status=200'));
  assert.equal(referer, agent);
  assert.ok(agent?.includes('\\x0d\\x0a\\x1b[31m\\x22 status=200'));
});

test('A template names fields in braces; between quotes blanks stay, elsewhere they are escaped', () => {
  const template =
    '{time} {remote} {method} {path} {query} {status} "{request.x}" {request.x} {request.none}|';
  assert.equal(
    line({ template }, { fields: ['x', 'a b'] }),
    '2026-01-02T03:04:05.678Z 192.0.2.7 GET /app x=1 200 "a b" a\\x20b -|',
  );
});

test('splitTemplate() refuses unknown fields, secrets, control characters and a text without a field', () => {
  for (const wrong of [
    '{x}',
    '{request.cookie}',
    '{request.authorization}',
    '{status}\n',
    'text',
    '{}',
    '{status',
  ])
    assert.equal(splitTemplate(wrong), undefined, wrong);
  assert.deepEqual(splitTemplate('a {status}}'), ['a ', 'status', '}']);
});

test('journald gets a field for each, and no value of a client makes another one', () => {
  const target: LogTarget = { kind: 'journald' };
  const shown = line('text', { status: 502 }, { target, fields: ['status', 'request.user-agent', 'pushed'] });
  assert.deepEqual(shown.split('\x1f'), [
    'SYSLOG_IDENTIFIER=lgateway',
    'PRIORITY=3',
    'MESSAGE=GET /app?x=1 502',
    'LGATEWAY_STATUS=502',
    'LGATEWAY_REQUEST_USER_AGENT=curl/8.5.0',
  ]);
  const evil = line(
    'text',
    { target: EVIL, fields: ['user-agent', EVIL] },
    { target, fields: ['request.user-agent'] },
  );
  assert.equal(evil.split('\x1f').length, 4);
  assert.match(evil.replaceAll('\x1f', ''), /^[ -~]+$/);
});

test('What is the same for all requests with one head is formatted once, and anew by another formatter', () => {
  const identity = { memo: undefined, hasBody: false };
  const surroundings = { worker: 1, source: 'worker-1', namesHosts: () => false };
  const of = (accessFields: readonly string[]) =>
    accessFormatter({ accessFormat: 'json', accessFields, accessTarget: { kind: 'log' } }, surroundings);
  const [first, second] = [of(['target', 'status']), of(['method', 'status'])];
  const start = '{"level":"info","time":"2026-01-02T03:04:05.678Z","msg":"request"';
  assert.equal(bothWays(first, facts(exchange({ identity }))), `${start},"target":"/app?x=1","status":200}`);
  assert.equal(
    bothWays(first, facts(exchange({ identity, status: 404 }))),
    `${start},"target":"/app?x=1","status":404}`,
  );
  assert.equal(bothWays(second, facts(exchange({ identity }))), `${start},"method":"GET","status":200}`);
});

test('Of a sample only a part has lines, but each of status 500 and more; every exchange with a line has an id', () => {
  const lines: string[] = [];
  const surroundings = { worker: 1, source: 'worker-1', namesHosts: () => false };
  const log = (accessSample: number) =>
    createAccessLog(
      { ...DEFAULT_LOG_SETTINGS, accessSample },
      surroundings,
      new TextLines((one) => lines.push(one)),
    );
  const [none, half, all] = [log(0), log(0.5), log(1)];
  for (let i = 0; i < 1000; i++) none(exchange(), 0, 1);
  assert.equal(lines.length, 0);
  none(exchange({ status: 500 }), 0, 1);
  assert.match(lines.join(), / status=500 .* id=\S+-1-\S+$/);
  lines.length = 0;
  for (let i = 0; i < 1000; i++) half(exchange(), 0, 1);
  assert.ok(lines.length > 350 && lines.length < 650, `${lines.length} of 1000`);
  lines.length = 0;
  all(exchange(), undefined, 1);
  assert.equal(lines.length, 1);
});
