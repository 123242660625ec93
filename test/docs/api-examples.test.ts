/** The examples of docs/api.md that stand below these headings run as they stand there, and what they assert holds. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { outputOf } from '../support/script-harness.ts';

const HEADINGS = [
  'httpd.crypto.hmac(',
  'httpd.crypto.random(',
  'httpd.crypto.kdf(',
  'httpd.crypto.seal(',
  'httpd.crypto.sign(',
  'httpd.jwt.sign(',
  'httpd.cookies(',
  'httpd.cookie(',
  'httpd.accepts(',
  'httpd.files',
  'httpd.compress(',
  'Sessions: ',
];

const sections = readFileSync(join(PACKAGE_ROOT, 'docs/api.md'), 'latin1').split(/^## /m);

for (const heading of HEADINGS) {
  test(`The example below "${heading.replace(/\($/, '')}" runs`, async () => {
    const section = sections.find((text) => text.startsWith(heading));
    const code = /^```lua\n(.*?)^```$/ms.exec(section ?? '')?.[1];
    assert.ok(code !== undefined, 'the section has an example');
    assert.equal(await outputOf(`${code}\nhttpd.write(nil, 'done')`), 'done');
  });
}
