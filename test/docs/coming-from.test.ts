/** What docs/coming-from.md names as ours is there: each call of httpd runs with usual values, each module loads, each option exists. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import { ScriptHarness } from '../support/script-harness.ts';

const SECTIONS = ['OpenResty', 'Express', 'redbean', 'HAProxy Lua', 'lighttpd magnet', 'Caddy'];

/** What the snippets take for granted. */
const GIVEN = `
  fn = function() end
  name, value, n, s, t, v = 'name', 'value', 4, 'text', {a = '1'}, 'y'
  key, path, seconds, time = 'key', 'no-such-file', 0, 784111777
  url, text, delay, params = '/next', 'text', 0, {id = '7'}`;

const document = readFileSync(join(PACKAGE_ROOT, 'docs/coming-from.md'), 'utf8');

/** The pieces of code in the right column of a section's table. */
function snippetsOf(section: string): string[] {
  const [, text = ''] = document.split(new RegExp(`^## ${section}$`, 'm'));
  const rows = (text.split(/^## /m)[0] ?? '').split('\n').filter((line) => /^\| (?!-)/.test(line));
  return rows.slice(1).flatMap((row) => {
    const right = row.slice(row.lastIndexOf(' | ') + 3);
    return [...right.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
  });
}

let harness: ScriptHarness;

before(async () => {
  harness = await ScriptHarness.run(`${GIVEN}
    local code = assert(httpd.decode('url', header['x-code']))
    _G.env, _G.header, _G.httpd = env, header, httpd
    local run, message = load('return ' .. code)
    if not run then run, message = load(code) end
    local ok, result = false, message
    if run then ok, result = pcall(run) end
    if not ok then say('error: ' .. tostring(result)) end
    if result == nil and code:find('^httpd[.%w]*$') then say('error: nil') end`);
});
after(() => harness.close());

for (const section of SECTIONS) {
  test(`The calls for those who come from ${section} exist and take what is shown`, async () => {
    const snippets = snippetsOf(section);
    assert.ok(snippets.length > 2);
    for (const code of snippets) {
      const isLua = /^(?:httpd|env|header|params|require)\b/.test(code) && !code.includes('…');
      if (!isLua) continue;
      const fields = [
        'x-code',
        encodeURIComponent(code),
        'content-type',
        'application/x-www-form-urlencoded',
      ];
      const { text } = await harness.request('/run?a=1', { method: 'POST', body: 'a=1', fields });
      assert.doesNotMatch(text, /error: /, `${code}: ${text}`);
    }
  });
}

test('The options that it names exist', async () => {
  const table = readFileSync(join(PACKAGE_ROOT, 'docs/command-line.md'), 'utf8');
  for (const [, option = ''] of document.matchAll(/`(--[a-z][a-z-]*)/g))
    assert.ok(table.includes(`\`${option}`), option);
  for (const [, line = ''] of document.matchAll(/`(-l [^`]*\/)`/g)) {
    const { kind } = await parseCommandLine(line.split(' '), { columns: 80, shell: '' });
    assert.equal(kind, 'run', line);
  }
});
