/** Opens the connections that scripts ask for, where the policy allows it, counts them, and keeps those that are given back. */
import type { Socket } from 'node:net';
import { GatewayError } from '../base/errors.ts';
import type { Share } from '../mapping/shares.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import type { ConnectPolicy } from './connect-policy.ts';
import { dialSocket } from './dial-socket.ts';
import { IdleSockets } from './idle-sockets.ts';
import { SOCKETS_PER_INVOCATION_MAX } from './outbound-limits.ts';
import { ScriptSocket } from './script-socket.ts';
import { socketFailure } from './socket-error.ts';
import { keepKeyOf, placeOf, type SocketRequest } from './socket-request.ts';

/** Whose connections: those of one invocation. */
export interface SocketOwner {
  /** The mapping that they count for. */
  readonly share: Share;
  sockets: number;
}

/** A connection that is being made. */
export interface Connecting {
  cancel(): void;
}

type Connected = (result: ScriptSocket | GatewayError) => void;

export class Connector {
  readonly #policy: ConnectPolicy;
  readonly #counters: Counters;
  /** By mapping: a script gets no connection that another has logged in on. */
  readonly #idle = new Map<Share, IdleSockets>();
  readonly #open = new Set<ScriptSocket>();
  readonly #connecting = new Set<Connecting>();
  #stopped = false;

  constructor(policy: ConnectPolicy, counters: Counters) {
    this.#policy = policy;
    this.#counters = counters;
  }

  /**
   * Connects. Calls `connected` once, never before this method returns, unless it is cancelled. Throws a GatewayError when too many
   * connections are open, or the policy allows none to that place.
   */
  start(request: SocketRequest, owner: SocketOwner, connected: Connected): Connecting {
    const place = placeOf(request);
    this.#check(request, place);
    const refusal =
      owner.sockets < SOCKETS_PER_INVOCATION_MAX
        ? owner.share.take('sockets')
        : `${owner.sockets} connections are open for this request and the limit is ${SOCKETS_PER_INVOCATION_MAX}`;
    if (refusal !== undefined) throw socketFailure('limit', 'connect to', place, refusal);
    this.#count(owner, 1);
    const released = (): void => {
      this.#count(owner, -1);
      owner.share.give('sockets');
    };
    let end: () => void = () => undefined;
    const connecting: Connecting = {
      cancel: () => {
        if (!this.#connecting.delete(connecting)) return;
        end();
        released();
      },
    };
    this.#connecting.add(connecting);
    const finish = (result: { socket: Socket; uses: number } | GatewayError): void => {
      if (!this.#connecting.delete(connecting)) return;
      if (result instanceof GatewayError) {
        released();
        connected(result);
      } else connected(this.#opened(result.socket, request, result.uses, released));
    };
    const dial = (): void => {
      end = this.#dial(request, place, (result) =>
        finish(result instanceof GatewayError ? result : { socket: result, uses: 0 }),
      );
    };
    const tryIdle = (): void => {
      const taken =
        request.keepName === undefined ? undefined : this.#idle.get(owner.share)?.take(keepKeyOf(request));
      if (taken === undefined) {
        dial();
        return;
      }
      const { socket, uses } = taken;
      end = stillOpen(socket, (isOpen) => (isOpen ? finish({ socket, uses }) : tryIdle()));
    };
    tryIdle();
    return connecting;
  }

  /** Keeps a connection for `ms`, and ends its stream. A text says why that is not possible, and then it stays as it is. */
  keep(socket: ScriptSocket, share: Share, ms: number): string | undefined {
    const { request, reused } = socket;
    if (request.keepName === undefined) return 'it was opened without the option "keepalive"';
    const detached = socket.detach();
    if (typeof detached === 'string') return detached;
    if (this.#stopped) {
      detached.destroy();
      return undefined;
    }
    let idle = this.#idle.get(share);
    if (idle === undefined) {
      idle = new IdleSockets();
      this.#idle.set(share, idle);
    }
    idle.add(keepKeyOf(request), detached, reused + 1, ms);
    return undefined;
  }

  /** Ends all connections. */
  stop(): void {
    this.#stopped = true;
    for (const idle of this.#idle.values()) idle.clear();
    for (const connecting of [...this.#connecting]) connecting.cancel();
    for (const socket of [...this.#open]) socket.destroy();
  }

  #check(request: SocketRequest, place: string): void {
    const { target } = request;
    const isAllowed =
      'path' in target ? this.#policy.allowsSocket(target.path) : this.#policy.mayAllow(target);
    if (!isAllowed) throw denied(place);
  }

  #opened(socket: Socket, request: SocketRequest, uses: number, released: () => void): ScriptSocket {
    const opened = new ScriptSocket(socket, request, uses, () => {
      this.#open.delete(opened);
      released();
    });
    this.#open.add(opened);
    return opened;
  }

  #count(owner: SocketOwner, amount: number): void {
    owner.sockets += amount;
    this.#counters.add(COUNT.sockets, amount);
  }

  #dial(request: SocketRequest, place: string, done: (result: Socket | GatewayError) => void): () => void {
    const { target } = request;
    const lookup = 'path' in target ? undefined : this.#policy.lookupOf(target, () => denied(place));
    return dialSocket(request, lookup, done);
  }
}

function denied(place: string): GatewayError {
  return socketFailure(
    'denied',
    'connect to',
    place,
    'connections there are not allowed (see --allow-connect)',
  );
}

/**
 * Tells whether an idle socket is still as it was, after the event loop has looked at all sockets once: that its peer has closed it may be
 * known to the system only. Returns what gives it up.
 */
function stillOpen(socket: Socket, done: (isOpen: boolean) => void): () => void {
  const leave = (): void => {
    clearImmediate(immediate);
    socket.off('data', onChange).off('end', onChange).off('close', onChange);
  };
  const onChange = (): void => {
    leave();
    socket.destroy();
    done(false);
  };
  socket.on('data', onChange).on('end', onChange).on('close', onChange);
  // the first may come in the round that is under way
  let immediate = setImmediate(() => {
    immediate = setImmediate(() => {
      leave();
      done(true);
    });
  });
  return () => {
    leave();
    socket.destroy();
  };
}
