/**
 * The closed list of error codes: what each says, for logs, for `code` in embedding programs, and for docs/errors.md, which
 * is made of it. A code stays what it is; a new failure gets a new one.
 *
 * Long because the list is closed, and each code says in it what to do.
 */

/** For each code what has happened, and what whoever sees it can do. */
export const ERROR_CODES = {
  // ---- what a client did; its exchange ends ----
  LGW_BODY_MALFORMED: {
    meaning:
      'The chunked coding of a request body is not well-formed (RFC 9112 §7.1), or has too much around its data',
    remedy: 'The client gets 400 and the connection ends; look at what sends it',
  },
  LGW_BODY_TOO_LARGE: {
    meaning:
      'A request body is longer than `--max-body`, than the option `body` of its handler, or than what a TypeScript handler may gather at once',
    remedy: 'The client gets 413; raise the limit, or read the body in pieces',
  },
  LGW_BODY_TOO_SLOW: {
    meaning: 'A request body came more slowly than `--min-body-rate` while a handler waited for it',
    remedy: 'The client gets 408; lower the rate where clients are honest and slow',
  },
  LGW_BODY_UNREAD: {
    meaning:
      'A request body waited unread, its connection held much, and those of all requests had used up `--max-unread-bodies`',
    remedy: 'The client gets 503; let handlers read sooner, or raise the limit where there is memory',
  },
  LGW_CLIENT_GONE: {
    meaning: 'The client closed the connection or reset the stream before the exchange was over',
    remedy: 'Nothing: the handler ends where it waits next',
  },
  LGW_CLIENT_STALLED: {
    meaning: 'The client neither sent what was awaited nor took what waited for it for `--stall-timeout`',
    remedy: 'The client gets 408, or the connection ends; raise the limit for slow networks',
  },
  LGW_FORM_LIMIT: {
    meaning: 'A form has more bytes, parts or lines in the head of a part than the script admits',
    remedy: 'The message names the option; in a loop over `httpd.multipart()` the client gets 413',
  },
  LGW_FORM_MALFORMED: {
    meaning: 'A multipart form is not well-formed (RFC 7578, RFC 2046 §5.1), or breaks off',
    remedy: 'Look at what sends it; in a loop over `httpd.multipart()` the client gets 400',
  },
  LGW_FORM_TYPE: {
    meaning: 'A request does not hold the kind of form that the script reads',
    remedy: 'Answer 415, as a loop over `httpd.multipart()` does by itself',
  },
  LGW_HEAD_MALFORMED: {
    meaning: 'A request head is not well-formed (RFC 9112 §2 to §6, RFC 9113 §8)',
    remedy: 'The client gets 400 and the connection ends; over HTTP/2 the stream is reset',
  },
  LGW_HEAD_TIMEOUT: {
    meaning: 'A request head was not complete within the time for heads',
    remedy: 'The client gets 408 and the connection ends',
  },
  LGW_HEAD_TOO_LARGE: {
    meaning: 'A request head is longer than `--max-head`, or has too many fields',
    remedy: 'The client gets 431; raise the limit',
  },
  LGW_METHOD: {
    meaning: 'The method of a request is unknown, or CONNECT, which only proxies have',
    remedy: 'The client gets 501',
  },
  LGW_TARGET_TOO_LONG: {
    meaning: 'The request line is longer than `--max-head`',
    remedy: 'The client gets 414; raise the limit',
  },
  LGW_VERSION: {
    meaning: 'A request is of a major version of HTTP other than 1 and 2',
    remedy: 'The client gets 505 and the connection ends',
  },
  LGW_WEBSOCKET_CLOSED: {
    meaning: 'A WebSocket is closed: by either side, or its connection has gone',
    remedy: 'Nothing: `ws.code` and `ws.reason` say more; clients open another',
  },
  LGW_WEBSOCKET_HANDSHAKE: {
    meaning: 'A request asks for no WebSocket, or not as RFC 6455 §4.2 and RFC 8441 say',
    remedy:
      'The client gets 426 or 400; look at what sends it, and whether a proxy before the gateway passes Upgrade on',
  },
  LGW_WEBSOCKET_LIMIT: {
    meaning:
      'A message has more bytes than the option `max` or more fragments than a message may, or a worker has as many WebSockets as it may',
    remedy: 'The WebSocket is closed with 1009 or 1008, or the client gets 503; the message names the limit',
  },
  LGW_WEBSOCKET_ORIGIN: {
    meaning: 'A page of another origin than the option `origins` names has tried to open a WebSocket',
    remedy: 'The client gets 403; name the origin where it is one of yours',
  },
  LGW_WEBSOCKET_PROTOCOL: {
    meaning: 'A client has sent what RFC 6455 or RFC 7692 does not allow',
    remedy: 'The WebSocket is closed with 1002 or 1007; look at what sends it',
  },
  LGW_WEBSOCKET_TIMEOUT: {
    meaning: 'The client of a WebSocket has answered no ping, or no message has come in time',
    remedy: 'Where the message says that it is closed: nothing, the client has gone; else receive again',
  },
  // ---- what a script or a handler did ----
  LGW_CRYPTO_INVALID: {
    meaning: 'A key cannot be used, or a seal was changed or made with another key',
    remedy: 'The message says which',
  },
  LGW_CRYPTO_LIMIT: {
    meaning:
      'A key, text or token is longer than a function of `httpd.crypto` or `httpd.jwt` takes, or too many wait',
    remedy: 'The message names the limit',
  },
  LGW_FIELD_LIMIT: {
    meaning: 'A field of a request has more cookies or entries than `httpd.cookies` or `httpd.accepts` reads',
    remedy: 'The message names the limit; answer 400 or 431',
  },
  LGW_FIELD_INVALID: {
    meaning:
      'A header or trailer field has a name that is no token, or a value with control characters (RFC 9110 §5)',
    remedy: 'Change the script: the field is not sent',
  },
  LGW_FORM_READ: {
    meaning: 'A script reads a form whose body, or a part that, it has read or passed over already',
    remedy:
      'Change the script: one of `httpd.form`, `httpd.multipart` and `httpd.read` reads the body, in one task',
  },
  LGW_HANDLER_LIMIT: {
    meaning: 'A script registers too many handlers, or one with too long a name',
    remedy: 'Register fewer, for instance one `/notfound` that looks at the path',
  },
  LGW_JSON_INVALID: { meaning: 'A text is no JSON (RFC 8259)', remedy: 'The message names the byte' },
  LGW_JSON_LIMIT: {
    meaning: 'A JSON text is longer, deeper or has longer names than the limits in api.md',
    remedy: 'Send less at once',
  },
  LGW_JWT_DENIED: {
    meaning:
      'A token is genuine and not for this place or time: expired, not valid yet, for another audience',
    remedy: 'Answer 401; the client needs a new token',
  },
  LGW_JWT_INVALID: {
    meaning: 'A token is malformed, changed, or signed with another key or algorithm',
    remedy: 'Answer 401',
  },
  LGW_READ_LIMIT: {
    meaning:
      'A read asks for more than fits into the memory of the script (`--memory`), or for a line above its limit',
    remedy: 'Read in pieces, or raise `--memory`; the client whose body it was gets 413',
  },
  LGW_RESPONSE_INCOMPLETE: {
    meaning: 'A TypeScript handler has built a response without a status',
    remedy: 'Change the handler',
  },
  LGW_RESPONSE_INVALID: {
    meaning: 'A TypeScript handler has given a response a status, field or body that cannot be sent',
    remedy: 'Change the handler',
  },
  LGW_TIME_LIMIT: {
    meaning: 'A TypeScript handler has written nothing for its time limit',
    remedy: 'The client gets 504; raise `timeLimitMs`, or write earlier',
  },
  LGW_COMPRESSION: {
    meaning: 'An answer could not be compressed: there was no memory for it',
    remedy: 'The client gets 500, or sees that the answer breaks off; give the process more memory',
  },
  // ---- files, and other servers ----
  LGW_FILE: {
    meaning: 'An operation on a file or a process failed',
    remedy: 'The message says what the system said',
  },
  LGW_CONNECT_CLOSED: {
    meaning: 'The other side has closed a connection of `httpd.connect`, or it was ended',
    remedy: 'Connect again',
  },
  LGW_CONNECT_DENIED: {
    meaning:
      '`--allow-connect` does not name the place of a connection, or the certificate there is not trusted',
    remedy: 'Name the place there (`HOST:PORT`, `unix:/path`), or give `ca`',
  },
  LGW_CONNECT_INVALID: {
    meaning: 'The place or the options of a connection are not valid, or it cannot be kept',
    remedy: 'The message says why',
  },
  LGW_CONNECT_IO: { meaning: 'A connection of `httpd.connect` failed', remedy: 'The message says how' },
  LGW_CONNECT_LIMIT: {
    meaning: 'Too many connections of scripts at once, or a line that is too long',
    remedy: 'The message names the limit',
  },
  LGW_CONNECT_NOTFOUND: {
    meaning: 'The name of a host has no address, or there is no such unix socket',
    remedy: 'Check the name',
  },
  LGW_CONNECT_REFUSED: { meaning: 'Nothing listens there', remedy: 'Check that the server runs' },
  LGW_CONNECT_TIMEOUT: {
    meaning: 'A connection was not there, sent nothing, or took nothing, within its `timeout`',
    remedy: 'Raise `timeout`, or look at that server',
  },
  LGW_FETCH_CLOSED: {
    meaning: 'The other server closed the connection, or the fetch was ended',
    remedy: 'Try again if the request may be repeated',
  },
  LGW_FETCH_DENIED: { meaning: '`--allow-connect` does not name the address', remedy: 'Name it there' },
  LGW_FETCH_INVALID: {
    meaning: 'The options of a fetch, or what the other server answered, are not valid',
    remedy: 'The message says which',
  },
  LGW_FETCH_IO: { meaning: 'The connection to the other server failed', remedy: 'The message says how' },
  LGW_FETCH_LIMIT: {
    meaning: 'Too many fetches at once, or too much for one of them',
    remedy: 'The message names the limit',
  },
  LGW_FETCH_NOTFOUND: { meaning: 'The name of the other server has no address', remedy: 'Check the name' },
  LGW_FETCH_REFUSED: { meaning: 'The other server refuses connections', remedy: 'Check that it runs' },
  LGW_FETCH_TIMEOUT: {
    meaning: 'The other server did not answer within the time of the fetch',
    remedy: 'Raise `timeout`, or look at that server',
  },
  LGW_EVENT_LIMIT: {
    meaning:
      'An event, a message, or the name of a channel is too long, or there are too many subscriptions (`httpd.sse`, `httpd.publish`, `httpd.subscribe`)',
    remedy: 'The message names the limit; what is large is better fetched by whoever hears of it',
  },
  LGW_PROXY_CLOSED: {
    meaning: 'An upstream closed the connection before it had answered in full',
    remedy: 'The client gets 502, or an answer that breaks off; look at that server',
  },
  LGW_PROXY_DENIED: {
    meaning: '`--allow-connect` does not name the upstream, or its certificate is not accepted',
    remedy: 'Name it there, or give `tls` what it needs',
  },
  LGW_PROXY_INVALID: {
    meaning:
      'A target is not well-formed, a path does not fit it, or an upstream answers what could be read in two ways',
    remedy: 'The message says which',
  },
  LGW_PROXY_IO: { meaning: 'The connection to an upstream failed', remedy: 'The message says how' },
  LGW_PROXY_LIMIT: {
    meaning: 'Too many requests are passed on at once, no upstream is left, or a request goes in a circle',
    remedy: 'The client gets 503 or 508; the message says which',
  },
  LGW_PROXY_NOTFOUND: {
    meaning: 'The name of an upstream has no address, or its socket is not there',
    remedy: 'Check the name',
  },
  LGW_PROXY_REFUSED: { meaning: 'An upstream refuses connections', remedy: 'Check that it runs' },
  LGW_PROXY_TIMEOUT: {
    meaning: 'An upstream did not connect, answer or go on within its time',
    remedy: 'The client gets 504; raise `timeout`, or look at that server',
  },
  LGW_SHARED_LOCK: {
    meaning: 'A dictionary was held by another thread for longer than a thread waits',
    remedy: 'Try again; it points to an overloaded machine',
  },
  LGW_STORE: {
    meaning: 'A call on a dictionary in a store (`--store`) was refused, or got no answer in time',
    remedy:
      'The message says why; scripts get nil, the message and `refused`, `timeout`, `limit`, `denied` or `invalid`',
  },
  // ---- configuration and start; the program ends with it, or the reload is refused ----
  LGW_ADMIN_TOKEN: {
    meaning: 'The token of the admin listener (`--admin`) cannot be read or written, or is no token',
    remedy: 'The message says why; `--admin-token-file` takes a file with a token of your own',
  },
  LGW_ADDRESS: {
    meaning: 'An address to listen on is not ADDRESS:PORT',
    remedy: 'The message gives the forms',
  },
  LGW_BACKGROUND: {
    meaning: 'The gateway in the background (`-d`) did not start',
    remedy: 'The message is that of the process in the background',
  },
  LGW_ACME: {
    meaning: 'A certificate could not be obtained from an ACME server, or what is kept of it cannot be used',
    remedy:
      'The message says what the server or the folder has refused; the certificate before stays, and the gateway asks again',
  },
  LGW_CERTIFICATE_INVALID: {
    meaning: 'A certificate file holds no certificate, or one that cannot be read',
    remedy: 'The message names the file and what it holds',
  },
  LGW_CERTIFICATE_READ: {
    meaning: 'A file of a certificate or key cannot be read',
    remedy: 'Check its name and rights',
  },
  LGW_CERTIFICATE_STORE: {
    meaning: 'The development certificate cannot be kept anywhere',
    remedy: 'Give a certificate with `-c` and `-k`, or set XDG_DATA_HOME',
  },
  LGW_CERTIFICATE_TIME: {
    meaning: 'A reload would serve a certificate that has expired, or is not valid yet',
    remedy: 'Renew it, or look at the clock',
  },
  LGW_CERTIFICATE_TWICE: {
    meaning: 'Two certificates are for one name and have keys of one kind',
    remedy: 'Give one of them; an RSA, an EC and an Ed25519 key may stand side by side',
  },
  LGW_CONFIG: {
    meaning: 'Options contradict each other or have wrong values',
    remedy: 'The message names them',
  },
  LGW_DESCRIPTOR: {
    meaning: 'A file descriptor cannot be duplicated or used',
    remedy: 'The message says why',
  },
  LGW_HANDLER: { meaning: 'A server has nothing to serve, or no usable handler', remedy: 'Give one' },
  LGW_KEY_ENCRYPTED: {
    meaning: 'The private key is encrypted, and nobody can type its passphrase',
    remedy: 'Decrypt it: `openssl pkey -in KEY -out NEWKEY`',
  },
  LGW_KEY_INVALID: { meaning: 'A file holds no readable private key', remedy: 'Check the file' },
  LGW_KEY_MISMATCH: {
    meaning: 'The private key does not belong to the certificate',
    remedy: 'Check that both files belong together',
  },
  LGW_KEY_UNSUITABLE: {
    meaning: 'The private key is of a kind, or so short, that clients refuse it',
    remedy: 'Make an RSA key of 2048 bits or more, or an EC key',
  },
  LGW_LISTEN: {
    meaning: 'An address or a socket cannot be listened on: in use, not allowed, or not there',
    remedy: 'The message says which, and who else uses it',
  },
  LGW_LISTEN_FAILED: {
    meaning: 'A worker cannot listen on the socket it was given',
    remedy: 'The message says why',
  },
  LGW_LOG_FILE: { meaning: 'The log file cannot be opened', remedy: 'Check its folder and rights' },
  LGW_MODULE: {
    meaning: 'A TypeScript or JavaScript module fails when it is loaded, or has no usable default export',
    remedy: 'The message has what it threw',
  },
  LGW_NATIVE_UNAVAILABLE: {
    meaning: 'The native calls that workers need to share a socket are not there',
    remedy: 'Workers bind by themselves where they can; the message says what is missing',
  },
  LGW_PID_FILE: {
    meaning: 'The pid file cannot be written, or belongs to a running process',
    remedy: 'Stop that process, or name another file',
  },
  LGW_RELOAD: {
    meaning: 'A worker did not get ready for the new scripts; the old ones stay',
    remedy: 'The log of the worker says why; send SIGHUP again',
  },
  LGW_RESTART: {
    meaning: 'A reload was to change settings that only a restart changes; nothing has changed',
    remedy: 'The message names all of them with both values; restart, or leave them as they are',
  },
  LGW_ROOT: {
    meaning: 'A virtual root (`--root`, or `root` of a mapping) is no folder that can be used',
    remedy: 'The message says why',
  },
  LGW_ROUTE: {
    meaning: 'A route, prefix or mounted router of a TypeScript router is not valid, or is there twice',
    remedy: 'The message shows the pattern',
  },
  LGW_MIDDLEWARE: {
    meaning: 'A middleware of a TypeScript router gave no Response, or called next() wrongly',
    remedy: 'The message names it and says what it did; the client gets 500 unless `onError` answers',
  },
  LGW_FOLDER: {
    meaning: 'A folder that a mapping serves (`-l /static public/`) is not there, or is no folder',
    remedy: 'Check its name and the rights of the user; with `--root` it has to lie inside',
  },
  LGW_SCRIPT: {
    meaning: 'A script cannot be loaded: not there, not Lua, or it fails',
    remedy: 'The message has the place and the traceback',
  },
  LGW_SHARED: {
    meaning: 'A dictionary (`--shared`) has a wrong name or size',
    remedy: 'The message gives the bounds',
  },
  LGW_SOCKETS: {
    meaning: 'The sockets that a service manager hands over do not fit',
    remedy: 'Check LISTEN_FDS and LISTEN_FDNAMES, or the socket unit',
  },
  LGW_STARTED: { meaning: 'A server object was started twice', remedy: 'Make another one' },
  LGW_STOPPED: {
    meaning: 'The gateway was stopped before it was ready, or was used while it did not serve',
    remedy: 'Nothing, or wait for `ready()`',
  },
  LGW_OCSP: {
    meaning: 'An authority has given no OCSP response that may be stapled',
    remedy:
      'The message says what is wrong with it; the one before is stapled while it holds, and the gateway asks again',
  },
  LGW_NO_GATEWAY: {
    meaning: 'A command that asks something of the running gateway has found none',
    remedy: 'Name its `--admin` or `--pid-file` as the gateway was started with, and ask as its user',
  },
  LGW_UPGRADE: {
    meaning: 'No new process could take the place of the one that serves, which goes on as before',
    remedy:
      'The message has the reason, or what the new process said; mend it, and ask for the upgrade again',
  },
  LGW_USER: {
    meaning: 'The process cannot become the user of `-u`',
    remedy: 'Start it as root, or without `-u`',
  },
  LGW_CRASH_LOOP: {
    meaning:
      'Workers have ended ten times within two minutes and none has served, or eight threads do not end',
    remedy: 'The command ends with exit code 3; the lines before say what ended the workers',
  },
  LGW_WORKER: {
    meaning: 'A worker thread did not start, or did not answer in time',
    remedy: 'The log of the worker says why',
  },
  LGW_WORKER_HELD_UP: {
    meaning:
      'A worker thread did not come round for `--heartbeat-limit`, outside Lua: a handler in TypeScript loops, or a call of the system hangs',
    remedy:
      'The worker is replaced and its requests end; the message says for how long, whether it computed, and for which module it did so last',
  },
} as const;

/** Stable codes, for logs and for programs that embed the gateway. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** The short words a Lua script sees as third result, and what each says. */
export const LUA_CODES = {
  timeout: 'it took too long',
  closed: 'the other side, or the stream, is closed',
  limit: 'a limit is reached; the message names it',
  denied: 'it is not allowed',
  refused: 'the other side refuses connections',
  notfound: 'there is no such file, host or entry',
  invalid: 'an argument or an answer is not what it has to be',
  io: 'the system reports an error; the message has it',
} as const;

export type LuaCode = keyof typeof LUA_CODES;

/** The two tables as they stand in docs/errors.md. */
export function describeCodes(): string {
  const lines = ['| code | what has happened | what to do |', '|---|---|---|'];
  for (const [code, { meaning, remedy }] of Object.entries(ERROR_CODES).sort(([a], [b]) => (a < b ? -1 : 1)))
    lines.push(`| \`${code}\` | ${meaning} | ${remedy} |`);
  lines.push('', '## Words in Lua', '', '| word | says |', '|---|---|');
  for (const [word, says] of Object.entries(LUA_CODES)) lines.push(`| \`${word}\` | ${says} |`);
  return `${lines.join('\n')}\n`;
}
