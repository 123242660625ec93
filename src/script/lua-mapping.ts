/**
 * A path prefix and the script behind it, for the router: loads the script, replaces a state that had to be given up
 * or has grown too large, and retires it when a reload has brought another.
 */
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Handler, Mapping, PatternMatch, Route } from '../http/exchange/handler.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import type { RegisteredHandler } from './context/handler-table.ts';
import { LoadedScript, type ScriptOptions, type ScriptWatch } from './loaded-script.ts';

/** Exchanges that wait while a lost state is built anew, mostly some ten milliseconds; more get 503. */
const WAITING_MAX = 1000;
/** After a state could not be built anew, it is not tried again for this time. */
const RETRY_MS = 1000;
/**
 * Timers of a state that takes the place of a lost one wait at least this long: one of them may have cost the state,
 * and would do so again. Doubles with each loss.
 */
const TIMER_HOLD_FIRST_MS = 1000;
const TIMER_HOLD_MAX_MS = 60_000;
/** Timers of a state that has grown too large may run on for this time. */
const TIMER_GRACE_MS = 30_000;
/** A state that served this long was healthy: its loss counts as the first. */
const HEALTHY_AFTER_MS = 120_000;

/** The first thing that those miss who know gateways where the API is a global. */
const MISSING_API = "(global 'httpd')";

interface Waiting {
  readonly exchange: Exchange;
  readonly route: Route;
}

export class LuaMapping implements Mapping, ScriptWatch {
  readonly host: string | undefined;
  readonly prefix: string;
  readonly #options: ScriptOptions;
  #script: LoadedScript | undefined;
  /** Handlers of a lost state: their exchanges wait for the next one. */
  #lost: LoadedScript | undefined;
  readonly #waiting: Waiting[] = [];
  #retiring = false;
  /** Timers of a replaced state may run on for so long. */
  #timerGraceMs = TIMER_GRACE_MS;
  #closed = false;
  #rebuilding: Promise<void> | undefined;
  /** Ends the load of a state when nobody wants it any more. */
  readonly #closing = new AbortController();
  /** Replaced states that still serve their last exchanges. */
  readonly #ending = new Map<LoadedScript, Promise<void>>();
  #serving = false;
  /** States lost in a row, and when the last one was. */
  #losses = 0;
  #lostAt = Number.NEGATIVE_INFINITY;

  constructor(options: ScriptOptions) {
    this.host = options.host;
    this.prefix = options.prefix;
    this.#options = options;
  }

  /** Loads the script, until `signal` ends it; throws a GatewayError with the place of the error and a traceback. */
  async load(signal?: AbortSignal): Promise<void> {
    const { script } = this.#options;
    try {
      this.#script = await LoadedScript.load(this.#options, this, signal);
    } catch (error) {
      const text = messageOf(error).replace(
        MISSING_API,
        `${MISSING_API}; scripts get it by: local httpd = require "httpd"`,
      );
      throw new GatewayError('LGW_SCRIPT', `Cannot load "${script}": ${text}`, { cause: error });
    }
  }

  /** What the script is, once it has been loaded. */
  get mode(): ScriptMode | undefined {
    return this.#script?.mode;
  }

  /** What the script has registered, once it has been loaded. */
  get registered(): RegisteredHandler[] {
    return this.#script?.handlers.registered ?? [];
  }

  /** Exchanges come from now on: timers begin. */
  serve(): void {
    this.#serving = true;
    this.#script?.serve();
  }

  get answersAll(): boolean {
    return (this.#script ?? this.#lost)?.handlers.answersAll === true;
  }

  find(name: string): Handler | undefined {
    if (this.#script !== undefined) return this.#script.handlers.find(name);
    if (this.#lost?.handlers.find(name) === undefined) return undefined;
    return { handle: (exchange, route) => this.#wait(exchange, route) };
  }

  findPattern(name: string, method: string): PatternMatch | undefined {
    if (this.#script !== undefined) return this.#script.handlers.findPattern(name, method);
    const found = this.#lost?.handlers.findPattern(name, method);
    if (found === undefined) return undefined;
    return { ...found, handler: { handle: (exchange, route) => this.#wait(exchange, route) } };
  }

  /**
   * Resolves when the last exchange has ended and the state is closed. No new one may come any more. Timers end, those
   * that run within `timerGraceMs`.
   */
  async retire(timerGraceMs: number): Promise<void> {
    this.#retiring = true;
    this.#timerGraceMs = timerGraceMs;
    // whoever waits for a lost state still gets the next one
    await this.#rebuilding;
    const script = this.#script;
    this.#script = undefined;
    if (script !== undefined) this.#end(script);
    await Promise.all(this.#ending.values());
  }

  /** Answers without an end are ended, so that a drain need not cut them; states that are being replaced have done so. */
  endStreams(): void {
    this.#script?.endStreams();
  }

  /** Ends its exchanges and the state now. */
  close(): void {
    this.#retiring = true;
    this.#closed = true;
    this.#closing.abort();
    for (const { exchange } of this.#waiting.splice(0)) exchange.reset(503);
    this.#script?.close();
    for (const ending of [...this.#ending.keys()]) ending.close();
  }

  /** The state is lost: the next exchanges wait for a new one. */
  abandoned(script: LoadedScript): void {
    if (this.#script === script) {
      const now = performance.now();
      this.#losses = now - this.#lostAt < HEALTHY_AFTER_MS ? this.#losses + 1 : 1;
      this.#lostAt = now;
      this.#script = undefined;
      this.#lost = script;
      this.#rebuildOnce();
    }
  }

  /** The state's memory has grown and can never shrink: another takes over, and it ends with its last exchange. */
  overgrown(script: LoadedScript): void {
    if (this.#script === script) this.#rebuildOnce();
  }

  #rebuildOnce(): void {
    if (this.#retiring) return;
    if (this.#rebuilding !== undefined) return;
    const rebuilding = this.#rebuild().finally(() => {
      if (this.#rebuilding === rebuilding) this.#rebuilding = undefined;
    });
    this.#rebuilding = rebuilding;
  }

  async #rebuild(): Promise<void> {
    try {
      const fresh = await LoadedScript.load(this.#options, this, this.#closing.signal);
      // from here on this one serves, and may itself be lost
      this.#rebuilding = undefined;
      if (this.#closed) {
        fresh.close();
        return;
      }
      const old = this.#script;
      const isReplacingLost = old === undefined;
      this.#script = fresh;
      this.#lost = undefined;
      if (old !== undefined) this.#end(old);
      if (this.#serving && !this.#retiring) fresh.serve(isReplacingLost ? this.#timerHoldMs() : 0);
      for (const { exchange, route } of this.#waiting.splice(0)) {
        // the one before may have cost this state as well: the next is on its way
        if (this.#script === fresh) this.#handOn(fresh, exchange, route);
        else this.#wait(exchange, route);
      }
    } catch (error) {
      if (this.#closed) return;
      this.#options.logger.error(
        `Cannot build the state of "${this.#options.script}" anew: ${messageOf(error)}`,
      );
      for (const { exchange } of this.#waiting.splice(0)) exchange.reset(503);
      if (this.#script === undefined) setTimeout(() => this.#rebuildOnce(), RETRY_MS).unref();
    }
  }

  #timerHoldMs(): number {
    return Math.min(TIMER_HOLD_MAX_MS, TIMER_HOLD_FIRST_MS * 2 ** (this.#losses - 1));
  }

  /** Closes a state behind its last exchange. */
  #end(script: LoadedScript): void {
    const ended = script.retire(this.#timerGraceMs).then(() => {
      this.#ending.delete(script);
      script.close();
    });
    this.#ending.set(script, ended);
  }

  #wait(exchange: Exchange, route: Route): void {
    if (this.#rebuilding === undefined || this.#waiting.length >= WAITING_MAX) exchange.reset(503);
    else this.#waiting.push({ exchange, route });
  }

  #handOn(script: LoadedScript, exchange: Exchange, route: Route): void {
    if (exchange.finished || exchange.error !== undefined) return;
    const handler = script.handlers.findRegistered(route.handlerName, exchange.method);
    if (handler === undefined) exchange.reset(503);
    else handler.handle(exchange, route);
  }
}

/** A mapping whose script has been loaded, unless `signal` ended that; throws a GatewayError. */
export async function loadLuaMapping(options: ScriptOptions, signal: AbortSignal): Promise<LuaMapping> {
  const mapping = new LuaMapping(options);
  await mapping.load(signal);
  return mapping;
}
