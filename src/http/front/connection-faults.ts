/** Counts connections that end before a request could be read, and lets the log say so now and then. */

import type { Socket } from 'node:net';
import { messageOf, systemCodeOf } from '../../base/errors.ts';
import { LimitedLine } from '../../base/limited-line.ts';
import type { Logger } from '../../base/logger.ts';
import { COUNT, type Counters } from '../../metrics/worker-metrics.ts';

/** Characters; a stranger writes it. */
const NAME_SHOWN_MAX = 100;

export class ConnectionFaults {
  readonly #counters: Counters;
  readonly #handshakes: LimitedLine;
  readonly #silent: LimitedLine;
  readonly #tlsOnCleartext: LimitedLine;
  readonly #cleartextOnTls: LimitedLine;

  constructor(logger: Logger, counters: Counters) {
    this.#counters = counters;
    this.#handshakes = new LimitedLine(logger, 'TLS handshake failed');
    this.#silent = new LimitedLine(logger, 'Connection closed before it said anything');
    this.#tlsOnCleartext = new LimitedLine(logger, 'Client speaks TLS on a port without it');
    this.#cleartextOnTls = new LimitedLine(logger, 'Client speaks HTTP without TLS on a TLS port');
  }

  handshakeFailed(peer: string | undefined, error: Error): void {
    this.#counters.add(COUNT.handshakesFailedTotal, 1);
    // OpenSSL's messages are full of places in its own source
    const text = reasonOf(error) ?? messageOf(error);
    this.#handshakes.log({ peer, code: systemCodeOf(error), error: text });
  }

  /** No certificate is for what the client has asked for; `name` undefined: it has named nothing. */
  nameRefused(peer: string | undefined, name: string | undefined): void {
    this.#counters.add(COUNT.handshakesFailedTotal, 1);
    const asked = name === undefined ? 'no name' : JSON.stringify(name.slice(0, NAME_SHOWN_MAX));
    this.#handshakes.log({ peer, code: undefined, error: `asks for ${asked}, and --strict-sni is given` });
  }

  /** The client has sent too little in time, or before it ended its side, to know the protocol by. */
  saidNothing(peer: string | undefined): void {
    this.#counters.add(COUNT.silentTotal, 1);
    this.#silent.log({ peer });
  }

  spokeTls(socket: Socket): void {
    this.#counters.add(COUNT.misdirectedTotal, 1);
    this.#tlsOnCleartext.log({ peer: socket.remoteAddress, port: socket.localPort });
  }

  spokeCleartext(socket: Socket): void {
    this.#counters.add(COUNT.misdirectedTotal, 1);
    this.#cleartextOnTls.log({ peer: socket.remoteAddress, port: socket.localPort });
  }
}

/** What OpenSSL says of an error in a few words, without places in its source. */
function reasonOf(error: Error): string | undefined {
  return 'reason' in error && typeof error.reason === 'string' && error.reason !== ''
    ? error.reason
    : undefined;
}
