/** Shell completion: the offered words, and the printed script in a real bash. */
import { deepEqual, equal } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { completeWords } from '../../src/config/complete-words.ts';

const PARSER = new URL('../../src/config/parse-command-line.js', import.meta.url).href;

describe('completeWords()', () => {
  const complete = (...words: string[]): string[] => completeWords(['lgateway', ...words], '/bin/bash');

  test('offers options by their beginning', () => {
    deepEqual(complete('--wor'), ['--workers']);
    deepEqual(complete('--max-'), [
      '--max-head',
      '--max-body',
      '--max-unread-bodies',
      '--max-streams',
      '--max-connections',
      '--max-connections-per-address',
      '--max-resets',
      '--max-control-frames',
      '--max-log',
    ]);
  });

  test('offers other commands in the first place', () => {
    deepEqual(complete('ch'), ['check']);
    deepEqual(completeWords(['c'], '/usr/bin/fish'), ['check', 'cert']);
    deepEqual(complete('check', 'ch'), []);
    equal(complete('check', '--co').includes('--config'), true);
  });

  test('offers no option twice, except -l and --shared', () => {
    equal(complete('-p', '1', '--').includes('--port'), false);
    equal(complete('-l', '/', 'a.lua', '--').includes('--lua'), true);
    equal(complete('--shared', 'a=1M', '--').includes('--shared'), true);
  });

  test('offers the words of a short list, after a space and after =', () => {
    deepEqual(complete('--log-level', 'd'), ['debug']);
    deepEqual(complete('--log-level', '=', 'w'), ['warn']);
  });

  test('leaves values to the file names of the shell', () => {
    deepEqual(complete('-c', ''), []);
    deepEqual(complete('-l', ''), []);
    deepEqual(complete('-l', '/app', ''), []);
  });

  test('offers options again after -d, whose value may be left out', () => {
    equal(complete('-d', '--fo').includes('--foreground'), true);
  });

  test('adds descriptions for zsh and fish', () => {
    deepEqual(completeWords(['lgateway', '--pid'], '/usr/bin/zsh'), [
      '--pid-file:write the process id to this file',
    ]);
    deepEqual(completeWords(['--pid'], '/usr/bin/fish'), ['--pid-file\twrite the process id to this file']);
  });
});

describe('lgateway completion', () => {
  let folder = '';
  let environment: NodeJS.ProcessEnv = {};

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'lgw-completion-'));
    writeFileSync(
      join(folder, 'lgateway'),
      `#!${process.execPath}
import(${JSON.stringify(PARSER)}).then(({ parseCommandLine }) => {
  const result = parseCommandLine(process.argv.slice(2));
  process.stdout.write(result.kind === 'text' ? result.text : JSON.stringify(result));
});
`,
      { mode: 0o755 },
    );
    environment = { PATH: `${folder}:${process.env['PATH']}`, SHELL: '/bin/bash' };
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Returns what bash offers for the last of `words`. */
  function completeInBash(...words: string[]): string[] {
    const script = `
      source <(lgateway completion)
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
      function=$(complete -p lgateway | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
      "$function"
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const printed = execFileSync('bash', ['--norc', '-c', script, 'bash', ...words], {
      env: environment,
      encoding: 'utf8',
      timeout: 60_000,
    });
    return printed.split('\n').filter((line) => line !== '');
  }

  test('prints a script that bash can use', () => {
    deepEqual(completeInBash('lgateway', '--wor'), ['--workers']);
    deepEqual(completeInBash('lgateway', '--log-level', 'e'), ['error']);
    deepEqual(completeInBash('lgateway', '-l', '/app', 'ap'), []);
  });
});
