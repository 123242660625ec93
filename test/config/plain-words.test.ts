/** parsePlainWords() never gives another meaning than parseCommandLine(), and reads ordinary command lines without its help. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import { parsePlainWords } from '../../src/config/plain-words.ts';
import { inForm } from '../support/test-form.ts';

function configOf(words: readonly string[]): unknown {
  const result = parseCommandLine(words);
  return result.kind === 'run' ? result.config : result;
}

const RUNS = inForm(600, 3000);
const VOCABULARY = [
  ...['--shared', '--shared=a', '--shared=b=1M', 'a=64K'],
  ...[
    '-l',
    '--lua',
    '-c',
    '--cert',
    '-k',
    '--key=key.pem',
    '-a',
    '-p',
    '--port=8443',
    '-p0',
    '-w2',
    '-w',
    '-u',
  ],
  ...[
    '-r',
    '-d',
    '-d5',
    '--debug',
    '--debug=0',
    '-f',
    '-D',
    '-fd5',
    '-h',
    '--help',
    '--version',
    '--http',
    '--log-file',
  ],
  ...[
    '--access-log',
    '--access-log=no',
    '--access-log=stdout',
    '--log-fields',
    'status',
    '--drain-timeout',
    '--max-body',
    '--nonsense',
    '-x',
    '--',
    '-',
    '--no-daemon',
  ],
  ...[
    '/',
    '/app',
    'app.lua',
    'cert.pem',
    '127.0.0.1',
    '8443',
    '0',
    '2',
    '-1',
    '1.5',
    '',
    "'a'",
    '"b c"',
    'a=b',
    '--=',
    '--port=',
  ],
  ...[
    'nobody',
    '[::1]:80',
    'completion',
    'true',
    'false',
    '-l/x',
    '--lua=/x',
    '--PORT',
    '--access_log',
    '--accessLog',
    'ä',
  ],
];

test('parsePlainWords() agrees with parseCommandLine() or stays silent', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...VOCABULARY), { maxLength: 7 }), (words) => {
      const plain = parsePlainWords(words);
      if (plain !== undefined) assert.deepEqual(configOf(words), plain);
    }),
    { numRuns: RUNS },
  );
});

for (const line of [
  '',
  '-c cert.pem -k key.pem -l /app app.lua',
  '-c cert.pem -k key.pem -l / a.lua -l /b b.lua -p 0 -w 2 -a 127.0.0.1',
  '-Dp443 -u www-data --access-log --pid-file=/run/lgateway.pid --log-file log -d',
  '--shared a --shared=b=1M --shared c=64K',
  '-r /srv/www --http 127.0.0.1:8080 --drain-timeout 5 --max-body 1G -f -d5',
])
  test(`parsePlainWords() reads "${line}"`, () => {
    const words = line.split(' ').filter((word) => word !== '');
    const config = parsePlainWords(words);
    assert.ok(config !== undefined);
    assert.deepEqual(configOf(words), config);
  });

test('parsePlainWords() leaves help, version and every mistake to parseCommandLine()', () => {
  for (const line of [
    '-h',
    '--version',
    '-p',
    '-p x',
    '--nonsense',
    'stray',
    '-l /a',
    '-c a',
    '-D -f',
    'completion',
  ])
    assert.equal(parsePlainWords(line.split(' ')), undefined, line);
});
