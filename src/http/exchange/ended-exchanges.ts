/**
 * Tells observers of exchanges that are over. What one read of a connection has brought is one turn: its exchanges begin at one time, and
 * those that end in it are told of together, right before their last bytes leave. So the clock is read twice for a turn, and not for each
 * exchange, which would cost more than all the rest of observing it.
 */
import type { Exchange } from './exchange.ts';
import type { ExchangeObserver } from './exchange-wire.ts';

/** So many wait at most; a read may bring more. */
const WAITING_MAX = 128;

/** A thread has one turn at a time. */
let isTurn = false;
/** When the exchanges of the turn began; undefined: none has. */
let beganAt: number | undefined;
let observers: readonly ExchangeObserver[] = [];
const exchanges: (Exchange | undefined)[] = new Array(WAITING_MAX).fill(undefined);
const starts: (number | undefined)[] = new Array(WAITING_MAX).fill(undefined);
let count = 0;

/** A read has brought something; `endTurn` follows before anything of the answers leaves. */
export function beginTurn(): void {
  if (isTurn) endTurn();
  isTurn = true;
}

/** Where there is no turn, nothing happens. */
export function endTurn(): void {
  isTurn = false;
  beganAt = undefined;
  if (count > 0) tellEnded();
}

/** The time (`performance.now()`) at which an exchange that is made now has begun. */
export function beginTime(): number {
  if (!isTurn) return performance.now();
  beganAt ??= performance.now();
  return beganAt;
}

/** `startedAt`: undefined where nobody asked for it. */
export function exchangeEnded(
  exchange: Exchange,
  startedAt: number | undefined,
  told: readonly ExchangeObserver[],
): void {
  if (told.length === 0) return;
  if (told !== observers) {
    tellEnded();
    observers = told;
  }
  exchanges[count] = exchange;
  starts[count] = startedAt;
  count += 1;
  if (!isTurn || count === WAITING_MAX) tellEnded();
}

/** Tells of those that are over and wait for the end of the turn. */
export function tellEnded(): void {
  if (count === 0) return;
  const endedAt = performance.now();
  const waiting = count;
  count = 0;
  for (const observer of observers)
    for (let i = 0; i < waiting; i++) observer(exchanges[i] as Exchange, starts[i], endedAt);
  exchanges.fill(undefined, 0, waiting);
}
