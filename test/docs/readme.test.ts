/** The first script of README.md answers as README.md says, and the links of the documents lead to existing files. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { matchesAnswer } from '../examples/example-readme.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { runShell } from '../support/run-shell.ts';

const CERTIFICATE = 'certs/development/certificate.pem';
const DOCUMENTS = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'docs/api.md',
  'docs/coming-from.md',
  'docs/command-line.md',
  'docs/embedding.md',
  'docs/libraries.md',
  'docs/lua-libraries.md',
  'docs/modes.md',
  'docs/typescript.md',
  'examples/embed/README.md',
  'examples/README.md',
];

const readme = readFileSync(join(PACKAGE_ROOT, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, text = '']) => ({
  language,
  text: text.trimEnd(),
}));

let folder: GatewayFolder;
let gateway: GatewayProcess | undefined;

before(() => {
  folder = new GatewayFolder();
  mkdirSync(dirname(folder.file(CERTIFICATE)), { recursive: true });
  copyFileSync(folder.certificate, folder.file(CERTIFICATE));
  writeFileSync(folder.file('photo.jpg'), Buffer.alloc(100_000, 7));
});
after(async () => {
  await gateway?.stop();
  folder.remove();
});

test('The first script of README.md answers as shown there', async () => {
  const [script, start, ...rest] = blocks;
  assert.equal(script?.language, 'lua');
  writeFileSync(folder.file('app.lua'), script.text);
  const [, words = ''] = /^npm start -- (.*)$/.exec(start?.text ?? '') ?? [];
  const own = ['-a', '127.0.0.1', '-p', '0', '-w', '1', '-c', folder.certificate, '-k', folder.key];
  gateway = new GatewayProcess(folder, [...words.split(' '), ...own], { cwd: folder.path });
  await gateway.ready();
  assert.equal(rest.length, 4);
  for (let i = 0; i < rest.length; i += 2) {
    const line = (rest[i]?.text ?? '').replace('localhost:8443', `localhost:${gateway.port}`);
    const { stdout, stderr } = await runShell(line, folder.path);
    assert.ok(
      matchesAnswer(stdout.toString('utf8'), rest[i + 1]?.text ?? ''),
      `${line}\n${stdout}\n${stderr}`,
    );
  }
  assert.ok(readFileSync(folder.file('upload.bin')).equals(readFileSync(folder.file('photo.jpg'))));
});

test('The documents link to files that exist', () => {
  for (const document of DOCUMENTS) {
    const file = join(PACKAGE_ROOT, document);
    for (const [, target = ''] of readFileSync(file, 'utf8').matchAll(/\]\(([^)#:]+)\)/g))
      assert.ok(existsSync(join(dirname(file), target)), `${document}: ${target}`);
  }
});
