/** readyMadeMappings(): the mapping of each script and site of a folder. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import { readyMadeMappings, withMappings } from '../../src/config/ready-made-mappings.ts';

test('readyMadeMappings() maps each script and each site to its name, and welcome.lua to /', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-handlers-'));
  for (const name of ['welcome.lua', 'upload.lua', 'clock.lua', 'README.md'])
    writeFileSync(join(folder, name), '');
  for (const name of ['site', 'lib']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'site', 'index.html'), '');
  assert.deepEqual(readyMadeMappings(folder), [
    { prefix: '/clock', script: join(folder, 'clock.lua') },
    { prefix: '/site', script: join(folder, 'site/'), kind: 'static' },
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
