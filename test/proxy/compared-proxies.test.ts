/** The same requests through this gateway, HAProxy and nginx to one server: where what arrives differs, a reason stands here. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { COMPARED_HEADS } from '../support/compared-heads.ts';
import { type ComparedProxies, startComparedProxies, statusOf } from '../support/compared-proxies.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import {
  answering,
  type RecordedRequest,
  type RecordingBackend,
  recordingBackend,
} from '../support/recording-backend.ts';

const STRICT = 'what two readers could understand in two ways is refused (RFC 9112 §5, §6.3)';
const HOP = 'fields of one connection do not go on (RFC 9110 §7.6.1)';
const OWN = 'clients do not say where they come from, unless they are trusted';
const ABSOLUTE = 'the host of the target holds, and that of the field does not (RFC 9112 §3.2.2)';
const OLD = 'a server of HTTP/1.1 gets a Host (RFC 9112 §3.2)';
const STREAMED = 'bodies are not gathered before they go on';
const TRAILERS = 'trailers of requests do not go on (docs/proxy.md)';

/** Who does it otherwise, and why it is as it is here. */
const REASONS: Readonly<Record<string, readonly [who: string, reason: string]>> = {
  'blanks around a value': ['nginx', 'blanks around a value are no part of it (RFC 9112 §5.1)'],
  'a name with an underscore': ['nginx', 'it is a token, and names mean what their server says'],
  'a name with odd characters': ['nginx', 'it is a token, and names mean what their server says'],
  cookies: ['haproxy nginx', 'one field, as servers expect it where HTTP/2 has several (RFC 9113 §8.2.3)'],
  'Connection: keep-alive': ['haproxy', HOP],
  'a field that Connection names': ['haproxy nginx', HOP],
  'Connection that names Cookie': ['haproxy nginx', HOP],
  'Proxy-Connection': ['haproxy nginx', HOP],
  'TE: trailers': ['nginx', 'trailers of answers go on'],
  Trailer: ['haproxy nginx', TRAILERS],
  'Upgrade without Connection': ['haproxy', HOP],
  'HTTP2-Settings': ['haproxy nginx', 'behind HTTP/2 in a tunnel requests would go past the gateway'],
  'Max-Forwards of OPTIONS': ['haproxy nginx', 'it is one less (RFC 9110 §7.6.2)'],
  Via: ['haproxy nginx', 'who passes a request on says so (RFC 9110 §7.6.3)'],
  'X-Forwarded-For of the client': ['haproxy nginx', OWN],
  'X-Forwarded-Proto of the client': ['haproxy nginx', OWN],
  'X-Forwarded-Host of the client': ['haproxy nginx', OWN],
  'Forwarded of the client': ['haproxy nginx', OWN],
  'bytes above 0x7f in the path': ['nginx', 'a path is ASCII (RFC 3986 §3.3)'],
  'absolute form': ['haproxy nginx', ABSOLUTE],
  'HTTP/1.0 without Host': ['haproxy nginx', OLD],
  'a body in chunks': ['nginx', STREAMED],
  'chunks with an extension': ['nginx', STREAMED],
  'chunks with trailers': ['haproxy nginx', TRAILERS],
  'Expect: 100-continue': ['haproxy', 'the gateway itself sends 100 Continue'],
  'Content-Length and Transfer-Encoding': ['haproxy', STRICT],
  'two equal Content-Length': ['haproxy', STRICT],
  'Content-Length as a list': ['haproxy', STRICT],
  'Transfer-Encoding: gzip, chunked': ['haproxy', 'the status of what is not implemented (RFC 9112 §6.1)'],
  'Transfer-Encoding with a tab': ['nginx', 'blanks around a value are no part of it (RFC 9112 §5.1)'],
  'lines that end with LF': ['haproxy nginx', STRICT],
  'a folded line': ['haproxy', STRICT],
  'a NUL in a value': ['haproxy', STRICT],
  'no Host': ['haproxy', 'a request of HTTP/1.1 has a Host (RFC 9112 §3.2)'],
};

let backend: RecordingBackend;
let front: ProxyFront;
let others: ComparedProxies;

before(async () => {
  backend = await recordingBackend(answering('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
  front = await startProxyFront({ cleartext: true });
  front.passTo([backend.url], { retries: 0 });
  others = await startComparedProxies(backend.port);
});

after(async () => {
  await others.close();
  await backend.close();
  await front.stop();
});

/** What the server got, without the order of fields and what each proxy says of itself; or what the client got. */
async function outcome(to: Parameters<typeof statusOf>[0], bytes: string): Promise<string> {
  const at = backend.requests.length;
  const status = await statusOf(to, bytes);
  const request = backend.requests[at];
  return request === undefined ? `status ${status}` : shown(request);
}

const OF_PROXIES =
  /^(?:via: [^,]*$|x-forwarded-(?:for: 127\.0\.0\.1$|proto: http$|host: (?:a|b)\.example)|connection: |content-length: 0$)/i;

function shown({ head, body }: RecordedRequest): string {
  const [line, ...fields] = head.slice(0, -'\r\n\r\n'.length).split('\r\n');
  const kept = fields.filter((field) => !OF_PROXIES.test(field));
  return [
    line,
    ...kept.map((field) => field.replace(/^[^:]+/, (name) => name.toLowerCase())).sort(),
    body,
  ].join('\n');
}

test('What arrives differs from what HAProxy and nginx send only where a reason says so', async () => {
  const differing: Record<string, string> = {};
  for (const [name, bytes] of Object.entries(COMPARED_HEADS)) {
    const ours = await outcome({ port: front.port }, bytes);
    const who: string[] = [];
    for (const { name: other, path } of others.proxies)
      if ((await outcome({ path }, bytes)) !== ours) who.push(other);
    if (who.length > 0) differing[name] = who.join(' ');
  }
  assert.ok(Object.keys(COMPARED_HEADS).length >= 60);
  assert.deepEqual(
    differing,
    Object.fromEntries(Object.entries(REASONS).map(([name, [who]]) => [name, who])),
  );
});

for (const [what, bytes] of Object.entries({
  'Content-Length and Transfer-Encoding': COMPARED_HEADS['Content-Length and Transfer-Encoding'] ?? '',
  'a folded line': COMPARED_HEADS['a folded line'] ?? '',
  'a CR in a value': COMPARED_HEADS['a CR in a value'] ?? '',
  'a blank in the target': COMPARED_HEADS['a blank in the target'] ?? '',
}))
  test(`Nothing of a request with ${what} reaches a server`, async () => {
    const before = backend.requests.length;
    assert.equal(await statusOf({ port: front.port }, bytes), 400);
    assert.equal(backend.requests.length, before);
  });
