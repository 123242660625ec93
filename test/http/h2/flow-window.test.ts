import { ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ClosedStreams,
  ENDED,
  FORGOTTEN,
  NEVER_USED,
  RESET_BY_US,
} from '../../../src/http/h2/closed-streams.ts';
import { ReceiveWindow } from '../../../src/http/h2/flow-window.ts';

test('ReceiveWindow.take() refuses the first byte past the window', () => {
  const window = new ReceiveWindow(100, 1000);
  strictEqual(window.take(100), true);
  strictEqual(window.take(0), true);
  strictEqual(window.take(1), false);
});

test('ReceiveWindow.release() opens the window when half of it has been used', () => {
  const window = new ReceiveWindow(100, 1000);
  strictEqual(window.take(60), true);
  strictEqual(window.release(49), 0);
  strictEqual(window.release(1), 50);
  strictEqual(window.outstanding, 10);
  strictEqual(window.take(90), true);
  strictEqual(window.take(1), false);
});

test('ReceiveWindow grows for a sender that it holds back, and no further than it may', () => {
  const window = new ReceiveWindow(100, 350);
  strictEqual(window.grow(window.wantedSize(1000, 10)), 0);
  // 15 ms are less than two round trips
  strictEqual(window.grow(window.wantedSize(1015, 10)), 100);
  strictEqual(window.grow(window.wantedSize(1035, 10)), 0);
  strictEqual(window.grow(window.wantedSize(1040, 10)), 150);
  strictEqual(window.grow(window.wantedSize(1045, 10)), 0);
  strictEqual(window.size, 350);
});

test('ReceiveWindow never gives more than its size, whatever comes and goes', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(120), fc.nat(120)), { maxLength: 50 }), (steps) => {
      const window = new ReceiveWindow(100, 100);
      let open = 100;
      let held = 0;
      for (const [coming, going] of steps) {
        const come = Math.min(coming, open);
        ok(window.take(come));
        open -= come;
        held += come;
        const gone = Math.min(going, held);
        open += window.release(gone);
        held -= gone;
        ok(open + held <= 100);
      }
    }),
  );
});

test('ClosedStreams remembers how the last streams ended', () => {
  const closed = new ClosedStreams();
  strictEqual(closed.endingOf(1, 5), NEVER_USED);
  closed.add(1, ENDED);
  closed.add(5, RESET_BY_US);
  strictEqual(closed.endingOf(1, 5), ENDED);
  strictEqual(closed.endingOf(3, 5), NEVER_USED);
  strictEqual(closed.endingOf(5, 5), RESET_BY_US);
  closed.add(1025, ENDED);
  strictEqual(closed.endingOf(1, 1025), FORGOTTEN);
  strictEqual(closed.endingOf(3, 1025), NEVER_USED);
  closed.add(0x7fffffff, RESET_BY_US);
  strictEqual(closed.endingOf(0x7fffffff, 0x7fffffff), RESET_BY_US);
});
