/** Compares OpenFile with a model of C's stdio: random reads, writes, seeks and flushes, with and without waiting for each. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ByteFile, Whence } from '../../src/file/byte-file.ts';
import { close, Fixture, flush, read, seek, taken } from './fixture.ts';

/** A file in memory with one position. */
class ModelFile {
  content: Buffer;
  position = 0;
  readonly #append: boolean;

  constructor(content: Buffer, append: boolean) {
    this.content = content;
    this.#append = append;
  }

  read(size: number): string {
    const chunk = this.content.subarray(this.position, this.position + size);
    this.position += chunk.length;
    return chunk.toString('latin1');
  }

  write(data: Buffer): void {
    if (this.#append) this.position = this.content.length;
    const end = this.position + data.length;
    if (end > this.content.length) {
      this.content = Buffer.concat([this.content, Buffer.alloc(end - this.content.length)]);
    } else {
      this.content = Buffer.from(this.content);
    }
    data.copy(this.content, this.position);
    this.position = end;
  }

  seek(whence: Whence, offset: number): number | undefined {
    const from = whence === 'set' ? 0 : whence === 'cur' ? this.position : this.content.length;
    if (from + offset < 0) return undefined;
    this.position = from + offset;
    return this.position;
  }
}

type Step =
  | { readonly do: 'read' | 'readSync' | 'startRead'; readonly size: number }
  | { readonly do: 'write'; readonly size: number; readonly fill: number }
  | { readonly do: 'seek' | 'seekSync'; readonly whence: Whence; readonly offset: number }
  | { readonly do: 'flush' | 'flushSync' | 'startFlush' | 'wait' };

const sizes = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 5000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 300_000 }) },
);
const whences = fc.constantFrom<Whence>('set', 'cur', 'end');
const offsets = fc.oneof(fc.integer({ min: -50, max: 50 }), fc.integer({ min: -70_000, max: 140_000 }));
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('read', 'readSync', 'startRead'), size: sizes }),
  fc.record({ do: fc.constant('write'), size: sizes, fill: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ do: fc.constantFrom('seek', 'seekSync'), whence: whences, offset: offsets }),
  fc.record({ do: fc.constantFrom('flush', 'flushSync', 'startFlush', 'wait') }),
) as fc.Arbitrary<Step>;

/** Makes bytes that differ by position, so that bytes from a wrong position are noticed. */
function pattern(size: number, fill: number): Buffer {
  const data = Buffer.alloc(size);
  for (let i = 0; i < size; i++) data[i] = (fill + i * 7 + (i >> 8)) & 0xff;
  return data;
}

async function runStep(file: ByteFile, model: ModelFile, step: Step): Promise<void> {
  switch (step.do) {
    case 'read':
      file.clearEnd();
      assert.equal(await read(file, step.size), model.read(step.size));
      break;
    case 'readSync':
      assert.equal(file.fillSync(step.size), undefined);
      assert.equal(taken(file, step.size), model.read(step.size));
      break;
    case 'startRead':
      // starts a read whose result nothing waits for
      file.request(step.size, assert.fail);
      file.cancelRequest();
      break;
    case 'write': {
      const data = pattern(step.size, step.fill);
      file.write(data);
      data.fill(0);
      model.write(pattern(step.size, step.fill));
      break;
    }
    case 'seek':
    case 'seekSync': {
      const position =
        step.do === 'seek'
          ? await seek(file, step.whence, step.offset)
          : file.seekSync(step.whence, step.offset);
      const expected = model.seek(step.whence, step.offset);
      assert.deepEqual(typeof position === 'number' ? position : undefined, expected);
      if (typeof position !== 'number') assert.equal(position.errno, 22);
      break;
    }
    case 'flush':
      assert.equal(await flush(file), undefined);
      break;
    case 'flushSync':
      assert.equal(file.flushSync(), undefined);
      break;
    case 'startFlush':
      file.flush((error) => assert.equal(error, undefined));
      break;
    case 'wait':
      await new Promise((resolve) => setImmediate(resolve));
      break;
  }
  assert.equal(file.error, undefined);
}

for (const mode of ['r+', 'w+', 'a+']) {
  test(`OpenFile behaves like stdio for any sequence of calls on a ${mode} file`, async () => {
    const fixture = new Fixture();
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(steps, { minLength: 1, maxLength: 25 }),
        fc.integer({ min: 0, max: 200_000 }),
        fc.boolean(),
        async (sequence, size, closesSync) => {
          run += 1;
          const name = `model-${run}`;
          writeFileSync(fixture.path(name), pattern(size, 3));
          const model = new ModelFile(mode === 'w+' ? Buffer.alloc(0) : pattern(size, 3), mode === 'a+');
          const file = run % 2 === 0 ? fixture.files.openSync(name, mode) : await fixture.open(name, mode);
          for (const step of sequence) await runStep(file, model, step);
          const { error } = closesSync ? file.closeSync() : await close(file);
          assert.equal(error, undefined);
          assert.ok(
            readFileSync(fixture.path(name)).equals(model.content),
            'the file holds what the model holds',
          );
        },
      ),
      { numRuns: 150 },
    );
    await fixture.end();
  });
}
