/** OutcomeFile: whoever reads it while it is written gets all of one text, or nothing. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { OutcomeFile, outcomePath, readOutcomes } from '../../src/supervisor/outcome-file.ts';

const SILENT = createLogger('error', 'test', () => undefined);

test('Parts of two texts of one length are none, wherever the one ends and the other begins', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-outcome-'));
  try {
    const pidFile = join(folder, 'pid');
    const path = outcomePath(pidFile);
    const file = OutcomeFile.create(pidFile, SILENT);
    assert.ok(file !== undefined);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const outcomes = [1, 3].map((code) => {
      const number = file.begin();
      file.end('upgrade', { number, ok: false, lines: [`The new process ended with code ${code}`] });
      return { read: readOutcomes(path), bytes: readFileSync(path) };
    });
    const [first, second] = outcomes;
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(first.bytes.length, second.bytes.length);
    assert.deepEqual(second.read, {
      pid: process.pid,
      begun: 2,
      upgrade: { number: 2, ok: false, lines: ['The new process ended with code 3'] },
    });
    for (let at = 0; at <= first.bytes.length; at++) {
      writeFileSync(path, Buffer.concat([second.bytes.subarray(0, at), first.bytes.subarray(at)]));
      const found = JSON.stringify(readOutcomes(path));
      const whole = [undefined, JSON.stringify(first.read), JSON.stringify(second.read)];
      assert.ok(whole.includes(found), `${at}: ${found}`);
    }
    file.remove();
    assert.equal(readOutcomes(path), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
