/** HPACK against nghttp2, through node:http2: its client talks to a server that has only our codec. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  sensitiveHeaders,
} from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { HpackDecoder } from '../../../src/http/h2/hpack-decoder.ts';
import { HpackEncoder } from '../../../src/http/h2/hpack-encoder.ts';
import { END_BOTH, frame, PREFACE, SETTING, settingsFrame } from '../../support/h2-bytes.ts';
import { FLAG, FRAME } from '../../support/wire-client.ts';

const FRAME_HEADER_BYTES = 9;
const CASES = 60;
const LIMITS = { tableBytesMax: 4096, listBytesMax: 65_536, fieldsMax: 100 };

type Fields = Readonly<Record<string, string>>;

/** Answers each request with the prepared fields, and keeps the fields of the request. */
class CodecServer {
  readonly #server: Server = createServer((socket) => this.#serve(socket));
  /** Table sizes that the client's encoder may use; the last one is in force. */
  encoderSizes: readonly number[] = [];
  /** Table size for the encoder of the answers; undefined keeps the present size. */
  decoderSize: number | undefined;
  answer: Fields = {};
  received: Fields = {};

  async start(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
  }

  #serve(socket: Socket): void {
    const decoder = new HpackDecoder(LIMITS);
    const encoder = new HpackEncoder();
    let bytes = Buffer.alloc(0);
    let begun = false;
    socket.on('error', () => undefined);
    socket.write(settingsFrame(...this.encoderSizes.map((size) => [SETTING.headerTableSize, size] as const)));
    const take = (type: number, flags: number, stream: number, payload: Buffer): void => {
      if (type === FRAME.settings) {
        if ((flags & FLAG.ack) === 0) {
          for (let at = 0; at < payload.length; at += 6)
            if (payload.readUInt16BE(at) === SETTING.headerTableSize)
              encoder.setTableBytesMax(payload.readUInt32BE(at + 2));
          socket.write(frame(FRAME.settings, FLAG.ack, 0));
        } else for (const size of this.encoderSizes) decoder.setTableBytesMax(size);
      } else if (type === FRAME.headers) {
        assert.ok((flags & FLAG.endHeaders) !== 0);
        // Node adds five octets of priority
        const at = (flags & 0x20) === 0 ? 0 : 5;
        this.received = toObject(decoder.decode(payload, at, payload.length).fields);
        encoder.begin();
        encoder.field(':status', '200');
        for (const [name, value] of Object.entries(this.answer)) encoder.field(name, value);
        socket.write(frame(FRAME.headers, END_BOTH, stream, encoder.bytes.subarray(0, encoder.size)));
      }
    };
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (!begun) {
        if (bytes.length < PREFACE.length) return;
        begun = true;
        bytes = bytes.subarray(PREFACE.length);
      }
      for (;;) {
        if (bytes.length < FRAME_HEADER_BYTES) return;
        const end = FRAME_HEADER_BYTES + bytes.readUIntBE(0, 3);
        if (bytes.length < end) return;
        const payload = Buffer.from(bytes.subarray(FRAME_HEADER_BYTES, end));
        take(bytes[3] as number, bytes[4] as number, bytes.readUInt32BE(5), payload);
        bytes = bytes.subarray(end);
      }
    });
  }
}

function toObject(fields: readonly string[]): Fields {
  const object: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) object[fields[i] as string] = fields[i + 1] as string;
  return object;
}

async function exchange(client: ClientHttp2Session, headers: OutgoingHttpHeaders): Promise<Fields> {
  const stream = client.request(headers, { endStream: true });
  const [response] = (await once(stream, 'response')) as [IncomingHttpHeaders];
  stream.resume();
  await once(stream, 'close');
  const object: Record<string, string> = {};
  for (const [name, value] of Object.entries(response)) object[name] = String(value);
  return object;
}

const names = [
  'x-a',
  'x-b',
  'x-c',
  'accept',
  'user-agent',
  'server',
  'cache-control',
  'x-long-name-of-a-field',
];
const text = fc.oneof(
  fc.constantFrom('a', '*/*', 'curl/8.5.0', 'no-cache', 'x'.repeat(126), 'x'.repeat(127), 'y'.repeat(1200)),
  fc.string({ unit: 'grapheme-ascii', maxLength: 30 }).map((value) => value.trim()),
);
const fields = fc
  .array(fc.tuple(fc.constantFrom(...names), text), { maxLength: 6 })
  .map((rows) => Object.fromEntries(rows) as Fields);

const server = new CodecServer();
const port = server.start();
after(() => server.stop());

const SIZES: Readonly<Record<string, readonly [own: readonly number[], peers: number | undefined]>> = {
  'tables of the initial size': [[], undefined],
  'no tables': [[0], 0],
  'tables of 100 bytes': [[100], 100],
  'tables that were smaller for a moment': [[0, 4096], 4096],
  'tables of different sizes': [[200], 65_536],
};

for (const [what, [own, peers]] of Object.entries(SIZES)) {
  test(`HPACK goes both ways between nghttp2 and ours with ${what}`, async () => {
    server.encoderSizes = own;
    const settings = peers === undefined ? {} : { headerTableSize: peers };
    const client = connect(`http://127.0.0.1:${await port}`, { settings });
    try {
      // what the client sent before it received SETTINGS need not follow them
      await once(client, 'remoteSettings');
      await fc.assert(
        fc.asyncProperty(
          fields,
          fields,
          fc.constantFrom('/', '/x?y=1'),
          fc.boolean(),
          async (ask, answer, path, secret) => {
            server.answer = answer;
            const headers: OutgoingHttpHeaders = { ':path': path, ...ask };
            if (secret) Object.assign(headers, { [sensitiveHeaders]: Object.keys(ask) });
            assert.deepEqual(await exchange(client, headers), { ':status': '200', ...answer });
            const {
              ':method': method,
              ':scheme': scheme,
              ':authority': authority,
              ...received
            } = server.received;
            assert.deepEqual([method, scheme, authority], ['GET', 'http', `127.0.0.1:${await port}`]);
            assert.deepEqual(received, { ':path': path, ...ask });
          },
        ),
        { numRuns: CASES },
      );
    } finally {
      client.close();
    }
  });
}
