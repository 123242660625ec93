/** One upstream over TLS that says itself whether it speaks HTTP/2 or HTTP/1.1 (ALPN, RFC 7301): its first connection asks. */
import type { TLSSocket } from 'node:tls';
import type { ReadableBytes } from '../base/byte-queue.ts';
import type { Fields } from '../http/semantics/fields.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import { callError, callErrorOf } from './call-error.ts';
import { connectTo, type UpstreamParts } from './connect-to.ts';
import { Http1Upstream } from './http1-upstream.ts';
import { Http2Upstream } from './http2-upstream.ts';
import type { CallListener, LinkChoice, PooledUpstream, UpstreamCall, UpstreamRequest } from './upstream.ts';

export class NegotiatedUpstream implements PooledUpstream {
  readonly target: ProxyTarget;
  readonly #parts: UpstreamParts;
  readonly #http1: Http1Upstream;
  readonly #http2: Http2Upstream;
  /** What it has chosen; asked anew when no connection is left, since another server may be there then. */
  #chosen: PooledUpstream | undefined;
  /** The connection that asks. Others wait for it, so that a server of HTTP/2 gets one connection and not one for each. */
  #asking: TLSSocket | undefined;
  readonly #waiting = new Set<WaitingCall>();

  constructor(parts: UpstreamParts) {
    this.target = parts.target;
    this.#parts = parts;
    this.#http1 = new Http1Upstream(parts);
    this.#http2 = new Http2Upstream(parts);
  }

  get linkCount(): number {
    return this.#http1.linkCount + this.#http2.linkCount + (this.#asking === undefined ? 0 : 1);
  }

  call(request: UpstreamRequest, listener: CallListener, choice: LinkChoice): UpstreamCall {
    // only HTTP/1.1 has upgrades of all kinds, and each server of HTTP/2 that has WebSockets has them there, too
    if (request.upgrade !== undefined) return this.#http1.call(request, listener, choice);
    const chosen = this.#chosen;
    if (chosen !== undefined && chosen.linkCount > 0) return chosen.call(request, listener, choice);
    const call = new WaitingCall(request, listener, choice, (given) => this.#gaveUp(given));
    this.#waiting.add(call);
    if (this.#asking === undefined) this.#ask();
    return call;
  }

  sweep(now: number): void {
    this.#http1.sweep(now);
    this.#http2.sweep(now);
  }

  stop(): void {
    this.#http1.stop();
    this.#http2.stop();
  }

  #ask(): void {
    const { target } = this;
    const socket = connectTo(this.#parts, ['h2', 'http/1.1']) as TLSSocket;
    this.#asking = socket;
    const fail = (thrown: unknown): void => {
      if (this.#asking !== socket) return;
      this.#asking = undefined;
      const error = callErrorOf(target, thrown);
      for (const call of this.#takeWaiting()) call.listener.failed(error, 'unsent');
    };
    const onClose = (): void =>
      fail(callError('closed', target.name, 'it closed the connection before it answered'));
    socket.on('error', fail).on('close', onClose);
    socket.once('secureConnect', () => {
      if (this.#asking !== socket) return;
      this.#asking = undefined;
      socket.off('error', fail).off('close', onClose);
      const chosen = socket.alpnProtocol === 'h2' ? this.#http2 : this.#http1;
      this.#chosen = chosen;
      chosen.adopt(socket);
      for (const call of this.#takeWaiting()) call.begin(chosen);
    });
  }

  #takeWaiting(): readonly WaitingCall[] {
    const calls = [...this.#waiting];
    this.#waiting.clear();
    return calls;
  }

  #gaveUp(call: WaitingCall): void {
    this.#waiting.delete(call);
    const socket = this.#asking;
    if (this.#waiting.size > 0 || socket === undefined) return;
    this.#asking = undefined;
    socket.destroy();
  }
}

/** A call whose protocol is not known yet. */
class WaitingCall implements UpstreamCall {
  readonly listener: CallListener;
  readonly #request: UpstreamRequest;
  readonly #choice: LinkChoice;
  readonly #gaveUp: (call: WaitingCall) => void;
  #real: UpstreamCall | undefined;

  constructor(
    request: UpstreamRequest,
    listener: CallListener,
    choice: LinkChoice,
    gaveUp: (call: WaitingCall) => void,
  ) {
    this.#request = request;
    this.#choice = choice;
    this.listener = listener;
    this.#gaveUp = gaveUp;
  }

  get isConnected(): boolean {
    return this.#real?.isConnected === true;
  }

  begin(upstream: PooledUpstream): void {
    this.#real = upstream.call(this.#request, this.listener, this.#choice);
    if (this.#real.isConnected) this.listener.connected();
  }

  send(queue: ReadableBytes): boolean {
    return this.#real?.send(queue) === true;
  }

  endBody(trailers: Fields | undefined): void {
    this.#real?.endBody(trailers);
  }

  resume(): void {
    this.#real?.resume();
  }

  cancel(): void {
    if (this.#real === undefined) this.#gaveUp(this);
    else this.#real.cancel();
  }
}
