/** PidFile: written, refused, taken over, removed. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { PidFile } from '../../src/supervisor/pid-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-pid-'));
  path = join(folder, 'pid');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('PidFile.write() names this process and remove() takes the file away', () => {
  const file = PidFile.write(path);
  assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
  file.remove();
  assert.ok(!existsSync(path));
});

test('PidFile.write() refuses the file of a live process and leaves it alone', () => {
  writeFileSync(path, `${process.ppid}\n`);
  assert.throws(() => PidFile.write(path), new RegExp(`belongs to the running process ${process.ppid}`));
  assert.equal(readFileSync(path, 'utf8'), `${process.ppid}\n`);
});

for (const [what, text] of [
  ['a process that is gone', '2147483646\n'],
  ['this very process id, from before a reboot', `${process.pid}\n`],
  ['something else', 'hello\n'],
] as const)
  test(`PidFile.write() takes over the file of ${what}`, () => {
    writeFileSync(path, text);
    PidFile.write(path);
    assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
  });

test('PidFile.remove() leaves a file that names another process', () => {
  const file = PidFile.write(path);
  writeFileSync(path, '1\n');
  file.remove();
  assert.ok(existsSync(path));
});

test('PidFile.write() says why it cannot write', () => {
  assert.throws(() => PidFile.write(join(folder, 'no', 'pid')), /Cannot write the pid file ".*pid": ENOENT/);
});

test('PidFile.replace() puts this process in the place of another, and leaves no other file', () => {
  writeFileSync(path, `${process.ppid}\n`);
  assert.equal(PidFile.whyNotReplaceable(path, process.ppid), undefined);
  const file = PidFile.replace(path);
  assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
  assert.deepEqual(readdirSync(folder), ['pid']);
  file.remove();
  assert.ok(!existsSync(path));
});

test('PidFile.whyNotReplaceable() refuses the file of a third process', () => {
  writeFileSync(path, `${process.ppid}\n`);
  assert.equal(PidFile.whyNotReplaceable(path, 2), `belongs to the running process ${process.ppid}`);
});
