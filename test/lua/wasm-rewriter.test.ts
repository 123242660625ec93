import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { findInterruptible } from '../../src/lua/interruptible-functions.ts';
import { rewriteLuaModule } from '../../src/lua/rewrite-lua-module.ts';
import { GUARDED_MODULE } from '../../src/lua/wasm-module.ts';
import { RewriteError } from '../../src/lua/wasm-reader.ts';
import { type ModuleFacts, type RewriteOptions, rewriteModule } from '../../src/lua/wasm-rewriter.ts';
import { withMemoryMaximum } from '../../src/lua/wasm-sections.ts';

const LUA = readFileSync(join(dirname(createRequire(import.meta.url).resolve('wasmoon')), 'glue.wasm'));
const PAGE_BYTES = 65_536;
const OPTIONS: RewriteOptions = {
  memoryPagesMax: 4,
  hostCall: 'env.system',
  fuelName: 'fuel',
  payName: 'pay',
  counts: true,
};
const LUA_OPTIONS: RewriteOptions = { ...OPTIONS, memoryPagesMax: 1024 };

const I32 = 0x7f;
const text = (name: string): number[] => [name.length, ...Buffer.from(name)];
const section = (id: number, body: readonly number[]): number[] => [id, body.length, ...body];
const code = (body: readonly number[]): number[] => [body.length, ...body];

/** `rounds(n)` counts n down in a loop; `fill(n)` fills n bytes; `grow(n)` grows the memory. */
const SMALL = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [1, 0x60, 1, I32, 1, I32]),
  ...section(2, [1, ...text('env'), ...text('system'), 0, 0]),
  ...section(3, [3, 0, 0, 0]),
  ...section(5, [1, 0, 1]),
  ...section(6, [1, I32, 1, 0x41, 7, 0x0b]),
  ...section(7, [3, ...text('rounds'), 0, 1, ...text('fill'), 0, 2, ...text('grow'), 0, 3]),
  ...section(10, [
    3,
    // loop; n = n - 1; br_if 0 (n); end; global 0
    ...code([0, 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x23, 0, 0x0b]),
    ...code([0, 0x41, 0, 0x41, 1, 0x20, 0, 0xfc, 11, 0, 0x23, 0, 0x0b]),
    ...code([0, 0x20, 0, 0x40, 0, 0x0b]),
  ]),
]);

interface Small {
  readonly fuel: { value: number };
  pay(units: number): void;
  rounds(n: number): number;
  fill(n: number): number;
  grow(n: number): number;
}

async function instantiate(system: () => number): Promise<Small> {
  const module = await WebAssembly.compile(rewriteModule(SMALL, OPTIONS));
  return new WebAssembly.Instance(module, { env: { system } }).exports as unknown as Small;
}

test('The rewritten Lua module is valid, with and without counting', () => {
  const bytes = rewriteModule(LUA, LUA_OPTIONS);
  assert(WebAssembly.validate(bytes));
  assert(bytes.length > LUA.length);
  assert(WebAssembly.validate(rewriteModule(LUA, { ...LUA_OPTIONS, counts: false })));
});

test('Libraries and compiler are found, and nothing that others call', () => {
  let facts: ModuleFacts | undefined;
  const find = (given: ModuleFacts): ReadonlySet<number> => {
    facts = given;
    return findInterruptible(given);
  };
  assert(
    WebAssembly.validate(
      rewriteModule(LUA, { ...LUA_OPTIONS, interruptible: { find, globalName: 'raiseBelow' } }),
    ),
  );
  assert(facts !== undefined);
  const found = findInterruptible(facts);
  // 17 functions of string, 7 of table and 5 of utf8, and what they and the compiler consist of
  assert(found.size > 80 && found.size < 200, `${found.size} functions`);
  for (const index of found) assert(!facts.exported.has(index));
});

test('Of a module that looks otherwise nothing is interrupted', () => {
  const nothing: ModuleFacts = {
    elements: Uint8Array.of(0),
    data: Uint8Array.of(1, 0, 0x41, 0, 0x0b, 3, 1, 2, 3),
    exported: new Set(),
    calls: [[], [0]],
    firstOwn: 0,
    withConstant: () => [],
  };
  assert.equal(findInterruptible(nothing).size, 0);
});

test('Every round of a loop takes one of fuel, and the host is called when it is used up', async () => {
  let calls = 0;
  const small = await instantiate(() => {
    calls += 1;
    small.fuel.value = 10;
    return 0;
  });
  small.fuel.value = 100;
  assert.equal(small.rounds(41), 7, 'the module computes what it did before');
  // the last round does not jump back
  assert.equal(small.fuel.value, 60);
  assert.equal(calls, 0);
  small.rounds(62);
  assert.deepEqual([calls, small.fuel.value], [1, 10]);
  small.rounds(35);
  assert.deepEqual([calls, small.fuel.value], [4, 9]);
});

const br = 0x0c;
const brIf = 0x0d;
const loop = [0x03, 0x40];
const end = 0x0b;
const n = [0x20, 0];
const lessBy = (k: number): number[] => [...n, 0x41, k, 0x6b, 0x21, 0];

/** Loops by the way they go on and end: each takes n, and jumps back as often as `jumps(n)` says. */
const SHAPES: readonly { name: string; body: readonly number[]; jumps: (n: number) => number }[] = [
  {
    name: 'a jump back from an inner loop to the outer one',
    // the inner one goes on unless n can be divided by 3, then the outer one unless n is 0
    body: [...loop, ...loop, ...lessBy(1), ...n, 0x41, 3, 0x70, brIf, 0, ...n, brIf, 1, end, end, ...n],
    jumps: (count) => count - 1,
  },
  {
    name: 'the same by jumps without a condition',
    body: [
      ...[...loop, ...loop, ...lessBy(1), ...n, 0x45, 0x04, 0x40, 0x41, 9, 0x0f, end],
      ...[...n, 0x41, 1, 0x71, 0x04, 0x40, br, 2, end, br, 0, end, end, 0x00],
    ],
    jumps: (count) => count - 1,
  },
  {
    name: 'a jump out that carries a value',
    body: [
      0x02,
      I32,
      ...loop,
      ...n,
      ...n,
      0x41,
      10,
      0x49,
      brIf,
      1,
      0x1a,
      ...lessBy(3),
      br,
      0,
      end,
      0x00,
      end,
    ],
    jumps: (count) => (count < 10 ? 0 : Math.floor((count - 10) / 3) + 1),
  },
  {
    name: 'a value that the loop leaves',
    body: [0x03, I32, ...lessBy(1), ...n, 0x41, 0, ...n, 0x45, 0x45, brIf, 0, 0x6a, end],
    jumps: (count) => count - 1,
  },
  {
    name: 'a table of jumps out of the loop',
    body: [
      ...[0x02, 0x40, ...loop, ...lessBy(1), 0x02, 0x40, ...n, 0x0e, 1, 2, 0, end],
      ...[br, 0, end, end, 0x41, 4],
    ],
    jumps: (count) => count - 1,
  },
  {
    name: 'a table of jumps that repeats the loop',
    body: [...loop, ...lessBy(1), 0x02, 0x40, ...n, 0x0e, 1, 0, 1, end, end, 0x41, 4],
    jumps: (count) => count,
  },
  {
    name: 'a function that is left inside the loop',
    body: [...loop, ...lessBy(1), ...n, 0x45, 0x04, 0x40, 0x41, 5, 0x0f, end, br, 0, end, 0x00],
    jumps: (count) => count - 1,
  },
  {
    name: 'a loop that calls',
    body: [...loop, ...lessBy(1), ...n, 0x10, 0, 0x1a, ...n, brIf, 0, end, 0x41, 6],
    jumps: (count) => count,
  },
];

const SHAPES_MODULE = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [1, 0x60, 1, I32, 1, I32]),
  ...section(2, [1, ...text('env'), ...text('system'), 0, 0]),
  ...section(3, [SHAPES.length, ...SHAPES.map(() => 0)]),
  ...section(6, [0]),
  ...section(7, [SHAPES.length, ...SHAPES.flatMap((_, i) => [...text(`f${i}`), 0, i + 1])]),
  ...section(9, [0]),
  ...[10, ...lebOfTwo(1 + SHAPES.reduce((sum, { body }) => sum + body.length + 3, 0))],
  ...[SHAPES.length, ...SHAPES.flatMap(({ body }) => code([0, ...body, end]))],
  ...section(11, [0]),
]);

function lebOfTwo(value: number): number[] {
  return [(value & 0x7f) | 0x80, value >> 7];
}

/** The functions of SHAPES; `system` hears what the host is called with. */
async function instantiateShapes(
  options: Partial<RewriteOptions>,
  system: (reason: number) => number,
): Promise<{
  call: (shape: number, count: number) => number;
  fuel: { value: number };
  raiseBelow: { value: number };
}> {
  const bytes = rewriteModule(SHAPES_MODULE, { ...OPTIONS, memoryPagesMax: undefined, ...options });
  const { exports } = new WebAssembly.Instance(await WebAssembly.compile(bytes), { env: { system } });
  const all = exports as unknown as Record<string, (count: number) => number>;
  const { fuel, raiseBelow } = exports as unknown as Record<string, { value: number }>;
  return {
    call: (shape, count) => (all[`f${shape}`] as (count: number) => number)(count),
    fuel: fuel as { value: number },
    raiseBelow: raiseBelow as { value: number },
  };
}

const everyShape = { find: () => new Set(SHAPES.map((_, i) => i + 1)), globalName: 'raiseBelow' };

for (const [shape, { name, jumps }] of SHAPES.entries()) {
  test(`Each round is paid, and the result the same: ${name}`, async () => {
    const plain = await instantiateShapes({ counts: false }, () => 0);
    for (const interruptible of [undefined, everyShape]) {
      let calls = 0;
      const metered = await instantiateShapes(
        interruptible === undefined ? {} : { interruptible },
        (reason) => {
          // the shape that calls does so itself, with what it counts
          if (metered.fuel.value >= 0) return 0;
          assert.equal(reason, interruptible === undefined ? 0 : 1);
          calls += 1;
          metered.fuel.value = 6;
          return 0;
        },
      );
      for (let count = 1; count <= 50; count++) {
        calls = 0;
        metered.fuel.value = 1000;
        assert.equal(metered.call(shape, count), plain.call(shape, count), `result for ${count}`);
        const paid = 1000 - metered.fuel.value;
        assert.equal(paid, jumps(count), `rounds of ${count}`);
        assert.equal(calls, 0);
        metered.fuel.value = 6;
        assert.equal(metered.call(shape, count), plain.call(shape, count), `result for ${count}, with calls`);
        // the host is called when 7 are taken of 6
        assert.deepEqual([calls, metered.fuel.value], [Math.floor(jumps(count) / 7), 6 - (jumps(count) % 7)]);
      }
    }
  });

  test(`The host may end it at once: ${name}`, async () => {
    const reasons: number[] = [];
    const metered = await instantiateShapes({ interruptible: everyShape }, (reason) => {
      if (name === 'a loop that calls' && reasons.length === 0) {
        reasons.push(1);
        return 0;
      }
      reasons.push(reason);
      throw new Error('enough');
    });
    metered.fuel.value = 1000;
    metered.raiseBelow.value = 0x7fff_ffff;
    assert.throws(() => metered.call(shape, 40), /enough/);
    assert.equal(reasons.at(-1), 1);
  });
}

test('An exception of the host ends a loop without end', async () => {
  const small = await instantiate(() => {
    throw new Error('enough');
  });
  small.fuel.value = 1_000_000;
  // 0 counts down through all 32-bit numbers
  assert.throws(() => small.rounds(0), /enough/);
});

test('A copy or fill of memory takes fuel by its size', async () => {
  const small = await instantiate(() => 0);
  small.fuel.value = 10_000;
  assert.equal(small.fill(32_000), 7);
  assert.equal(small.fuel.value, 10_000 - 2000);
});

test('What is paid takes fuel, and the host is called when less than nothing is left', async () => {
  let calls = 0;
  const small = await instantiate(() => {
    calls += 1;
    small.fuel.value = 10;
    return 0;
  });
  small.fuel.value = 100;
  small.pay(100);
  assert.deepEqual([calls, small.fuel.value], [0, 0]);
  small.pay(1);
  assert.deepEqual([calls, small.fuel.value], [1, 10]);
  small.pay(0x3fff_ffff);
  assert.deepEqual([calls, small.fuel.value], [2, 10]);
});

test('The memory grows to its maximum and no further', async () => {
  const small = await instantiate(() => 0);
  assert.equal(small.grow(3), 1);
  assert.equal(small.grow(1), -1);
  assert.equal(small.fill(4 * PAGE_BYTES), 7);
  assert.throws(() => small.fill(4 * PAGE_BYTES + 1), /out of bounds/);
});

test('What is missing or does not fit is a RewriteError', () => {
  const refuse = (module: Uint8Array, options: Partial<RewriteOptions>, message: RegExp): void => {
    assert.throws(
      () => rewriteModule(module, { ...OPTIONS, ...options }),
      (error) => error instanceof RewriteError && message.test(error.message),
    );
  };
  refuse(SMALL, { hostCall: 'env.nobody' }, /Import "env\.nobody" is missing/);
  refuse(SMALL, { memoryPagesMax: 0 }, /0 pages is less than the module needs: 1 pages/);
  refuse(new Uint8Array(0), {}, /Not a WebAssembly module/);
  refuse(Uint8Array.from([0, 0x61, 0x73, 0x6d, 2, 0, 0, 0]), {}, /version 1/);
  refuse(SMALL.subarray(0, 8), {}, /Section 2 is missing/);
  refuse(SMALL.subarray(0, -3), {}, /ends too early/);
  // an instruction of another proposal (0xfd: vectors) at the start of the last function
  const unknown = SMALL.slice();
  unknown[unknown.length - 5] = 0xfd;
  refuse(unknown, {}, /Opcode 0xfd is not known/);
});

test('Damaged modules are refused or rewritten, and never anything else', () => {
  let refused = 0;
  const attempt = (bytes: Uint8Array): void => {
    try {
      rewriteModule(bytes, OPTIONS);
    } catch (error) {
      assert(error instanceof RewriteError, String(error));
      refused += 1;
    }
  };
  for (let at = 0; at < SMALL.length; at++) {
    attempt(SMALL.subarray(0, at));
    for (let value = 0; value < 256; value++) {
      const damaged = SMALL.slice();
      damaged[at] = value;
      attempt(damaged);
    }
  }
  assert(refused > 1000);
  for (let i = 0; i < 60; i++) {
    const damaged = Uint8Array.from(LUA);
    for (let n = 0; n < 5; n++) damaged[(i * 7919 + n * 104_729) % damaged.length] = (i * 31 + n * 17) % 256;
    attempt(damaged);
  }
});

test('The module that the build writes is what the rewriter makes, and only its maximum of memory is set at the start', async () => {
  const built = readFileSync(GUARDED_MODULE);
  const made = await rewriteLuaModule(true);
  assert(built.equals(made), 'npm run build writes it anew');
  const bounded = withMemoryMaximum(built, 300);
  assert(WebAssembly.validate(bounded));
  assert.deepEqual(withMemoryMaximum(bounded, 1024), withMemoryMaximum(built, 1024));
  assert.throws(() => withMemoryMaximum(built, 1), /Memory of 1 pages is less than the module needs/);
});
