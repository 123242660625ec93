/** Certificates and keys that httpd.fetch reads from files: regular files, inside the root, of limited size. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testCertificate } from '../support/certificate.ts';
import { type HarnessOptions, ScriptHarness } from '../support/script-harness.ts';
import { tlsUpstream } from '../support/upstream.ts';

const LIMIT = 1024 * 1024;
const { cert } = testCertificate();

/** Resolves with the results of fetches with each of these names as `ca`. */
async function fetches(
  names: readonly string[],
  options: HarnessOptions,
  prepare: (harness: ScriptHarness) => void = () => undefined,
): Promise<string[]> {
  const upstream = await tlsUpstream((_request, response) => response.end('ok'));
  const list = names.map((name) => `'${name}'`).join(', ');
  const harness = await ScriptHarness.run(
    `for _, name in ipairs{ ${list} } do
      local r, message, code = httpd.fetch('${upstream.url}', { tls = { ca = name } })
      say(r and httpd.read(r, 'a') or code, message)
    end`,
    options,
  );
  try {
    prepare(harness);
    const text = await harness.output();
    await harness.expectNothingOpen();
    return text.trimEnd().split('\n');
  } finally {
    await harness.close();
    await upstream.close();
  }
}

test('What is no regular file is refused and never waited for', async () => {
  const lines = await fetches(['fifo', '.', '/dev/zero', 'nowhere.pem'], {}, (harness) => {
    execFileSync('mkfifo', [join(harness.folder, 'fifo')]);
  });
  assert.deepEqual(lines, [
    'invalid Cannot read "fifo": it is not a regular file',
    'invalid Cannot read ".": it is not a regular file',
    'invalid Cannot read "/dev/zero": it is not a regular file',
    'notfound Cannot open "nowhere.pem": No such file or directory',
  ]);
});

test('A file of 1 MiB is read, and one byte more is refused', async () => {
  const padded = (size: number): string => cert + '\n'.repeat(size - cert.length);
  const lines = await fetches(['full.pem', 'long.pem'], {
    files: { 'full.pem': padded(LIMIT), 'long.pem': padded(LIMIT + 1) },
  });
  assert.deepEqual(lines, [
    'ok nil',
    `limit Cannot read "long.pem": it has ${LIMIT + 1} bytes and the limit is ${LIMIT}`,
  ]);
});

test('Under a root names stay inside it', async () => {
  const lines = await fetches(
    ['ca.pem', '../ca.pem', 'link.pem'],
    { rooted: true, files: { 'ca.pem': cert } },
    (harness) => symlinkSync('/etc/passwd', join(harness.folder, 'link.pem')),
  );
  assert.equal(lines[0], 'ok nil');
  assert.match(lines[1] as string, /^denied .*the name leads out of the root$/);
  assert.match(lines[2] as string, /^denied .*a link leads out of the root$/);
});

test('Other requests are served while a file is read, and a client that goes leaves nothing open', async () => {
  const upstream = await tlsUpstream((_request, response) => response.end('ok'));
  const harness = await ScriptHarness.run(
    `httpd.fetch('${upstream.url}', { tls = { ca = 'ca.pem' } }) say('done')`,
    { files: { 'ca.pem': cert } },
  );
  try {
    const exchange = harness.begin('/run');
    assert.equal(exchange.text, '', 'the file is not read before the call returns');
    exchange.reset(499);
    await harness.expectNothingOpen();
  } finally {
    await harness.close();
    await upstream.close();
  }
});
