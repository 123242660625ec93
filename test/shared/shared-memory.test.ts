/** What the memory of dictionaries costs a process that makes it again and again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runProgram } from '../support/run-program.ts';

const MIB = 1024 * 1024;
const ROUNDS = 4;
/** The dictionaries have 256 MiB, of which a page each is written. */
const GROWTH_MIB_MAX = 64;

const MAKER = `
  import { createSharedMemory, makeDictionary, spareViews } from ${JSON.stringify(new URL('../../src/shared/shared-memory.js', import.meta.url).href)};
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
  const make = () => {
    const memory = createSharedMemory([]);
    for (let i = 0; i < 16; i++) makeDictionary(spareViews(memory, i));
  };
  make();
  const before = process.memoryUsage.rss();
  let most = 0;
  for (let round = 0; round < ${ROUNDS}; round++) {
    globalThis.gc();
    await turn();
    make();
    most = Math.max(most, process.memoryUsage.rss() - before);
  }
  console.log(most);`;

test('Dictionaries that nobody writes take no memory, also where others were made before in the process', async () => {
  const words = ['--expose-gc', '--input-type=module', '-e', MAKER];
  const { code, text } = await runProgram(process.execPath, words);
  assert.equal(code, 0, text);
  assert.ok(Number(text) < GROWTH_MIB_MAX * MIB, `${Number(text) / MIB} MiB`);
});
