/** Heads that ask for a WebSocket over HTTP/1.1, as RFC 6455 §4.2.1 wants them and otherwise, and what each is answered with. */
import { SAMPLE_KEY } from '../raw-websocket.ts';

export interface Handshake {
  readonly what: string;
  /** The whole request. */
  readonly head: string;
  readonly status: number;
  /** What the head of the answer has to have. */
  readonly answers?: RegExp;
}

const USUAL: readonly (readonly [string, string])[] = [
  ['Host', 'localhost'],
  ['Upgrade', 'websocket'],
  ['Connection', 'Upgrade'],
  ['Sec-WebSocket-Key', SAMPLE_KEY],
  ['Sec-WebSocket-Version', '13'],
];

/** The usual head; a change by name takes the place of a field, or takes it away, and a new field stands at the end. */
function head(
  changes: Readonly<Record<string, string | undefined>> = {},
  line = 'GET /echo HTTP/1.1',
  more: readonly string[] = [],
): string {
  const named = new Map<string, string | undefined>([...USUAL, ...Object.entries(changes)]);
  const lines = [...named].flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  return `${[line, ...lines, ...more].join('\r\n')}\r\n\r\n`;
}

/** The key of 16 bytes in another length. */
const keyOf = (bytes: number): string => Buffer.alloc(bytes, 'k').toString('base64');

const OPENED = 101;
const MALFORMED = 400;
const NO_UPGRADE = 426;

const opened = (what: string, request: string, answers?: RegExp): Handshake => ({
  what,
  head: request,
  status: OPENED,
  ...(answers && { answers }),
});
const refused = (what: string, status: number, request: string, answers?: RegExp): Handshake => ({
  what,
  head: request,
  status,
  ...(answers && { answers }),
});

const ACCEPTED = /\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i;
const NO_EXTENSION = /^(?!.*sec-websocket-extensions)/is;
const NO_PROTOCOL = /^(?!.*sec-websocket-protocol)/is;
const VERSION_13 = /\r\nsec-websocket-version: 13\r\n/i;

export const HANDSHAKES: readonly Handshake[] = [
  opened('the usual head', head(), ACCEPTED),
  opened(
    'no extension nor protocol where nobody asks',
    head(),
    /^(?!.*sec-websocket-(?:extensions|protocol))/is,
  ),
  opened('Upgrade in other letters', head({ Upgrade: 'WebSocket' }), ACCEPTED),
  opened('Connection in other letters', head({ Connection: 'uPGRADE' }), ACCEPTED),
  opened('Connection with keep-alive', head({ Connection: 'keep-alive, Upgrade' }), ACCEPTED),
  opened('Connection in two fields', head({}, undefined, ['Connection: keep-alive']), ACCEPTED),
  opened('Upgrade with another protocol before', head({ Upgrade: 'example/1, websocket' }), ACCEPTED),
  opened(
    'names in capital letters',
    head().replaceAll(/^[A-Z][\w-]+:/gm, (name) => name.toUpperCase()),
    ACCEPTED,
  ),
  opened(
    'blanks around values',
    head({ 'Sec-WebSocket-Version': '  13\t ', Upgrade: ' websocket ' }),
    ACCEPTED,
  ),
  opened('a query', head({}, 'GET /echo?room=1 HTTP/1.1'), ACCEPTED),
  opened('an absolute target', head({}, 'GET http://localhost/echo HTTP/1.1'), ACCEPTED),
  opened('its own origin', head({ Origin: 'https://localhost' }), ACCEPTED),
  opened('its own origin with a port', head({ Origin: 'https://LOCALHOST:443' }), ACCEPTED),
  refused('another origin', 403, head({ Origin: 'https://example.com' })),
  refused('another port of its host', 403, head({ Origin: 'https://localhost:8443' })),
  opened('its own origin without TLS', head({ Origin: 'http://localhost' }), ACCEPTED),
  refused('a host that begins like it', 403, head({ Origin: 'https://localhost.example' })),
  refused('the origin of a page without one', 403, head({ Origin: 'null' })),
  opened('a cookie', head({ Cookie: 'a=b' }), ACCEPTED),
  opened('an extension that nobody knows', head({ 'Sec-WebSocket-Extensions': 'x-unknown' }), NO_EXTENSION),
  opened(
    'permessage-deflate where the handler does not compress',
    head({ 'Sec-WebSocket-Extensions': 'permessage-deflate' }),
    NO_EXTENSION,
  ),
  opened(
    'permessage-deflate',
    head({ 'Sec-WebSocket-Extensions': 'permessage-deflate' }, 'GET /deflate HTTP/1.1'),
    /\r\nsec-websocket-extensions: permessage-deflate/i,
  ),
  opened('a protocol where the handler has none', head({ 'Sec-WebSocket-Protocol': 'chat' }), NO_PROTOCOL),
  opened(
    'the protocol of the handler',
    head({ 'Sec-WebSocket-Protocol': 'chat.v1' }, 'GET /protocols HTTP/1.1'),
    /\r\nsec-websocket-protocol: chat\.v1\r\n/i,
  ),
  opened(
    'one of several protocols',
    head({ 'Sec-WebSocket-Protocol': 'other, chat.v1' }, 'GET /protocols HTTP/1.1'),
    /\r\nsec-websocket-protocol: chat\.v1\r\n/i,
  ),
  opened(
    'the protocols in two fields',
    head({ 'Sec-WebSocket-Protocol': 'other' }, 'GET /protocols HTTP/1.1', [
      'Sec-WebSocket-Protocol: chat.v2',
    ]),
    /\r\nsec-websocket-protocol: chat\.v2\r\n/i,
  ),
  opened(
    'protocols that the handler does not have',
    head({ 'Sec-WebSocket-Protocol': 'other, else' }, 'GET /protocols HTTP/1.1'),
    NO_PROTOCOL,
  ),
  opened(
    'a protocol in other letters is another',
    head({ 'Sec-WebSocket-Protocol': 'CHAT.V1' }, 'GET /protocols HTTP/1.1'),
    NO_PROTOCOL,
  ),

  refused('POST', MALFORMED, head({ 'Content-Length': '0' }, 'POST /echo HTTP/1.1')),
  refused('PUT', MALFORMED, head({ 'Content-Length': '0' }, 'PUT /echo HTTP/1.1')),
  refused('HEAD', MALFORMED, head({}, 'HEAD /echo HTTP/1.1')),
  refused('OPTIONS', MALFORMED, head({}, 'OPTIONS /echo HTTP/1.1')),
  refused('HTTP/1.0', NO_UPGRADE, head({}, 'GET /echo HTTP/1.0')),
  refused('no Host', MALFORMED, head({ Host: undefined })),
  refused('two Hosts', MALFORMED, head({}, undefined, ['Host: localhost'])),
  refused('a body', MALFORMED, `${head({ 'Content-Length': '5' })}hello`),
  refused('a chunked body', MALFORMED, `${head({ 'Transfer-Encoding': 'chunked' })}5\r\nhello\r\n0\r\n\r\n`),
  refused('no Upgrade', NO_UPGRADE, head({ Upgrade: undefined }), /\r\nupgrade: websocket\r\n/i),
  refused('another Upgrade', NO_UPGRADE, head({ Upgrade: 'example/1' }), /\r\nupgrade: websocket\r\n/i),
  refused('an Upgrade that only begins so', NO_UPGRADE, head({ Upgrade: 'websockets' })),
  refused('an Upgrade in quotes', NO_UPGRADE, head({ Upgrade: '"websocket"' })),
  refused('an empty Upgrade', NO_UPGRADE, head({ Upgrade: '' })),
  refused('no Connection', NO_UPGRADE, head({ Connection: undefined })),
  refused('Connection: keep-alive', NO_UPGRADE, head({ Connection: 'keep-alive' })),
  refused('Connection: close', NO_UPGRADE, head({ Connection: 'close' })),
  refused('a Connection that only contains the word', NO_UPGRADE, head({ Connection: 'no-upgrade' })),
  refused('no key', MALFORMED, head({ 'Sec-WebSocket-Key': undefined })),
  refused('an empty key', MALFORMED, head({ 'Sec-WebSocket-Key': '' })),
  refused('a key that is no base64', MALFORMED, head({ 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' })),
  refused('a key without its padding', MALFORMED, head({ 'Sec-WebSocket-Key': SAMPLE_KEY.slice(0, -2) })),
  refused(
    'a key in the alphabet of URLs',
    MALFORMED,
    head({ 'Sec-WebSocket-Key': '_-_-_-_-_-_-_-_-_-_-_w==' }),
  ),
  ...[0, 1, 12, 15, 17, 18, 24, 32]
    .filter((bytes) => bytes > 0)
    .map((bytes) =>
      refused(`a key of ${bytes} bytes`, MALFORMED, head({ 'Sec-WebSocket-Key': keyOf(bytes) })),
    ),
  refused('two keys', MALFORMED, head({}, undefined, [`Sec-WebSocket-Key: ${SAMPLE_KEY}`])),
  refused('two keys in one field', MALFORMED, head({ 'Sec-WebSocket-Key': `${SAMPLE_KEY}, ${SAMPLE_KEY}` })),
  refused('no version', MALFORMED, head({ 'Sec-WebSocket-Version': undefined }), VERSION_13),
  ...['0', '7', '8', '12', '14', '99', '256', '-13', '13.0', '013', '+13', '0x0d', 'thirteen', ''].map(
    (version) =>
      refused(`the version "${version}"`, NO_UPGRADE, head({ 'Sec-WebSocket-Version': version }), VERSION_13),
  ),
  refused('a list of versions', NO_UPGRADE, head({ 'Sec-WebSocket-Version': '13, 8' }), VERSION_13),
  refused('two versions', NO_UPGRADE, head({}, undefined, ['Sec-WebSocket-Version: 8']), VERSION_13),
  refused(
    'a protocol that is no token',
    MALFORMED,
    head({ 'Sec-WebSocket-Protocol': 'chat v1' }, 'GET /protocols HTTP/1.1'),
  ),
  refused(
    'an empty element among the protocols',
    MALFORMED,
    head({ 'Sec-WebSocket-Protocol': 'chat.v1,,chat.v2' }, 'GET /protocols HTTP/1.1'),
  ),
  refused(
    'a protocol twice',
    MALFORMED,
    head({ 'Sec-WebSocket-Protocol': 'chat.v1, chat.v1' }, 'GET /protocols HTTP/1.1'),
  ),
  ...[
    'permessage-deflate; client_max_window_bits=16',
    'permessage-deflate; server_max_window_bits=7',
    'permessage-deflate; server_max_window_bits',
    'permessage-deflate; server_max_window_bits=ten',
    'permessage-deflate; server_no_context_takeover=1',
    'permessage-deflate; client_no_context_takeover; client_no_context_takeover',
    'permessage-deflate; who_knows',
  ].map((offer) =>
    // RFC 7692 §7.1: such an offer is declined, and the socket opens without compression
    opened(
      `the offer ${offer}`,
      head({ 'Sec-WebSocket-Extensions': offer }, 'GET /deflate HTTP/1.1'),
      NO_EXTENSION,
    ),
  ),
  ...['permessage-deflate;', 'permessage-deflate; =9', ';', 'a b', 'permessage-deflate; x="y'].map((field) =>
    refused(
      `extensions that are no list: ${field}`,
      MALFORMED,
      head({ 'Sec-WebSocket-Extensions': field }, 'GET /deflate HTTP/1.1'),
    ),
  ),
];
