/** splitCommand(): words, quotes, and what needs a shell. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitCommand } from '../../src/file/command-line.ts';

test('splitCommand() splits at blanks and takes quotes as they are', () => {
  assert.deepEqual(splitCommand('  a  b\tc '), ['a', 'b', 'c']);
  assert.deepEqual(splitCommand(`a "b c"'d e'f "" 'x$y;'`), ['a', 'b cd ef', '', 'x$y;']);
  assert.deepEqual(splitCommand('convert -size 10x10 in.png out:b=c'), [
    'convert',
    '-size',
    '10x10',
    'in.png',
    'out:b=c',
  ]);
});

test('splitCommand() refuses what only a shell understands', () => {
  const commands = [
    '',
    '  ',
    'a;b',
    'a|b',
    'a&',
    'a>b',
    'a<b',
    '$a',
    '`a`',
    'a\nb',
    '(a)',
    'a*',
    'a?',
    '~',
    'a\\ b',
  ];
  for (const command of [
    ...commands,
    '"$a"',
    '"`a`"',
    '"a\\"',
    "'a",
    '"a',
    'a\0',
    'X=1 a',
    '!a',
    'a#b',
    '{a}',
  ]) {
    assert.equal(splitCommand(command), undefined, JSON.stringify(command));
  }
});
