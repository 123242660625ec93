/** readyMadeMappings(): which script of a folder answers where. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readyMadeMappings } from '../../src/config/ready-made-mappings.ts';

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
