import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { FileSystem } from '../../src/file/file-system.ts';
import { ChunkLoader } from '../../src/libraries/chunk-loader.ts';
import type { State } from '../../src/lua/state.ts';

test('ChunkLoader.allowed() keeps of a mode only what it means, so that no words of a script stay in the state', () => {
  const text = new ChunkLoader({} as State, {} as FileSystem, false);
  const both = new ChunkLoader({} as State, {} as FileSystem, true);
  const long = 'x'.repeat(100_000);
  for (const [mode, withoutBytecode, withBytecode] of [
    ['bt', 't', 'bt'],
    ['tb', 't', 'bt'],
    ['t', 't', 't'],
    ['b', '', 'b'],
    ['', '', ''],
    [long, '', ''],
    [`${long}t`, 't', 't'],
    [`t${long}b`, 't', 'bt'],
  ] as const) {
    strictEqual(text.allowed(mode), withoutBytecode);
    strictEqual(both.allowed(mode), withBytecode);
  }
});
