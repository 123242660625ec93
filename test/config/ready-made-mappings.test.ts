/** readyMadeMappings(): the mapping of each script of a folder. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import { readyMadeMappings, withMappings } from '../../src/config/ready-made-mappings.ts';

test('readyMadeMappings() maps each script to its name and welcome.lua to /', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-handlers-'));
  for (const name of ['welcome.lua', 'upload.lua', 'clock.lua', 'README.md'])
    writeFileSync(join(folder, name), '');
  assert.deepEqual(readyMadeMappings(folder), [
    { prefix: '/clock', script: join(folder, 'clock.lua') },
    { prefix: '/upload', script: join(folder, 'upload.lua') },
    { prefix: '/', script: join(folder, 'welcome.lua') },
  ]);
  rmSync(folder, { recursive: true });
});

for (const [words, message] of [
  [['--root', '/srv'], /^The root "\/srv" needs scripts inside it \(-l\)/],
  [['--sandbox'], /^The sandbox needs scripts of your own \(-l\)/],
] as const) {
  test(`withMappings() refuses the scripts of the package with ${words[0]}`, async () => {
    const result = await parseCommandLine(words, { columns: 80, shell: '' });
    assert(result.kind === 'run');
    assert.throws(() => withMappings(result.config), { code: 'LGW_CONFIG', message });
  });
}
