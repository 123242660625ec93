/** Reads what a client asks for in the first message of a TLS handshake (RFC 8446 §4.1.2): the name of the host, protocols, and whether it takes one kind of key. */

/** What a ClientHello asks for. */
export interface ClientHello {
  /** Of the extension server_name (RFC 6066 §3); undefined = it names none. */
  readonly serverName: string | undefined;
  /** Of the extension ALPN (RFC 7301), in the client's order. */
  readonly protocols: readonly string[];
  /** It takes a certificate with a key on the curve P-256, in TLS 1.3 or with a suite of TLS 1.2 for that. */
  readonly takesP256: boolean;
}

/** Bytes of the message: those with keys that no quantum computer breaks have some 2 KiB. */
export const HELLO_BYTES_MAX: number = 16 * 1024;

const HANDSHAKE_RECORD = 22;
const RECORD_HEAD_BYTES = 5;
/** RFC 8446 §5.1. */
const RECORD_BYTES_MAX = 16 * 1024;
const CLIENT_HELLO = 1;
const MESSAGE_HEAD_BYTES = 4;
const VERSION_AND_RANDOM_BYTES = 34;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const SUPPORTED_GROUPS = 10;
const SIGNATURE_ALGORITHMS = 13;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;
const TLS_1_3 = 0x0304;
/** RFC 8446 §4.2.7 and §4.2.3: the curve, and signatures by a key on it. */
const SECP256R1 = 23;
const ECDSA_SECP256R1_SHA256 = 0x0403;
/** ECDHE-ECDSA of TLS 1.2 with AES-GCM or ChaCha20: no profile has others. */
const ECDSA_SUITES: readonly number[] = [0xc02b, 0xc02c, 0xcca9];

const NOTHING: ClientHello = { serverName: undefined, protocols: [], takesP256: false };

/**
 * `received`: the first bytes of a connection. `more`: the message has not come whole. What is no ClientHello, or is longer than
 * HELLO_BYTES_MAX, asks for nothing: TLS itself refuses it.
 */
export function readClientHello(received: Buffer): ClientHello | 'more' {
  const message = gather(received);
  if (message === 'more') return 'more';
  if (message === undefined) return NOTHING;
  try {
    return readMessage(new Reader(message));
  } catch (error) {
    if (error instanceof RangeError) return NOTHING;
    throw error;
  }
}

/** The message without its head, of one record or of several; undefined: it is none. */
function gather(received: Buffer): Buffer | 'more' | undefined {
  const parts: Buffer[] = [];
  let size = 0;
  for (let at = 0; ; ) {
    if (received.length < at + RECORD_HEAD_BYTES) return 'more';
    const length = received.readUInt16BE(at + 3);
    if (received[at] !== HANDSHAKE_RECORD || length === 0 || length > RECORD_BYTES_MAX) return undefined;
    const end = at + RECORD_HEAD_BYTES + length;
    parts.push(received.subarray(at + RECORD_HEAD_BYTES, end));
    size += length;
    const message = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    if (message.length >= MESSAGE_HEAD_BYTES) {
      const needed = MESSAGE_HEAD_BYTES + message.readUIntBE(1, 3);
      if (message[0] !== CLIENT_HELLO || needed > HELLO_BYTES_MAX) return undefined;
      if (message.length >= needed) return message.subarray(MESSAGE_HEAD_BYTES, needed);
    }
    if (size > HELLO_BYTES_MAX) return undefined;
    if (received.length < end) return 'more';
    at = end;
  }
}

function readMessage(reader: Reader): ClientHello {
  reader.skip(VERSION_AND_RANDOM_BYTES);
  reader.vector(1); // session
  const suites = readNumbers(new Reader(reader.vector(2)));
  reader.vector(1); // compression
  if (reader.isAtEnd) return NOTHING;
  let serverName: string | undefined;
  let protocols: readonly string[] = [];
  let [curve, signature, is13] = [false, false, false];
  const extensions = new Reader(reader.vector(2));
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    const data = new Reader(extensions.vector(2));
    if (type === SERVER_NAME) serverName ??= readServerName(data);
    else if (type === ALPN) protocols = readProtocols(data);
    else if (type === SUPPORTED_GROUPS) curve = readList(data, 2).includes(SECP256R1);
    else if (type === SIGNATURE_ALGORITHMS) signature = readList(data, 2).includes(ECDSA_SECP256R1_SHA256);
    else if (type === SUPPORTED_VERSIONS) is13 = readList(data, 1).includes(TLS_1_3);
  }
  const takesP256 = curve && signature && (is13 || ECDSA_SUITES.some((suite) => suites.includes(suite)));
  return { serverName, protocols, takesP256 };
}

/** Numbers of two bytes, behind their size. */
function readList(data: Reader, sizeBytes: 1 | 2): readonly number[] {
  return readNumbers(new Reader(data.vector(sizeBytes)));
}

function readNumbers(list: Reader): readonly number[] {
  const numbers: number[] = [];
  while (!list.isAtEnd) numbers.push(list.number(2));
  return numbers;
}

function readServerName(data: Reader): string | undefined {
  const list = new Reader(data.vector(2));
  while (!list.isAtEnd) {
    const type = list.number(1);
    const name = list.vector(2).toString('latin1');
    if (type === HOST_NAME) return name;
  }
  return undefined;
}

function readProtocols(data: Reader): string[] {
  const list = new Reader(data.vector(2));
  const protocols: string[] = [];
  while (!list.isAtEnd) protocols.push(list.vector(1).toString('latin1'));
  return protocols;
}

/** Throws RangeError behind the end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  number(size: 1 | 2): number {
    const value = this.#bytes.readUIntBE(this.#at, size);
    this.#at += size;
    return value;
  }

  /** Bytes behind a length of 1 or 2 bytes. */
  vector(lengthSize: 1 | 2): Buffer {
    const size = this.number(lengthSize);
    this.skip(size);
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  skip(size: number): void {
    if (this.#at + size > this.#bytes.length) throw new RangeError('the message is cut');
    this.#at += size;
  }
}
