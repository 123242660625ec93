/** The schema of the configuration file takes what the gateway takes, and refuses what has the wrong keys or types. */
import { deepEqual, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'smol-toml';
import { PACKAGE_ROOT } from '../../../src/base/package-info.ts';
import { configSchema } from '../../../src/config/file/json-schema.ts';

const ajv = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true });
const validate = ajv.compile(configSchema());
const MANUAL = readFileSync(join(PACKAGE_ROOT, 'docs/configuration.md'), 'utf8');

/** The places that the schema finds wrong. */
function wrong(text: string): string[] {
  validate(parse(text));
  return [...new Set((validate.errors ?? []).map(({ instancePath }) => instancePath))];
}

test('The schema takes the file of the manual and every form of a value', () => {
  const [, example = ''] = /```toml\n([\s\S]*?)```/.exec(MANUAL) ?? [];
  ok(example.includes('[[proxy]]'));
  for (const text of [
    '',
    example,
    'port = 0\nworkers = 256\nidle-timeout = 0.5\nmemory = "64M"\nmax-body = 0',
    'allow-env = ["A"]\nallow-connect = []\nallow-run = "cat,ls"\nshared = ["a=1M"]\nmode = "luars"',
    'http = 8080\ndebug = true',
    'http = "127.0.0.1:8080"\ndebug = 5',
    '[[proxy]]\nprefix = "/"\ntargets = "http://a"\nheaders = { A = "1", B = ["2"], C = false }\ntls = { verify = false }',
    '[[listen]]\nport = 1\nscheme = "http"',
  ])
    deepEqual(wrong(text), [], text);
});

test('The schema refuses unknown keys, wrong types, values out of bounds and tables that lack a key', () => {
  for (const [text, places] of [
    ['prot = 1', ['']],
    ['daemon = true', ['']],
    ['port = "1"', ['/port']],
    ['port = 65536', ['/port']],
    ['workers = 1.5', ['/workers']],
    ['log-level = "loud"', ['/log-level']],
    ['access-log = "yes"', ['/access-log']],
    ['memory = "64Q"', ['/memory']],
    ['user = ""', ['/user']],
    ['allow-env = [1]', ['/allow-env/0', '/allow-env']],
    ['lua = 1', ['/lua']],
    ['[[lua]]\nprefix = "/"\nscrpt = "a"', ['/lua/0']],
    ['[[proxy]]\nprefix = "/"\ntargets = "http://a"\ntls = { verfy = 1 }', ['/proxy/0/tls']],
    ['[[listen]]\nport = 1\nscheme = "h2"', ['/listen/0/scheme']],
    ['[[certificate]]\ncert = "a"\nkey = "b"\n[[certificate]]\ncert = "c"', ['/certificate/1']],
  ] as const)
    deepEqual(wrong(text), places, text);
});
