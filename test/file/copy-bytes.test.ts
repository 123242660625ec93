/** copyBytes(): amounts, backpressure, failures on both sides, cancelling. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ByteSink } from '../../src/base/byte-stream.ts';
import { GatewayError } from '../../src/base/errors.ts';
import type { ByteFile } from '../../src/file/byte-file.ts';
import { untilStill } from '../support/until-still.ts';
import { close, read, until, withFixture } from './fixture.ts';

function send(file: ByteFile, sink: ByteSink, size?: number): Promise<[GatewayError | undefined, number]> {
  return new Promise((resolve) => {
    let returned = false;
    file.sendTo(sink, size, (error, count) => {
      assert.ok(returned, 'done is not called synchronously');
      resolve([error, count]);
    });
    returned = true;
  });
}

/** Accepts `room` bytes and further bytes only after a delay; fails after `failAfter` bytes. */
class SlowSink implements ByteSink {
  error: GatewayError | undefined;
  readonly chunks: Uint8Array[] = [];
  size = 0;
  waiting: (() => void) | undefined;
  /** True: no room ever becomes free. */
  stuck = false;
  readonly #failAfter: number;

  constructor(failAfter: number = Infinity) {
    this.#failAfter = failAfter;
  }

  write(bytes: Uint8Array): boolean {
    assert.equal(this.waiting, undefined, 'nothing is written while the sink is full');
    this.chunks.push(Uint8Array.from(bytes));
    this.size += bytes.length;
    if (this.size > this.#failAfter) this.error = new GatewayError('LGW_FILE', 'The sink is gone');
    return false;
  }

  whenDrained(drained: () => void): void {
    this.waiting = drained;
    if (this.stuck) return;
    setImmediate(() => {
      const waiting = this.waiting;
      this.waiting = undefined;
      waiting?.();
    });
  }

  cancelDrained(): void {
    this.waiting = undefined;
  }
}

test(
  'copyBytes() copies a file whole, or as much as asked for, from its position on',
  withFixture(async (fixture) => {
    const data = randomBytes(3_000_000);
    writeFileSync(fixture.path('a'), data);
    const source = await fixture.open('a', 'r');
    const target = await fixture.open('b', 'w');
    assert.equal(await read(source, 3), data.subarray(0, 3).toString('latin1'));
    assert.deepEqual(await send(source, target, 0), [undefined, 0]);
    assert.deepEqual(await send(source, target, 1_000_001), [undefined, 1_000_001]);
    assert.deepEqual(await send(source, target), [undefined, 1_999_996]);
    assert.deepEqual(await send(source, target), [undefined, 0]);
    await close(target);
    assert.ok(readFileSync(fixture.path('b')).equals(data.subarray(3)));
  }),
);

test(
  'copyBytes() waits for a sink that is full',
  withFixture(async (fixture) => {
    const data = randomBytes(1_500_000);
    writeFileSync(fixture.path('a'), data);
    const sink = new SlowSink();
    assert.deepEqual(await send(await fixture.open('a', 'r'), sink), [undefined, data.length]);
    assert.ok(Buffer.concat(sink.chunks).equals(data));
  }),
);

test(
  'copyBytes() tells which side failed, and how much was copied',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('a'), Buffer.alloc(500_000));
    const sink = new SlowSink(300_000);
    const [error, count] = await send(await fixture.open('a', 'r'), sink);
    assert.equal(error?.code, 'LGW_FILE');
    assert.ok(count < 300_000);
    const [readError] = await send(await fixture.open('.', 'r'), new SlowSink());
    assert.equal(readError?.message, 'Cannot use ".": Is a directory');
    const full = await fixture.open('/dev/full', 'w');
    const [writeError] = await send(await fixture.open('/dev/zero', 'r'), full);
    assert.match(writeError?.message ?? '', /No space left on device/);
  }),
);

test(
  'copyBytes() stops when it is called off, whatever it waits for',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('a'), Buffer.alloc(500_000));
    const source = await fixture.open('a', 'r');
    source.sendTo(new SlowSink(), undefined, assert.fail).cancel();
    const sink = new SlowSink();
    sink.stuck = true;
    const copy = source.sendTo(sink, undefined, assert.fail);
    await until(() => sink.size > 0);
    copy.cancel();
    const before = sink.size;
    await untilStill(() => sink.size);
    assert.deepEqual([sink.size, copy.bytes], [before, before]);
    assert.equal(sink.waiting, undefined);
    const pipe = await fixture.popen('sleep 10', 'r');
    pipe.sendTo(sink, undefined, assert.fail).cancel();
    pipe.destroy();
  }),
);
