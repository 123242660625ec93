/** The parts of a fetch that need no network: bodies in both directions, redirects, and the checks of requests. */
import { deepStrictEqual, ok, rejects, strictEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { ByteQueue } from '../../src/base/byte-queue.ts';
import type { ByteSource } from '../../src/base/byte-stream.ts';
import { GatewayError } from '../../src/base/errors.ts';
import { fetchErrorOf } from '../../src/outbound/fetch-error.ts';
import { checkMethod, checkOwnField, type FetchRequest, parseUrl } from '../../src/outbound/fetch-request.ts';
import { BODY_AHEAD_BYTES, URL_BYTES_MAX } from '../../src/outbound/outbound-limits.ts';
import { ReceivedBody } from '../../src/outbound/received-body.ts';
import { redirected, redirectTarget } from '../../src/outbound/redirect.ts';
import { SentBody } from '../../src/outbound/sent-body.ts';

const PIECE_BYTES_MAX = 64 * 1024;
const broken = (): GatewayError => new GatewayError('LGW_FETCH_CLOSED', 'Broken', { luaCode: 'closed' });
const bytes = (size: number): Buffer => Buffer.alloc(size, 'x');
const untilNextTick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

// received bodies --------------------------------------------------------------------------------------------------

function received(): { body: ReceivedBody; told: string[] } {
  const told: string[] = [];
  const body = new ReceivedBody({ pause: () => told.push('pause'), resume: () => told.push('resume') });
  return { body, told };
}

test('ReceivedBody holds the upstream back at 128 KiB, and lets it go on at half of that', () => {
  const { body, told } = received();
  body.receive(bytes(BODY_AHEAD_BYTES - 1));
  deepStrictEqual(told, []);
  body.receive(bytes(1));
  body.receive(bytes(1));
  deepStrictEqual(told, ['pause']);
  body.queue.take(BODY_AHEAD_BYTES / 2);
  body.consumed();
  deepStrictEqual(told, ['pause']);
  body.queue.take(1);
  body.consumed();
  body.consumed();
  deepStrictEqual(told, ['pause', 'resume']);
});

test('ReceivedBody lets more in for a reader who wants more, and for nobody else', async () => {
  const { body, told } = received();
  body.receive(bytes(BODY_AHEAD_BYTES));
  body.request(1, () => told.push('small'));
  await untilNextTick();
  deepStrictEqual(told, ['pause', 'small']);
  body.request(2 * BODY_AHEAD_BYTES, () => told.push('large'));
  deepStrictEqual(told, ['pause', 'small', 'resume']);
  body.receive(bytes(BODY_AHEAD_BYTES - 1));
  await untilNextTick();
  deepStrictEqual(told, ['pause', 'small', 'resume']);
  body.receive(bytes(1));
  deepStrictEqual(told, ['pause', 'small', 'resume', 'pause']);
  await untilNextTick();
  deepStrictEqual(told, ['pause', 'small', 'resume', 'pause', 'large']);
});

test('ReceivedBody calls its readers in a tick of their own, in order, as far as there is something for them', async () => {
  const { body, told } = received();
  for (const name of ['first', 'second'])
    body.request(3, () => {
      told.push(`${name} ${body.queue.length}`);
      body.queue.take(Math.min(3, body.queue.length));
    });
  const withdrawn = (): void => void told.push('withdrawn');
  body.request(1, withdrawn);
  body.cancelRequest(withdrawn);
  body.receive(bytes(4));
  deepStrictEqual(told, []);
  await untilNextTick();
  deepStrictEqual(told, ['first 4']);
  body.finish();
  await untilNextTick();
  deepStrictEqual(told, ['first 4', 'second 1']);
  strictEqual(body.error, undefined);
});

test('ReceivedBody that breaks off stays readable, ends its readers, and takes nothing more', async () => {
  const { body, told } = received();
  body.receive(bytes(4));
  body.request(5, () => told.push(`${body.error?.code} ${body.queue.length}`));
  body.fail(broken());
  body.receive(bytes(9));
  body.finish();
  await untilNextTick();
  deepStrictEqual(told, ['LGW_FETCH_CLOSED 4']);
  body.request(5, () => told.push('again'));
  await untilNextTick();
  strictEqual(told.at(-1), 'again');
});

// sent bodies ------------------------------------------------------------------------------------------------------

/** A source that the test fills. */
class Source implements ByteSource {
  readonly queue = new ByteQueue();
  ended = false;
  error: GatewayError | undefined;
  reader: (() => void) | undefined;
  consumptions = 0;

  request(_size: number, ready: () => void): void {
    this.reader = ready;
  }
  cancelRequest(): void {
    this.reader = undefined;
  }
  consumed(): void {
    this.consumptions += 1;
  }
  notify(): void {
    const { reader } = this;
    this.reader = undefined;
    reader?.();
  }
}

function sent(): { source: Source; body: SentBody; told: string[] } {
  const told: string[] = [];
  const source = new Source();
  const body = new SentBody(source, {
    sourceAwaited: () => told.push('awaited'),
    pieceGiven: () => told.push('given'),
  });
  return { source, body, told };
}

test('SentBody gives pieces of at most 64 KiB, waits for its source, and ends with it', async () => {
  const { source, body, told } = sent();
  source.queue.push(bytes(PIECE_BYTES_MAX + 1));
  strictEqual((await body.next()).value?.length, PIECE_BYTES_MAX);
  strictEqual((await body.next()).value?.length, 1);
  deepStrictEqual([told, source.consumptions], [['given', 'given'], 2]);
  const waits = body.next();
  deepStrictEqual(told.splice(0), ['given', 'given', 'awaited']);
  source.queue.push(bytes(3));
  source.notify();
  strictEqual((await waits).value?.length, 3);
  const last = body.next();
  source.ended = true;
  source.notify();
  deepStrictEqual(await last, { done: true, value: undefined });
  // the body has been sent completely, so it cannot be stopped any more
  body.stop(broken());
});

test('SentBody fails with its source behind what there was, and when it is stopped at once', async () => {
  const failing = sent();
  failing.source.queue.push(bytes(1));
  failing.source.error = broken();
  failing.source.ended = true;
  strictEqual((await failing.body.next()).value?.length, 1);
  const next = failing.body.next();
  failing.source.notify();
  await rejects(next, /Broken/);

  const stopped = sent();
  const pending = stopped.body.next();
  ok(stopped.source.reader !== undefined);
  stopped.body.stop(broken());
  strictEqual(stopped.source.reader, undefined);
  await rejects(pending, /Broken/);
  stopped.source.queue.push(bytes(1));
  await rejects(stopped.body.next(), /Broken/);
  strictEqual(stopped.source.queue.length, 1);
});

// ---- redirects -------------------------------------------------------------------------------------------------------

const TLS = { verify: true, ca: 'ca', cert: 'cert', key: 'key', servername: 'name' };
const REQUEST: FetchRequest = {
  url: parseUrl('https://a.example/x'),
  method: 'POST',
  fields: ['accept', '*/*', 'authorization', 'me', 'cookie', 'c', 'content-type', 'text/plain'],
  body: bytes(3),
  bodyLength: undefined,
  redirectsMax: 5,
  timeouts: { connectMs: 1, headMs: 1, idleMs: 1, wholeMs: 1 },
  tls: TLS,
};

function next(request: FetchRequest, status: number, location: string): FetchRequest {
  const result = redirected(request, status, location);
  ok(!(result instanceof GatewayError), String(result));
  return result;
}

test('Only the five statuses that redirect do, and only with a place', () => {
  const at = ['content-length', '0', 'location', '/y'];
  const targets = [300, 301, 302, 303, 304, 305, 307, 308].map((status) => redirectTarget(status, at));
  deepStrictEqual(targets, [undefined, '/y', '/y', '/y', undefined, undefined, '/y', '/y']);
  strictEqual(redirectTarget(302, ['location', '']), undefined);
  strictEqual(redirectTarget(302, ['x', 'location']), undefined);
  strictEqual(redirectTarget(302, ['location', Buffer.from('/ü').toString('latin1')]), '/ü');
  strictEqual(redirectTarget(302, ['location', '/\xfc']), '/\xfc');
});

test('A redirect keeps method and body, or becomes a GET without either, by status and method', () => {
  const kinds = [301, 302, 303, 307, 308].map((status) => {
    const { method, body, fields } = next(REQUEST, status, '/y');
    return `${method} ${body === undefined ? 'nothing' : 'body'} ${fields.includes('content-type')}`;
  });
  const get = 'GET nothing false';
  deepStrictEqual(kinds, [get, get, get, 'POST body true', 'POST body true']);
  strictEqual(next({ ...REQUEST, method: 'PUT' }, 302, '/y').method, 'PUT');
  strictEqual(next({ ...REQUEST, method: 'PUT' }, 303, '/y').method, 'GET');
  strictEqual(next({ ...REQUEST, method: 'HEAD', body: undefined }, 303, '/y').method, 'HEAD');
});

test('Another origin gets nothing that was meant for the first one', () => {
  const same = next(REQUEST, 307, '/y?q');
  deepStrictEqual([same.fields, same.tls, same.redirectsMax], [REQUEST.fields, TLS, 4]);
  strictEqual(same.url.href, 'https://a.example/y?q');
  for (const place of ['https://b.example/', 'http://a.example/', 'https://a.example:444/', '//b.example']) {
    const other = next(REQUEST, 307, place);
    deepStrictEqual(other.fields, ['accept', '*/*', 'content-type', 'text/plain'], place);
    deepStrictEqual(other.tls, { ...TLS, cert: undefined, key: undefined, servername: undefined }, place);
  }
});

test('A body that was streamed is not sent again, and a place that is no URL is refused', () => {
  const streamed = { ...REQUEST, body: new Source() };
  const failure = redirected(streamed, 307, '/y');
  ok(failure instanceof GatewayError && failure.luaCode === 'invalid');
  strictEqual(next(streamed, 303, '/y').body, undefined);
  for (const place of ['http://', 'file:///etc/passwd', 'http://me:secret@a.example/', '/a\tb'])
    throws(() => redirected(REQUEST, 307, place), { code: 'LGW_FETCH_INVALID' }, place);
});

// ---- requests, errors ------------------------------------------------------------------------------------------------

test('A URL has at most 16 KiB, no blank or control character, and a scheme that is HTTP', () => {
  const start = 'http://a.example/';
  strictEqual(parseUrl(start + 'x'.repeat(URL_BYTES_MAX - start.length)).href.length, URL_BYTES_MAX);
  throws(
    () => parseUrl(start + 'x'.repeat(URL_BYTES_MAX - start.length + 1)),
    /has 16385 bytes and the limit is 16384/,
  );
  for (const bad of [
    '',
    'a.example',
    'http://a b/',
    'http://a/\r\nx',
    'http://a/\0',
    'ftp://a/',
    'javascript:1',
    'http://u:p@a/',
  ])
    throws(() => parseUrl(bad), { code: 'LGW_FETCH_INVALID' }, bad);
  const { path, pathname, origin } = parseUrl('../c?d#e', parseUrl('https://a.example:443/b/x'));
  deepStrictEqual([origin, pathname, path], ['https://a.example', '/c', '/c?d']);
});

test('No method or field opens a tunnel or frames the message', () => {
  for (const method of ['', 'GET ', 'A\r\nB', 'CONNECT', 'ü'])
    throws(() => checkMethod(method), { code: 'LGW_FETCH_INVALID' }, method);
  checkMethod('PROPFIND');
  for (const name of ['connection', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', ':path'])
    throws(() => checkOwnField(name), { code: 'LGW_FETCH_INVALID' }, name);
  checkOwnField('x-te');
});

test('What a system or a certificate finds wrong has a code for scripts, and the query stays out of messages', () => {
  const url = parseUrl('http://a.example/p?secret');
  const codes = [
    'ECONNREFUSED',
    'ENOTFOUND',
    'ETIMEDOUT',
    'ECONNRESET',
    'UND_ERR_HEADERS_OVERFLOW',
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_OSSL_PEM_NO_START_LINE',
    'ERR_ASSERTION',
    'EWHATEVER',
  ].map((code) => fetchErrorOf(url, Object.assign(new Error('text'), { code })).luaCode);
  deepStrictEqual(codes, [
    'refused',
    'notfound',
    'timeout',
    'closed',
    'limit',
    'denied',
    'denied',
    'invalid',
    'invalid',
    'io',
  ]);
  const several = new AggregateError([new Error('first'), new Error('second')], '');
  strictEqual(fetchErrorOf(url, several).message, 'Cannot fetch "http://a.example/p": first');
  const own = broken();
  strictEqual(fetchErrorOf(url, own), own);
});
