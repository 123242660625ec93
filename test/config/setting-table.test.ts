/** The table of settings: it has a row for every option and every value of the configuration, and the manual shows it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import type { Config } from '../../src/config/config.ts';
import { ALL_OPTIONS, OPTIONS } from '../../src/config/options.ts';
import { parsePlainWords } from '../../src/config/plain-words.ts';
import { SETTING_TABLE } from '../../src/config/setting-table.ts';
import { RestartNeededError } from '../../src/settings/restart-needed-error.ts';
import { type AtReload, Settings } from '../../src/settings/settings.ts';

const DOCUMENT = join(PACKAGE_ROOT, 'docs/command-line.md');
const BEGIN = '<!-- settings: begin -->\n';
const END = '<!-- settings: end -->\n';

test('Every option sets one setting, but for help, version and the file that has others', () => {
  const setting = SETTING_TABLE.flatMap(({ options }) => options);
  const none: readonly unknown[] = [OPTIONS.help, OPTIONS.version, OPTIONS.config];
  assert.deepEqual(
    [...setting].sort(),
    ALL_OPTIONS.filter((option) => !none.includes(option))
      .map(({ name }) => `--${name}`)
      .sort(),
  );
});

/** For each setting that needs a restart, a value other than the default. */
const OTHERS: Readonly<Record<string, Partial<Config>>> = {
  acme: {
    acme: {
      orders: [['a.example']],
      directory: 'https://acme.example/',
      email: undefined,
      externalAccount: undefined,
      folder: undefined,
      trustFile: undefined,
      challengeTypes: ['tls-alpn-01'],
    },
  },
  mappings: { mappings: [{ prefix: '/other', script: 'other.lua' }] },
  listen: { listen: { address: '127.0.0.1', port: 1 } },
  cleartext: { cleartext: { address: undefined, port: 1 } },
  redirect: { redirect: { address: undefined, port: 1 } },
  furtherListeners: { furtherListeners: [{ address: undefined, port: 1, scheme: 'http' }] },
  inherited: { inherited: [{ descriptor: 3, scheme: 'https' }] },
  noDelay: { noDelay: false },
  proxyProtocol: { proxyProtocol: true },
  'tls.ocsp': {
    tls: { certificates: [], strictSni: false, profile: 'intermediate', hsts: undefined, ocsp: true },
  },
  user: { user: 'nobody' },
  root: { root: '/srv' },
  workers: { workers: 200 },
  daemon: { daemon: true },
  watch: { watch: true },
  pidFile: { pidFile: 'gateway.pid' },
  admin: { admin: { kind: 'tcp', address: '::1', port: 9443 } },
  adminTokenFile: { adminTokenFile: 'token' },
  logFile: { logFile: 'gateway.log' },
  shared: { shared: [{ name: 'one', bytes: 65_536 }] },
};

test('Each setting that needs a restart is refused by its name', () => {
  const config = parsePlainWords(['-l', '/', 'app.lua']);
  assert.ok(config !== undefined);
  const { limits } = config;
  const others = { ...OTHERS, 'limits.memoryBytesMax': { limits: { ...limits, memoryBytesMax: 2 ** 25 } } };
  assert.deepEqual(
    SETTING_TABLE.filter(({ atReload }) => atReload === 'restart')
      .map(({ name }) => name)
      .sort(),
    Object.keys(others).sort(),
  );
  for (const [name, other] of Object.entries(others)) {
    const settings = new Settings(config, SETTING_TABLE);
    assert.throws(
      () => settings.replace({ ...config, ...other }),
      (error) => error instanceof RestartNeededError && error.refused.map((it) => it.name).join() === name,
      name,
    );
  }
});

test('Values are shown as the option is given', () => {
  const config = parsePlainWords(['-l', '/', 'app.lua']);
  assert.ok(config !== undefined);
  const { limits } = config;
  const settings = new Settings(config, SETTING_TABLE);
  const next = {
    ...limits,
    memoryBytesMax: 2 ** 25,
    idleTimeoutMs: 1500,
    cpuLimitMs: Number.POSITIVE_INFINITY,
  };
  assert.throws(() => settings.check({ ...config, limits: next, root: '/srv' }), {
    code: 'LGW_RESTART',
    message:
      'A restart is needed to change root (--root) from none to /srv; limits.memoryBytesMax (--memory) from 256M to 32M',
  });
  const { memoryBytesMax } = limits;
  assert.deepEqual(
    settings.check({ ...config, limits: { ...next, memoryBytesMax } }).map(({ from, to }) => [from, to]),
    [
      ['30', '1.5'],
      ['1', '0'],
    ],
  );
});

function optionsOf(kind: AtReload): string {
  const settings = SETTING_TABLE.filter(({ atReload, options }) => atReload === kind && options.length > 0);
  return settings.flatMap(({ options }) => options.map((option) => `\`${option}\``)).join(', ');
}

test('docs/command-line.md lists what a reload applies and what needs a restart', () => {
  const document = readFileSync(DOCUMENT, 'utf8');
  const [before, rest = ''] = document.split(BEGIN);
  const [, after] = rest.split(END);
  const list = `| a reload applies | needs a restart |\n|---|---|\n| ${optionsOf('applied')} | ${optionsOf('restart')} |\n`;
  const expected = `${before}${BEGIN}${list}${END}${after}`;
  if (process.env['LGATEWAY_WRITE_DOCS'] !== undefined) writeFileSync(DOCUMENT, expected);
  else assert.equal(document, expected, 'LGATEWAY_WRITE_DOCS=1 writes it');
});
