/** The functions of httpd and the exports of the package that the documents name exist. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import * as gateway from '../../src/index.ts';
import { FUNCTION_COSTS } from '../../src/script/function-costs.ts';
import { ScriptHarness } from '../support/script-harness.ts';

const DOCUMENTS = [
  'README.md',
  ...readdirSync(join(PACKAGE_ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

function read(document: string): string {
  return readFileSync(join(PACKAGE_ROOT, document), 'utf8');
}

test('Every httpd.name in the documents is a name of the module', async () => {
  const names = DOCUMENTS.flatMap((document) =>
    // a table that is called has its function in a metatable
    [...read(document).matchAll(/\bhttpd((?:\.[a-z_]+)+)/g)].map(([, path = '']) =>
      path.slice(1).replace(/\.__call$/, ''),
    ),
  );
  assert.ok(names.length > 100, 'the pattern finds them');
  const harness = await ScriptHarness.run(`
    for path in httpd.read(nil, 'a'):gmatch('%S+') do
      local value = httpd
      for name in path:gmatch('[^.]+') do value = value[name] end
      if value == nil then say(path) end
    end
    say('looked up')`);
  const text = await harness.output({ method: 'POST', body: [...new Set(names)].join(' ') });
  await harness.close();
  assert.equal(text, 'looked up\n');
});

test('docs/api.md names every function of httpd', () => {
  const text = read('docs/api.md');
  const functions = [...FUNCTION_COSTS.keys()]
    .filter((name) => /^httpd\.[a-z_.]+$/.test(name))
    .map((name) => name.replace(/\.__call$/, ''));
  assert.ok(functions.length > 20, 'the pattern finds them');
  assert.deepEqual(
    functions.filter((name) => !text.includes(name)),
    [],
  );
});

test('Every name the documents import from lgateway is exported', () => {
  let count = 0;
  for (const document of DOCUMENTS) {
    for (const [, names = ''] of read(document).matchAll(/^import \{ (.*) \} from 'lgateway';$/gm)) {
      for (const name of names.split(', ')) {
        assert.ok(name in gateway, `${document}: ${name}`);
        count += 1;
      }
    }
  }
  assert.ok(count > 0, 'the pattern finds them');
});
