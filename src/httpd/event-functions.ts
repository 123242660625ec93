/** `httpd.publish`, `httpd.subscribe` and what a subscription can do: messages between all workers and scripts of the gateway. */
import { MESSAGE_BYTES_MAX, QUEUE_MESSAGES_MAX } from '../events/event-limits.ts';
import type { Message } from '../events/subscription.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { type CFunction, LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { type Failure, pushFailure, returningFailures } from '../lua/push-failure.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { waitForBytes } from '../script/objects/byte-wait.ts';
import { cannotWait } from '../script/objects/cannot-wait.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { currentRun } from '../script/run/lua-run.ts';
import { countOption, readOptionTable } from '../script/run/option-table.ts';
import { checkSeconds } from '../script/run/seconds.ts';
import { checkAlone, SubscriptionStream } from './subscription-stream.ts';

/** To make a subscription and its value (10 µs), and for each channel of it. */
const UNITS_PER_SUBSCRIPTION = 2000;
const UNITS_PER_CHANNEL = 200;
/** To hand a message over (1 µs). */
const UNITS_PER_MESSAGE = 200;

/** To put a message into one queue, in the turns that follow; and to note that costs as much as to do it for so many. */
const UNITS_PER_DELIVERY = 25;
const DELIVERY_MS = 0.000_125;
const DELIVERIES_CHARGED_MIN = 16;

const CLOSED: Failure = { message: 'The subscription has been closed', luaCode: 'closed' };
const TIMEOUT: Failure = { message: 'No message has come in time', luaCode: 'timeout' };

export function eventFunctions(script: ScriptContext): Record<string, HostFunction> {
  const { state, scheduler, streams, events } = script;
  const { exports: x, memory } = state;
  const methods = state.addFunctions({
    recv: (L: LuaThread) => {
      checkArgumentCount(state, L, 'recv', 1, 2);
      const stream = findSelf(L);
      const timeoutMs = x.lua_type(L, 2) <= LUA_TYPE.nil ? undefined : checkSeconds(state, L, 2);
      return receive(L, stream, timeoutMs);
    },
    messages: (L: LuaThread) => {
      checkArgumentCount(state, L, 'messages', 1);
      findSelf(L);
      x.lua_pushcclosure(L, methods.next, 0);
      x.lua_pushvalue(L, 1);
      return 2;
    },
    // a generic `for` hands it the subscription and the message before
    next: (L: LuaThread): number => receive(L, findSelf(L), undefined),
  }) as Record<'recv' | 'messages' | 'next', CFunction>;

  return {
    publish: returningFailures(state, (L) => {
      checkArgumentCount(state, L, 'publish', 2);
      const channel = state.checkString(L, 1);
      x.luaL_checklstring(L, 2, memory.sizeOut);
      const size = memory.lastSize;
      if (size > MESSAGE_BYTES_MAX)
        return pushFailure(state, L, {
          message: `Cannot publish a message of ${size} bytes: the limit is ${MESSAGE_BYTES_MAX}`,
          luaCode: 'limit',
        });
      const count = events.publish(channel, state.toString(L, 2, MESSAGE_BYTES_MAX) as string);
      if (events.reach >= DELIVERIES_CHARGED_MIN) chargeDeliveries(events.reach);
      state.pushInteger(L, count);
      return 1;
    }),
    subscribe: returningFailures(state, subscribe),
  };

  /** The subscribers cannot help that somebody publishes: their queues are filled at his cost. */
  function chargeDeliveries(count: number): void {
    const run = currentRun(scheduler);
    if (run !== undefined) run.cpuUsedMs += count * DELIVERY_MS;
    scheduler.guard.charge(count * DELIVERY_MS);
    scheduler.guard.pay(count * UNITS_PER_DELIVERY);
  }

  function subscribe(L: LuaThread): number {
    const count = x.lua_gettop(L);
    const hasOptions = count > 0 && x.lua_type(L, count) === LUA_TYPE.table;
    let queue: number | undefined;
    if (hasOptions)
      readOptionTable(state, L, count, 'subscribe', {
        queue: (name) => {
          queue = countOption(state, L, name, QUEUE_MESSAGES_MAX);
        },
      });
    const channels: string[] = [];
    const last = hasOptions ? count - 1 : Math.max(1, count);
    for (let i = 1; i <= last; i++) {
      scheduler.guard.pay(UNITS_PER_CHANNEL);
      channels.push(state.checkString(L, i));
    }
    scheduler.guard.pay(UNITS_PER_SUBSCRIPTION);
    const run = currentRun(scheduler);
    const subscription = events.subscribe(channels, script.share, { queue, isLoading: run === undefined });
    const stream = new SubscriptionStream(subscription);
    let isPushed = false;
    try {
      x.lua_createtable(L, 0, 2);
      for (const name of ['recv', 'messages'] as const) {
        x.lua_pushcclosure(L, methods[name], 0);
        x.lua_setfield(L, -2, memory.constant(name));
      }
      const close = streams.push(L, stream);
      isPushed = true;
      if (run !== undefined) {
        const { scope } = run;
        const end = (): void => close('the request of the subscription has ended');
        scope.add(end);
        // whoever waits for messages for a WebSocket would not hear that its client has gone
        const ended = (): void => subscription.close();
        run.whenClosed?.(ended);
        stream.closed = () => {
          scope.remove(end);
          run.cancelClosed?.(ended);
        };
      }
    } finally {
      if (!isPushed) subscription.close();
    }
    return 1;
  }

  function findSelf(L: LuaThread): SubscriptionStream {
    const stream = streams.find(L, 1);
    if (stream instanceof SubscriptionStream) return stream;
    return state.argumentError(L, 1, 'a subscription expected');
  }

  function receive(L: LuaThread, stream: SubscriptionStream, timeoutMs: number | undefined): number {
    const { subscription } = stream;
    const message = subscription.take();
    if (message !== undefined) return pushTaken(L, message);
    if (subscription.closed) return pushFailure(state, L, CLOSED);
    if (timeoutMs === 0) {
      const count = pushFailure(state, L, TIMEOUT);
      state.pushInteger(L, subscription.takeLost());
      return count + 1;
    }
    checkAlone(subscription);
    if (!scheduler.canWait(L)) throw cannotWait('wait for a message');
    const { running } = scheduler;
    const run = currentRun(scheduler);
    run?.endWithClient?.();
    let isLate = false;
    subscription.whenReady(() => {
      // each message has the processor time of a request
      run?.renewBudget();
      running.wake();
    });
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            isLate = true;
            subscription.cancelReady();
            running.wake();
          }, timeoutMs);
    return waitForBytes(
      scheduler,
      L,
      () => subscription.received,
      (T) => {
        clearTimeout(timer);
        // whoever has not waited may have taken it
        return receive(T, stream, isLate ? 0 : timeoutMs);
      },
      () => {
        clearTimeout(timer);
        subscription.cancelReady();
      },
    );
  }

  function pushTaken(L: LuaThread, { channel, text, lost }: Message): number {
    scheduler.guard.pay(UNITS_PER_MESSAGE + text.length);
    state.pushString(L, text);
    state.pushString(L, channel);
    state.pushInteger(L, lost);
    return 3;
  }
}
