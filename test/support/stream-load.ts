/**
 * Clients whose requests take longer than a reload: slow answers, slow uploads, WebSockets and event streams. Each goes on until it is told to
 * end, and writes down what it has lost.
 */
import type { ClientHttp2Session } from 'node:http2';
import { type RequestOptions, request } from 'node:https';
import { EventReader } from './event-reader.ts';
import { collectH2, connectH2 } from './h2-client.ts';
import { waitFor } from './test-front-end.ts';
import { WebSocketPeer } from './websocket-peer.ts';

/** What `test/gateway/reload-load.test.ts` has behind `/`. */
export const STREAM_SCRIPT = `local httpd = require 'httpd'
local function on(name, handler) httpd.register_handler(name, handler) end
on('/', function()
    httpd.header { [':status'] = 200 }
    httpd.write(nil, 'here')
end)
on('/slow', function()
    httpd.header { [':status'] = 200 }
    for i = 1, 20 do
        httpd.write(nil, ('%04d'):format(i))
        httpd.sleep(0.02)
    end
end)
on('/upload', function()
    local size = 0
    for piece in function() return httpd.read(nil) end do size = size + #piece end
    httpd.header { [':status'] = 200 }
    httpd.write(nil, tostring(size))
end)
on('/echo', function()
    local ws <close> = httpd.websocket()
    for message in ws:messages() do
        if not ws:send(message) then break end
    end
end)
on('/events', function(env)
    local stream = httpd.sse()
    for i = 1, 1000000 do
        if not stream:send { data = ('x'):rep(50) .. i } then return end
        httpd.sleep(0.01)
    end
end)`;

const SLOW_BODY: string = Array.from({ length: 20 }, (_, i) => String(i + 1).padStart(4, '0')).join('');
const UPLOAD_PIECE: string = 'p'.repeat(1000);
const UPLOAD_PIECES = 20;
const PAUSE_MS = 20;
/** Clients and reloads share two processors with other tests. */
const LONG_MS = 60_000;
/** Closed because another state has taken over: the client connects again. */
const GOING_AWAY = 1001;

type Kind = 'slow' | 'upload' | 'h1 upload' | 'websocket' | 'events';

export class StreamLoad {
  readonly failures: string[] = [];
  /** What went well: answers, uploads, echoes, events. */
  readonly done: Record<Kind, number> = { slow: 0, upload: 0, 'h1 upload': 0, websocket: 0, events: 0 };
  /** WebSockets and event streams that ended because of a reload and were opened again. */
  reopened = 0;
  readonly #port: number;
  readonly #running: Promise<void>[];
  #ended = false;

  constructor(port: number) {
    this.#port = port;
    const over = (kind: Kind, once: (session: ClientHttp2Session) => Promise<void>): Promise<void> =>
      this.#overHttp2(kind, once);
    this.#running = [
      over('slow', (session) => this.#slow(session)),
      over('upload', (session) => this.#upload(session)),
      over('events', (session) => this.#events(session)),
      this.#repeat('h1 upload', () => this.#uploadHttp1()),
      this.#repeat('websocket', () => this.#webSocket('HTTP/1.1')),
      this.#repeat('websocket', () => this.#webSocket('HTTP/2')),
    ];
  }

  async stop(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#running);
  }

  async #repeat(kind: Kind, once: () => Promise<void>): Promise<void> {
    while (!this.#ended) {
      try {
        await once();
      } catch (error) {
        this.failures.push(`${kind}: ${error}`);
        await pause();
      }
    }
  }

  /** One connection for all, which no reload ends. */
  async #overHttp2(kind: Kind, once: (session: ClientHttp2Session) => Promise<void>): Promise<void> {
    const session = await connectH2(this.#port);
    session.on('goaway', (code) => this.failures.push(`${kind}: GOAWAY ${code}`));
    await this.#repeat(kind, () => once(session));
    session.destroy();
  }

  async #slow(session: ClientHttp2Session): Promise<void> {
    const { status, body, rstCode } = await collectH2(session.request({ ':path': '/slow' }));
    this.#expect('slow', `200 0 ${SLOW_BODY}`, `${status} ${rstCode} ${body}`);
  }

  async #upload(session: ClientHttp2Session): Promise<void> {
    const stream = session.request({ ':path': '/upload', ':method': 'POST' });
    const answer = collectH2(stream);
    for (let i = 0; i < UPLOAD_PIECES; i++) {
      stream.write(UPLOAD_PIECE);
      await pause();
    }
    stream.end();
    const { status, body, rstCode } = await answer;
    const size = UPLOAD_PIECES * UPLOAD_PIECE.length;
    this.#expect('upload', `200 0 ${size}`, `${status} ${rstCode} ${body}`);
  }

  async #uploadHttp1(): Promise<void> {
    const options: RequestOptions = {
      host: '127.0.0.1',
      port: this.#port,
      path: '/upload',
      method: 'POST',
      rejectUnauthorized: false,
      agent: false,
    };
    const call = request(options);
    const answer = new Promise<string>((resolve, reject) => {
      call.on('error', reject);
      call.on('response', (response) => {
        let body = '';
        response.setEncoding('latin1').on('data', (text: string) => {
          body += text;
        });
        response.on('error', reject).on('end', () => resolve(`${response.statusCode} ${body}`));
      });
    });
    for (let i = 0; i < UPLOAD_PIECES; i++) {
      call.write(UPLOAD_PIECE);
      await pause();
    }
    call.end();
    this.#expect('h1 upload', `200 ${UPLOAD_PIECES * UPLOAD_PIECE.length}`, await answer);
  }

  /** Every message comes back, until the server says that it goes away. */
  async #webSocket(transport: 'HTTP/1.1' | 'HTTP/2'): Promise<void> {
    const peer = await WebSocketPeer.connect(this.#port, transport, '/echo');
    for (let i = 0; !this.#ended; i++) {
      peer.send(`message ${i}`);
      const isOver = (): boolean => peer.code !== undefined || peer.ended;
      await waitFor(() => peer.messages.length > i || isOver(), 'an echo', LONG_MS);
      const answer = peer.messages[i] ?? `closed with ${peer.code}`;
      if (answer === `closed with ${GOING_AWAY}`) {
        this.reopened += 1;
        peer.close(GOING_AWAY);
        return;
      }
      this.#expect('websocket', `message ${i}`, answer);
      await pause();
    }
    peer.close(1000);
    await peer.closed();
  }

  /** Events come one by one, each whole, until the stream ends. */
  async #events(session: ClientHttp2Session): Promise<void> {
    const stream = session.request({ ':path': '/events' });
    const reader = new EventReader();
    stream.setEncoding('utf8').on('data', (text: string) => {
      reader.read(text);
      if (this.#ended) stream.close();
    });
    const { rstCode } = await new Promise<{ rstCode: number }>((resolve) => {
      stream.on('error', () => undefined);
      stream.on('close', () => resolve({ rstCode: stream.rstCode ?? 0 }));
    });
    if (this.#ended) return;
    this.reopened += 1;
    this.#expect('events', 'ended', rstCode === 0 ? 'ended' : `reset ${rstCode}`);
    for (const [i, { data }] of reader.events.entries())
      this.#expect('events', 'x'.repeat(50) + (i + 1), data);
  }

  #expect(kind: Kind, expected: string, actual: string): void {
    if (actual === expected) this.done[kind] += 1;
    else this.failures.push(`${kind}: ${actual} in the place of ${expected}`);
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
