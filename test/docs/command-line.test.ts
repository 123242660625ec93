/** docs/command-line.md names every option of the program as it is, and no other option. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { ALL_OPTIONS } from '../../src/config/options.ts';
import { SUBCOMMANDS } from '../../src/config/subcommand-names.ts';

const text = readFileSync(join(PACKAGE_ROOT, 'docs', 'command-line.md'), 'utf8');

test('docs/command-line.md names every option with its letter and its default', () => {
  for (const option of ALL_OPTIONS) {
    const letter = 'short' in option && option.short !== undefined ? `\`-${option.short}\`, ` : '';
    const row = text.split('\n').find((line) => line.startsWith(`| ${letter}\`--${option.name}`));
    assert.ok(row !== undefined, `--${option.name}`);
    if (option.group === 'Limits' && option.kind === 'value')
      assert.ok(row.endsWith(`| ${option.defaultText} |`), row);
  }
});

test('docs/command-line.md names no option that does not exist', () => {
  const ofSubcommands = SUBCOMMANDS.flatMap(({ usage }) =>
    [...usage.matchAll(/--([a-z]+)/g)].map(([, name]) => name),
  );
  const names = new Set([...ALL_OPTIONS.map(({ name }) => name), ...ofSubcommands]);
  for (const [, name = ''] of text.matchAll(/--([a-z][a-z-]+)/g)) assert.ok(names.has(name), `--${name}`);
});
