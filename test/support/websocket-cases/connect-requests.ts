/** Heads that ask for a WebSocket over HTTP/2, as RFC 8441 §4 and §5 want them and otherwise, and what each is answered with. */
import { SAMPLE_KEY } from '../raw-websocket.ts';
import type { Head } from '../wire-client.ts';

export interface ConnectRequest {
  readonly what: string;
  readonly head: Head;
  /** True: the head ends the stream. */
  readonly ends?: boolean;
  /** A status, or the code of the reset. */
  readonly gets: number | `reset ${number}`;
  /** Fields of the answer, one `name: value` a line. */
  readonly answers?: RegExp;
}

const USUAL: Head = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'https'],
  [':authority', 'localhost'],
  [':path', '/echo'],
  ['sec-websocket-version', '13'],
];

/** The usual head with other values, without what is undefined, and with more fields behind it. */
function head(changes: Readonly<Record<string, string | undefined>>, more: Head = []): Head {
  const changed = USUAL.flatMap(([name, value]) => {
    const other = name in changes ? changes[name] : value;
    return other === undefined ? [] : [[name, other] as const];
  });
  return [...changed, ...more];
}

const OPENED = 200;
const MALFORMED = 400;
const NO_UPGRADE = 426;
const NOT_SERVED = 501;
const PROTOCOL_ERROR = 'reset 1';

const PROTOCOLS = { ':path': '/protocols' };
const DEFLATE = { ':path': '/deflate' };

export const CONNECT_REQUESTS: readonly ConnectRequest[] = [
  {
    what: 'the usual head',
    head: head({}),
    gets: OPENED,
    answers: /^(?!.*sec-websocket-(?:accept|extensions|protocol))/s,
  },
  { what: ':protocol in other letters', head: head({ ':protocol': 'WebSocket' }), gets: OPENED },
  {
    what: 'a key, which HTTP/2 has no use for',
    head: head({}, [['sec-websocket-key', SAMPLE_KEY]]),
    gets: OPENED,
    answers: /^(?!.*sec-websocket-accept)/s,
  },
  {
    what: 'its own origin and a cookie',
    head: head({}, [
      ['origin', 'https://localhost'],
      ['cookie', 'a=b'],
    ]),
    gets: OPENED,
  },
  { what: 'its own host without TLS', head: head({}, [['origin', 'http://localhost']]), gets: 403 },
  { what: 'another origin', head: head({}, [['origin', 'https://example.com']]), gets: 403 },
  {
    what: 'a protocol of the handler',
    head: head(PROTOCOLS, [['sec-websocket-protocol', 'x, chat.v2']]),
    gets: OPENED,
    answers: /^sec-websocket-protocol: chat\.v2$/m,
  },
  {
    what: 'permessage-deflate',
    head: head(DEFLATE, [['sec-websocket-extensions', 'permessage-deflate; server_max_window_bits=10']]),
    gets: OPENED,
    answers: /^sec-websocket-extensions: permessage-deflate;.*server_max_window_bits=10/m,
  },
  {
    what: 'an offer that is to be declined',
    head: head(DEFLATE, [['sec-websocket-extensions', 'permessage-deflate; who_knows']]),
    gets: OPENED,
    answers: /^(?!.*sec-websocket-extensions)/s,
  },
  {
    what: 'no version',
    head: head({ 'sec-websocket-version': undefined }),
    gets: MALFORMED,
    answers: /^sec-websocket-version: 13$/m,
  },
  {
    what: 'another version',
    head: head({ 'sec-websocket-version': '8' }),
    gets: NO_UPGRADE,
    answers: /^sec-websocket-version: 13$/m,
  },
  { what: 'two versions', head: head({}, [['sec-websocket-version', '8']]), gets: NO_UPGRADE },
  {
    what: 'a protocol that is no token',
    head: head(PROTOCOLS, [['sec-websocket-protocol', 'chat v1']]),
    gets: MALFORMED,
  },
  {
    what: 'extensions that are no list',
    head: head(DEFLATE, [['sec-websocket-extensions', ';']]),
    gets: MALFORMED,
  },
  { what: 'a head that ends the stream', head: head({}), ends: true, gets: MALFORMED },
  { what: 'a content-length', head: head({}, [['content-length', '10']]), gets: MALFORMED },
  {
    what: 'no :protocol',
    head: head({ ':protocol': undefined, ':scheme': undefined, ':path': undefined }),
    gets: NOT_SERVED,
  },
  {
    what: 'no :protocol but :path and :scheme',
    head: head({ ':protocol': undefined }),
    gets: PROTOCOL_ERROR,
  },
  { what: 'another :protocol', head: head({ ':protocol': 'connect-udp' }), gets: NOT_SERVED },
  { what: 'an empty :protocol', head: head({ ':protocol': '' }), gets: PROTOCOL_ERROR },
  { what: 'a :protocol that is no token', head: head({ ':protocol': 'web socket' }), gets: PROTOCOL_ERROR },
  { what: 'no :scheme', head: head({ ':scheme': undefined }), gets: PROTOCOL_ERROR },
  { what: 'the :scheme of ws over TLS', head: head({ ':scheme': 'http' }), gets: MALFORMED },
  { what: 'a :scheme that HTTP does not have', head: head({ ':scheme': 'wss' }), gets: MALFORMED },
  { what: 'the :scheme in capitals', head: head({ ':scheme': 'HTTPS' }), gets: OPENED },
  { what: 'no :path', head: head({ ':path': undefined }), gets: PROTOCOL_ERROR },
  { what: 'an empty :path', head: head({ ':path': '' }), gets: PROTOCOL_ERROR },
  { what: ':protocol of a GET', head: head({ ':method': 'GET' }), gets: PROTOCOL_ERROR },
  { what: ':protocol of a POST', head: head({ ':method': 'POST' }), gets: PROTOCOL_ERROR },
  { what: ':protocol twice', head: [[':protocol', 'websocket'], ...head({})], gets: PROTOCOL_ERROR },
  {
    what: ':protocol behind a field',
    head: [...head({ ':protocol': undefined }), [':protocol', 'websocket']],
    gets: PROTOCOL_ERROR,
  },
  { what: 'an Upgrade', head: head({}, [['upgrade', 'websocket']]), gets: PROTOCOL_ERROR },
  { what: 'a Connection', head: head({}, [['connection', 'Upgrade']]), gets: PROTOCOL_ERROR },
  {
    what: 'Upgrade of a GET',
    head: head({ ':method': 'GET', ':protocol': undefined }, [['upgrade', 'websocket']]),
    gets: PROTOCOL_ERROR,
  },
  {
    what: 'a GET without an Upgrade',
    head: head({ ':method': 'GET', ':protocol': undefined }),
    ends: true,
    gets: NO_UPGRADE,
  },
  { what: 'a path that no handler has', head: head({ ':path': '/nobody' }), gets: 404 },
];
