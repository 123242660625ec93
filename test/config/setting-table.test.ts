/** The table of settings: it has a row for every option and every value of the configuration, and the manual shows it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { readStoreAddress } from '../../src/base/store-address.ts';
import type { Config } from '../../src/config/config.ts';
import { ALL_OPTIONS, OPTIONS } from '../../src/config/options.ts';
import { parsePlainWords } from '../../src/config/plain-words.ts';
import { RESTART_REASONS, SETTING_TABLE } from '../../src/config/setting-table.ts';
import { DEFAULT_LOG_SETTINGS } from '../../src/settings/log-settings.ts';
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
  workers: { workers: 200 },
  daemon: { daemon: true },
  watch: { watch: true },
  pidFile: { pidFile: 'gateway.pid' },
  admin: { admin: { kind: 'tcp', address: '::1', port: 9443 } },
  adminTokenFile: { adminTokenFile: 'token' },
  'logs.format': { logs: { ...DEFAULT_LOG_SETTINGS, format: 'pino' } },
  'logs.target': { logs: { ...DEFAULT_LOG_SETTINGS, target: { kind: 'journald' } } },
  shared: { shared: [{ name: 'one', bytes: 65_536 }] },
  stores: { stores: [] },
  storeSecret: { storeSecret: 's'.repeat(32) },
  storeFiles: { storeFiles: ['secret'] },
};

test('Each setting that needs a restart is refused by its name', () => {
  const config = parsePlainWords(['-l', '/', 'app.lua']);
  assert.ok(config !== undefined);
  assert.deepEqual(
    SETTING_TABLE.filter(({ atReload }) => atReload === 'restart')
      .map(({ name }) => name)
      .sort(),
    Object.keys(OTHERS).sort(),
  );
  for (const [name, other] of Object.entries(OTHERS)) {
    const settings = new Settings(config, SETTING_TABLE);
    assert.throws(
      () => settings.replace({ ...config, ...other }),
      (error) => error instanceof RestartNeededError && error.refused.map((it) => it.name).join() === name,
      name,
    );
  }
});

test('A refusal shows neither the secret of a store nor the password in its address', () => {
  const config = parsePlainWords(['-l', '/', 'app.lua']);
  assert.ok(config !== undefined);
  const stores = (password: string): NonNullable<Config['stores']> => {
    const address = readStoreAddress(`redis://:${password}@store.internal`);
    assert.ok(address !== undefined);
    return [{ address, ca: undefined, dictionaries: 'others', inMemory: [] }];
  };
  const before = { ...config, stores: stores('hidden-one'), storeSecret: 'hidden'.repeat(6) };
  const settings = new Settings<Config>(before, SETTING_TABLE);
  const next = { ...before, stores: stores('hidden-two'), storeSecret: 'HIDDEN'.repeat(6) };
  assert.throws(() => settings.check(next), {
    message:
      'A restart is needed to change stores (--store, --store-ca) from redis://store.internal:6379 to redis://store.internal:6379; storeSecret (--store-secret) from a secret to a secret',
  });
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
  assert.throws(() => settings.check({ ...config, limits: next, pidFile: 'a.pid', workers: 200 }), {
    code: 'LGW_RESTART',
    message: `A restart is needed to change workers (--workers) from ${config.workers} to 200; pidFile (--pid-file) from none to a.pid`,
  });
  assert.deepEqual(
    settings.check({ ...config, limits: next }).map(({ from, to }) => [from, to]),
    [
      ['30', '1.5'],
      ['256M', '32M'],
      ['1', '0'],
    ],
  );
});

test('A table that stands elsewhere in its file is no change', () => {
  const config = parsePlainWords(['-l', '/', 'app.lua']);
  assert.ok(config !== undefined);
  const settings = new Settings(config, SETTING_TABLE);
  const mappings = config.mappings.map((mapping) => ({ ...mapping, at: 'lgateway.toml:7:1' }));
  assert.deepEqual(settings.check({ ...config, mappings }), []);
});

function optionsOf(kind: AtReload): string {
  const settings = SETTING_TABLE.filter(({ atReload, options }) => atReload === kind && options.length > 0);
  return settings.flatMap(({ options }) => options.map((option) => `\`${option}\``)).join(', ');
}

test('docs/command-line.md lists what a reload applies and what needs a restart', () => {
  const document = readFileSync(DOCUMENT, 'utf8');
  const [before, rest = ''] = document.split(BEGIN);
  const [, after] = rest.split(END);
  const rows = new Map<string, string[]>();
  for (const { options, why } of RESTART_REASONS) rows.set(why, [...(rows.get(why) ?? []), ...options]);
  const reasons = [...rows].map(
    ([why, options]) => `| ${options.map((option) => `\`${option}\``).join(', ')} | ${why} |\n`,
  );
  const applied = `A reload applies: ${optionsOf('applied')}.\n`;
  const list = `${applied}\n| needs a restart or an [upgrade](#upgrade) | because |\n|---|---|\n${reasons.join('')}`;
  const expected = `${before}${BEGIN}${list}${END}${after}`;
  if (process.env['LGATEWAY_WRITE_DOCS'] !== undefined) writeFileSync(DOCUMENT, expected);
  else assert.equal(document, expected, 'LGATEWAY_WRITE_DOCS=1 writes it');
});
