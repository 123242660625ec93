/** The examples: what their READMEs and first comments tell a reader to type does what they say. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { copyHandlers } from '../handlers/handlers-gateway.ts';
import { LocalGateway } from '../support/local-gateway.ts';
import { GatewayFolder } from '../support/run-gateway.ts';
import { runShell } from '../support/run-shell.ts';
import { type ExampleServing, matchesAnswer, readExampleReadme } from './example-readme.ts';

const EXAMPLES = join(PACKAGE_ROOT, 'examples');
const CERTIFICATE = 'certs/development/certificate.pem';
const PHOTO_BYTES = 70_001;
/** Programs and not scripts: embed.test.ts runs them. */
const PROGRAMS = 'embed';

let folder: GatewayFolder;
/** By their words: some are asked by several tests. */
const running = new Map<string, LocalGateway>();
const names = readdirSync(EXAMPLES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

before(() => {
  folder = new GatewayFolder();
  // scripts find their files by it; no other test file shares the process
  process.chdir(folder.path);
  mkdirSync(dirname(folder.file(CERTIFICATE)), { recursive: true });
  copyFileSync(folder.certificate, folder.file(CERTIFICATE));
  writeFileSync(folder.file('photo.jpg'), randomBytes(PHOTO_BYTES));
  // the top of the checkout has one
  copyFileSync(join(PACKAGE_ROOT, 'README.md'), folder.file('README.md'));
  copyHandlers(folder.file('handlers'));
});
after(async () => {
  await Promise.all([...running.values()].map((one) => one.stop()));
  process.chdir(PACKAGE_ROOT);
  folder.remove();
});

/** Says no more than which script is under which prefix, and not under `/`, so that others can be beside it. */
function canShare({ serve: [option, prefix, , ...rest] }: ExampleServing): boolean {
  return option === '-l' && prefix !== '/' && rest.length === 0;
}

/** The words of all examples that share a gateway. */
function sharedWords(): string[] {
  const servings = names
    .filter((name) => name !== PROGRAMS)
    .flatMap((name) => readExampleReadme(join(EXAMPLES, name, 'README.md')));
  return servings.filter(canShare).flatMap(({ serve: words }) => words);
}

/** Serves what the README says, alone or beside others, from a folder of the test's own. */
async function serve(serving: ExampleServing): Promise<LocalGateway> {
  const given = canShare(serving) ? sharedWords() : serving.serve;
  const known = running.get(given.join(' '));
  if (known !== undefined) return known;
  const words = given.map((word) => (word.startsWith('examples/') ? join(PACKAGE_ROOT, word) : word));
  const rest = ['-a', '127.0.0.1', '-p', '0', '-w', '1', '-c', folder.certificate, '-k', folder.key];
  const gateway = new LocalGateway([...words, ...rest]);
  running.set(given.join(' '), gateway);
  return await gateway.ready();
}

/** Later tests ask these again. */
const ASKED_AGAIN = ['upload', 'file-download', 'error'];
for (const name of names.filter((one) => one !== PROGRAMS)) {
  for (const serving of readExampleReadme(join(EXAMPLES, name, 'README.md'))) {
    describe(`examples/${name} with ${serving.serve.join(' ')}`, () => {
      let gateway: LocalGateway;
      before(async () => {
        gateway = await serve(serving);
      });
      after(async () => {
        if (ASKED_AGAIN.includes(name) || canShare(serving)) return;
        running.delete(serving.serve.join(' '));
        await gateway.stop();
      });

      assert.ok(serving.steps.length > 0, `${name} shows no request`);
      for (const { command, answer } of serving.steps) {
        test(`examples/${name} answers: ${command}`, async () => {
          const line = command.replaceAll('localhost:8443', `localhost:${gateway.port}`);
          const { stdout, stderr } = await runShell(line, folder.path);
          const text = stdout.toString('utf8');
          assert.ok(matchesAnswer(text, answer), `${line}\n${text}\n${stderr}\nexpected: ${answer}`);
        });
      }
    });
  }
}

test('Every example is named in examples/README.md, and that names no other', () => {
  const listed = [...readFileSync(join(EXAMPLES, 'README.md'), 'utf8').matchAll(/^\| \[([\w-]+)\]/gm)];
  assert.deepEqual(listed.map(([, name]) => name).sort(), [...names].sort());
});

test('The README of each example serves each of its scripts, whose first comment shows one of its lines', () => {
  for (const name of names.filter((one) => one !== 'lhttpd' && one !== PROGRAMS)) {
    const servings = readExampleReadme(join(EXAMPLES, name, 'README.md'));
    for (const script of readdirSync(join(EXAMPLES, name)).filter((file) => file.endsWith('.lua'))) {
      const file = join('examples', name, script);
      const serving = servings.find(({ serve: words }) => words.includes(file));
      const [, line = ''] = readFileSync(join(PACKAGE_ROOT, file), 'utf8').split('\n');
      assert.ok(
        serving?.steps.some(({ command }) => `-- ${command}` === line),
        `${file}: "${line}"`,
      );
    }
  }
});

test('The upload example stores the bytes it was sent, both ways', async () => {
  const gateway = await serve(readExampleReadme(join(EXAMPLES, 'upload', 'README.md'))[0]);
  const options = `-sS --cacert ${folder.certificate} --data-binary @photo.jpg`;
  await runShell(`curl ${options} https://localhost:${gateway.port}/upload`, folder.path);
  await runShell(`curl ${options} --http1.1 https://localhost:${gateway.port}/stream`, folder.path);
  const sent = readFileSync(folder.file('photo.jpg'));
  assert.ok(readFileSync(folder.file('counted.bin')).equals(sent));
  assert.ok(readFileSync(folder.file('streamed.bin')).equals(sent));
});

test('The download example sends its own bytes', async () => {
  const gateway = await serve(readExampleReadme(join(EXAMPLES, 'file-download', 'README.md'))[0]);
  const url = `https://localhost:${gateway.port}/file`;
  const { stdout } = await runShell(`curl -sS --cacert ${folder.certificate} ${url}`, folder.path);
  assert.ok(stdout.equals(readFileSync(join(EXAMPLES, 'file-download', 'script.lua'))));
});

test('An error in the middle of an answer lets no client take it for the whole', async () => {
  const gateway = await serve(readExampleReadme(join(EXAMPLES, 'error', 'README.md'))[0]);
  for (const option of ['--http2', '--http1.1']) {
    const line = `curl -sS ${option} --cacert ${folder.certificate} https://localhost:${gateway.port}/middle`;
    const { code, stdout } = await runShell(line, folder.path);
    assert.notEqual(code, 0, option);
    assert.ok(stdout.length > 0, option);
  }
  await gateway.until(() => /a part was sent/.test(gateway.stderr));
  assert.match(gateway.stderr, /script\.lua:\d+: a part was sent/);
  assert.match(gateway.stderr, /stack traceback/);
});
