/** The units of docs/deployment/: systemd takes them without a word, finds them tight, and gives the gateway its time. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';

const UNITS = fileURLToPath(new URL('../../../docs/deployment/', import.meta.url));
const EXPOSURE_MAX = 2.0;

let folder: string;
const read = (name: string): string => readFileSync(join(UNITS, name), 'utf8');

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-units-'));
  // a program that is there
  const service = read('lgateway.service').replace('/usr/bin/lgateway', process.execPath);
  writeFileSync(join(folder, 'lgateway.service'), service);
  writeFileSync(join(folder, 'lgateway.socket'), read('lgateway.socket'));
});
after(() => rmSync(folder, { recursive: true }));

function analyze(...words: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', words, { encoding: 'utf8', cwd: folder });
  return { status, output: stdout + stderr };
}

test('systemd-analyze verify has nothing to say of the units', () => {
  assert.deepEqual(analyze('verify', './lgateway.service', './lgateway.socket'), { status: 0, output: '' });
});

test('systemd-analyze security rates the service as tight as docs/deployment.md says', () => {
  const { output } = analyze('security', '--offline=true', './lgateway.service');
  const rating = /Overall exposure level for lgateway\.service: ([\d.]+)/.exec(output)?.[1];
  assert.ok(Number(rating) <= EXPOSURE_MAX, output);
  assert.ok(
    readFileSync(join(UNITS, '../deployment.md'), 'utf8').includes(`rates the unit ${rating} `),
    rating,
  );
});

test('The service has longer to stop than the gateway takes to drain', () => {
  const seconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(read('lgateway.service'))?.[1]);
  assert.ok(seconds * 1000 >= DEFAULT_LIMITS.drainTimeoutMs + 2000);
});
