/** Honest clients of connections that stay: a WebSocket that is echoed to, and a stream of events without a gap. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { EventReader } from '../../support/event-reader.ts';
import { type Transport, WebSocketPeer } from '../../support/websocket-peer.ts';
import { type Conversation, Cut, Refused } from '../bystander.ts';
import { HONEST_ADDRESS, type Place } from './askers.ts';

/** 1001: a gateway that drains or loads other scripts says good-bye; clients open another (RFC 6455 §7.4.1). */
const GOING_AWAY = 1001;
const LOOK_EVERY_MS = 5;

export class WebSocketTalker implements Conversation {
  readonly name: string;
  readonly #place: Place;
  readonly #transport: Transport;
  readonly #path: string;
  #peer: WebSocketPeer | undefined;
  #sent = 0;

  constructor(name: string, place: Place, transport: Transport, path: string) {
    this.name = name;
    this.#place = place;
    this.#transport = transport;
    this.#path = path;
  }

  async step(count: number): Promise<void> {
    const peer = await this.#connected();
    const index = this.#sent;
    this.#sent += 1;
    const text = `message ${count}`;
    peer.send(text);
    while (peer.messages.length <= index && peer.code === undefined && !peer.ended)
      await sleep(LOOK_EVERY_MS);
    const answer = peer.messages[index];
    if (answer === text) return;
    if (answer !== undefined) throw new Error(`${JSON.stringify(answer)}, not ${JSON.stringify(text)}`);
    // whoever is told good-bye says so, too (RFC 6455 §5.5.1)
    if (!peer.ended) peer.close(peer.code);
    if (peer.code === undefined || peer.code === GOING_AWAY)
      throw new Cut(`closed with ${peer.code ?? 'nothing'}`);
    throw new Error(`closed with ${peer.code} ${peer.reason}`);
  }

  close(): void {
    this.#peer?.destroy();
    this.#peer = undefined;
  }

  async #connected(): Promise<WebSocketPeer> {
    if (this.#peer !== undefined) return this.#peer;
    let peer: WebSocketPeer;
    try {
      peer = await WebSocketPeer.connect(this.#place.port, this.#transport, this.#path);
    } catch (error) {
      throw new Cut(error instanceof Error ? error.message : String(error));
    }
    // the first one of a thread loads its code
    if (peer.answer.status === 503) {
      peer.destroy();
      throw new Refused('503');
    }
    this.#peer = peer;
    this.#sent = 0;
    const wanted = this.#transport === 'HTTP/2' ? 200 : 101;
    if (peer.answer.status !== wanted)
      throw new Error(`the WebSocket was refused with ${peer.answer.status}`);
    return peer;
  }
}

/** Reads numbers that grow by one from each connection's first; a step is the next number. */
export class EventListener implements Conversation {
  readonly name: string;
  readonly #place: Place;
  readonly #path: string;
  #socket: TLSSocket | undefined;
  #reader = new EventReader();
  #taken = 0;
  #last = 0;
  #wake: () => void = () => undefined;

  constructor(name: string, place: Place, path: string) {
    this.name = name;
    this.#place = place;
    this.#path = path;
  }

  async step(): Promise<void> {
    const socket = this.#connected();
    while (this.#reader.events.length <= this.#taken) {
      if (socket.destroyed || socket.readableEnded) throw new Cut('the stream of events has ended');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const number = Number(this.#reader.events[this.#taken]?.data);
    this.#taken += 1;
    const wanted = this.#last + 1;
    if (this.#last !== 0 && number !== wanted) throw new Error(`event ${number} came, not ${wanted}`);
    this.#last = number;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #connected(): TLSSocket {
    if (this.#socket !== undefined) return this.#socket;
    const { port, ca } = this.#place;
    const reader = new EventReader();
    const address = { host: '127.0.0.1', port, servername: 'localhost', localAddress: HONEST_ADDRESS, ca };
    const socket = connectTls(address);
    // HTTP/1.0: the content is as it is
    socket.write(`GET ${this.#path} HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`);
    let head = '';
    let isHead = true;
    socket.setEncoding('utf8');
    socket.on('data', (piece: string) => {
      if (isHead) {
        head += piece;
        const end = head.indexOf('\r\n\r\n');
        if (end === -1) return;
        isHead = false;
        reader.read(head.slice(end + 4));
      } else reader.read(piece);
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => this.#wake());
    socket.on('end', () => this.#wake());
    this.#reader = reader;
    this.#taken = 0;
    this.#last = 0;
    this.#socket = socket;
    return socket;
  }
}
