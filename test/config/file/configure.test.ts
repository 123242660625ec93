/** The configuration file: what each key sets, what goes before what, and the lines that all mistakes of a file get. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Config } from '../../../src/config/config.ts';
import { type Configuration, configure } from '../../../src/config/file/configure.ts';
import { ALL_OPTIONS } from '../../../src/config/options.ts';
import { readPlainWords } from '../../../src/config/plain-words.ts';
import { showFault, UsageError } from '../../../src/config/usage-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'lgateway-config-'));
const FILE = join(folder, 'lgateway.toml');
after(() => rmSync(folder, { recursive: true, force: true }));

async function read(
  text: string | Buffer,
  line = '',
  environment: Readonly<Record<string, string>> = {},
): Promise<Configuration> {
  writeFileSync(FILE, text);
  const texts = readPlainWords(['--config', FILE, ...line.split(' ').filter(Boolean)]);
  ok(texts !== undefined, line);
  return await configure(texts, environment);
}

/** Without the places of mappings in the file. */
const configOf = async (...given: Parameters<typeof read>): Promise<Config> => {
  const { config } = await read(...given);
  return { ...config, mappings: config.mappings.map(({ at: _place, ...mapping }) => mapping) };
};

/** What is wrong, a line each, without the folder. */
async function faultsOf(...given: Parameters<typeof read>): Promise<string[]> {
  try {
    await read(...given);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return error.faults.map((fault) => showFault(fault).replaceAll(`${folder}/`, ''));
  }
  return [];
}

const withoutFile = async (line: string): Promise<Config> =>
  (await configure(readPlainWords(line.split(' ').filter(Boolean)) ?? new Map(), {})).config;

describe('a configuration file', () => {
  test('sets each option that the command line sets, by its long name', async () => {
    const own = (name: string): string => join(folder, name);
    for (const [text, line] of [
      ['', ''],
      ['port = 1', '-p 1'],
      ['address = "::1"', '-a ::1'],
      ['http = 8080', '--http 8080'],
      ['http = "127.0.0.1:8080"', '--http 127.0.0.1:8080'],
      ['workers = 3\nuser = "www"', '-w 3 -u www'],
      ['access-log = true\ncompress = false', '--access-log'],
      ['watch = true', '--watch'],
      ['debug = true', '-d'],
      ['debug = 7', '-d 7'],
      ['log-level = "warn"', '--log-level warn'],
      ['idle-timeout = 1.5\ncpu-limit = 0', '--idle-timeout 1.5 --cpu-limit 0'],
      ['memory = "64M"\nmax-head = 2048', '--memory 64M --max-head 2048'],
      ['allow-env = ["A", "B"]', '--allow-env A,B'],
      ['allow-env = "A,B"', '--allow-env A,B'],
      ['allow-connect = []', '--allow-connect none'],
      ['shared = ["a=1M", "b"]', '--shared a=1M --shared b'],
      ['shared = "a=1M"', '--shared a=1M'],
      // names of files are beside the file
      ['pid-file = "a.pid"\nlog-file = "/var/a.log"', `--pid-file ${own('a.pid')} --log-file /var/a.log`],
      ['script = "a.lua"\nmode = "luars"', `-s ${own('a.lua')} --mode luars`],
      ['lua-path = "lib/?.lua;/usr/?.lua"', `--lua-path ${own('lib/?.lua')};/usr/?.lua`],
      ['cert = "c.pem"\nkey = "k.pem"', `-c ${own('c.pem')} -k ${own('k.pem')}`],
      // scripts are inside the root
      ['root = "www"\nscript = "a.lua"\nallow-run = ["cat"]', `-r ${own('www')} -s a.lua --allow-run cat`],
      ['[[lua]]\nprefix = "/a"\nscript = "a.lua"\nmode = "luvit"', `-l /a ${own('a.lua')} --mode luvit`],
      ['[[lua]]\nprefix = "x/"\nhost = "A.test"\nscript = "/a.lua"', '-l a.test/x /a.lua'],
      [
        '[[static]]\nprefix = "/s"\nfolder = "pub"\nindex = []\nlisting = true',
        `-l /s ${own('pub')}/ --static-index none --static-listing`,
      ],
      [
        'static-cache-control = "no-cache"\n[[static]]\nprefix = "/"\nfolder = "pub"',
        `-l / ${own('pub')}/ --static-cache-control no-cache`,
      ],
      [
        '[[proxy]]\nprefix = "/"\ntargets = ["http://a", "unix:/s"]\ntimeout = 7\nforwarded = "none"',
        '-l / http://a,unix:/s --proxy-timeout 7 --proxy-forwarded none',
      ],
      [
        'proxy-trusted = ["10.0.0.0/8"]\n[[proxy]]\nprefix = "/"\ntargets = "http://a"\nhost-header = "target"',
        '-l / http://a --proxy-trusted 10.0.0.0/8 --proxy-host target',
      ],
      [
        '[[proxy]]\nprefix = "/"\ntargets = ["http://a*3", "http://b"]\nbalance = "least"\nretries = 2\ncheck = "/up"\ncheck-interval = 2',
        '-l / http://a*3,http://b --proxy-balance least --proxy-retries 2 --proxy-check /up --proxy-check-interval 2',
      ],
      [
        'proxy-check = "/up"\n[[proxy]]\nprefix = "/"\ntargets = "http://a"\ncheck-interval = 2\nidle-timeout = 3',
        '-l / http://a --proxy-check /up --proxy-check-interval 2 --proxy-idle-timeout 3',
      ],
      ['[[proxy]]\nprefix = "/"\ntargets = "http://a"\ncache = true', '-l / http://a --proxy-cache'],
      ['[[listen]]\nport = 1\naddress = "127.0.0.1"', '-p 1 -a 127.0.0.1'],
      ['[[listen]]\nport = 1\n[[listen]]\nport = 2\nscheme = "http"', '-p 1 --http 2'],
    ] as const)
      deepEqual(normal(await configOf(text)), normal(await withoutFile(line)), text);
  });

  test('knows every option but those that say how the command is run', async () => {
    const text = ALL_OPTIONS.map(({ name }) => `${name} = 1979-05-27`).join('\n');
    const faults = await faultsOf(text);
    const places = faults.map((fault) => Number(/^lgateway.toml:(\d+):1: Key /.exec(fault)?.[1]));
    deepEqual(
      ALL_OPTIONS.filter((_, i) => !places.includes(i + 1)).map(({ name }) => name),
      [],
    );
    deepEqual(
      faults.flatMap((fault) => /Key "([^"]+)" counts on the command line only/.exec(fault)?.[1] ?? []),
      ['config', 'foreground', 'daemon', 'help', 'version'],
    );
  });

  test('gives one proxy, one folder and one listener what no option does', async () => {
    writeFileSync(join(folder, 'ca.pem'), '-----BEGIN CERTIFICATE-----\n');
    const { proxies, folders, mappings, ...listening } = await configOf(`
      static-listing = true
      proxy-trusted = ["10.0.0.0/8"]
      [[proxy]]
      prefix = "/api"
      targets = "https://a:1/base"
      connect-timeout = 1
      idle-timeout = 2
      tunnel-timeout = 3
      retries = 0
      headers = { X-One = "1", X-Two = ["2", "3"], Cookie = false }
      tls = { verify = false, ca = "ca.pem", servername = "b" }
      [[static]]
      prefix = "/s"
      folder = "pub"
      listing = false
      cache-control = "max-age=1"
      [[listen]]
      port = 1
      [[listen]]
      port = 2
      address = "::1"
      [[listen]]
      port = 3
      scheme = "http"
      proxy-protocol = true
      [[listen]]
      port = 4
      scheme = "http"`);
    deepEqual(
      mappings.map(({ prefix, kind }) => [prefix, kind]),
      [
        ['/api', 'proxy'],
        ['/s', 'static'],
      ],
    );
    const [proxy] = proxies;
    deepEqual(proxy?.timeouts, {
      headMs: 30_000,
      totalMs: undefined,
      connectMs: 1000,
      idleMs: 2000,
      tunnelMs: 3000,
    });
    deepEqual(proxy?.setFields, ['X-One', '1', 'X-Two', '2', 'X-Two', '3']);
    deepEqual(proxy?.removedFields, ['x-one', 'x-two', 'cookie']);
    equal(proxy?.retries, 0);
    deepEqual(proxy?.tls, { verify: false, ca: '-----BEGIN CERTIFICATE-----\n', servername: 'b' });
    deepEqual(folders, [{ prefix: '/s', index: ['index.html'], listing: false, cacheControl: 'max-age=1' }]);
    deepEqual(listening.listen, { address: undefined, port: 1 });
    deepEqual(listening.cleartext, { address: undefined, port: 3, proxied: true });
    deepEqual(listening.trustedProxies, ['10.0.0.0/8']);
    deepEqual(listening.furtherListeners, [
      { address: '::1', port: 2, scheme: 'https' },
      { address: undefined, port: 4, scheme: 'http' },
    ]);
  });

  test('gives one script rights and limits of its own, which go before those of all', async () => {
    const config = await configOf(`
      cpu-limit = 2
      root = "all"
      [[lua]]
      prefix = "/one"
      host = "A.test"
      script = "/one.lua"
      root = "one"
      sandbox = false
      lua-path = "/lib/?.lua"
      allow-bytecode = true
      allow-run = ["cat"]
      allow-connect = []
      allow-env = []
      memory = "16M"
      cpu-limit = 0
      time-limit = 1.5
      share = 10
      [[lua]]
      prefix = "/two"
      script = "/two.lua"
      memory = "32M"
      [[lua]]
      prefix = "/three"
      script = "/three.lua"`);
    const withoutPlaces = config.mappings.map(({ at: _place, ...mapping }) => mapping);
    deepEqual(withoutPlaces, [
      {
        host: 'a.test',
        prefix: '/one',
        script: '/one.lua',
        root: join(folder, 'one'),
        memoryBytesMax: 2 ** 24,
      },
      { prefix: '/two', script: '/two.lua', memoryBytesMax: 2 ** 25 },
      { prefix: '/three', script: '/three.lua' },
    ]);
    deepEqual(config.scripts, [
      {
        host: 'a.test',
        prefix: '/one',
        rights: {
          luaPath: '/lib/?.lua',
          allowsBytecode: true,
          commands: ['cat'],
          sandboxed: false,
          connect: ['none'],
          variables: [],
        },
        limits: { cpuLimitMs: Number.POSITIVE_INFINITY, timeLimitMs: 1500, mappingSharePercent: 10 },
      },
    ]);
    // a quarter of what the three states may take
    equal(config.limits.unreadBodyBytesMax, (2 ** 24 + 2 ** 25 + 2 ** 28) / 4);
    const script = '[[lua]]\nprefix = "/"\nscript = "a.lua"\n';
    // with a root of its own the script and its modules are inside
    const own = await configOf(`${script}root = "r"\nlua-path = "lib/?.lua"`);
    deepEqual([own.mappings[0]?.script, own.scripts[0]?.rights.luaPath], ['a.lua', 'lib/?.lua']);
    const none = await configOf(`${script}lua-path = "lib/?.lua"`);
    equal(none.scripts[0]?.rights.luaPath, join(folder, 'lib/?.lua'));
    // programs that all scripts with a root may start
    deepEqual((await configOf(`allow-run = ["cat"]\n${script}root = "r"`)).rights.commands, ['cat']);
  });

  test('says where a mapping stands, unless it is one of the command line', async () => {
    const text = '[[lua]]\nprefix = "/a"\nscript = "a.lua"\n[[static]]\nprefix = "/b"\nfolder = "b"';
    const { config } = await read(text, '-l /c c.lua');
    deepEqual(
      config.mappings.map(({ at }) => at),
      [`${FILE}:1:3`, `${FILE}:4:3`, undefined],
    );
  });

  test('gives its own settings to no script of the command line that takes the place', async () => {
    const text = '[[lua]]\nprefix = "/"\nscript = "a.lua"\nsandbox = true\nmemory = "16M"';
    const { mappings, scripts } = await configOf(text, '-s b.lua');
    deepEqual([mappings, scripts], [[{ prefix: '/', script: 'b.lua' }], []]);
  });

  test('comes after variables of the environment, and these after the command line', async () => {
    const text = 'workers = 2\nport = 1\naccess-log = true\nshared = ["a", "b"]\nlog-level = "error"';
    const environment = {
      LGATEWAY_PORT: '2',
      LGATEWAY_ACCESS_LOG: 'off',
      LGATEWAY_LOG_LEVEL: 'warn',
      LGATEWAY_SHARED: 'c=1M,d',
      // these are no options, or not set
      LGATEWAY_WORKERS: '',
      LGATEWAY_SERVICE_HOST: '10.0.0.1',
      LGATEWAY_DAEMON: '1',
      LGATEWAY_ADDRESS: 'tcp://10.0.0.1:8443',
    };
    const { config, origins } = await read(text, '-p 3', environment);
    equal(config.listen?.port, 3);
    equal(config.workers, 2);
    equal(config.accessLog, false);
    equal(config.logLevel, 'warn');
    equal(config.daemon, false);
    equal(config.listen?.address, undefined);
    deepEqual(
      config.shared.map(({ name }) => name),
      ['c', 'd'],
    );
    equal(origins.get('port'), undefined);
    equal(origins.get('log-level')?.named, 'Variable LGATEWAY_LOG_LEVEL');
    equal(origins.get('workers')?.at?.line, 1);
    equal((await configOf('log-level = "error"', '-d')).logLevel, 'debug');
  });

  test('adds mappings to those of the command line, which take its place where both have one', async () => {
    const text = '[[lua]]\nprefix = "/a"\nscript = "/a.lua"\n[[lua]]\nprefix = "/b"\nscript = "/b.lua"';
    deepEqual((await configOf(text, '-l /b other.lua')).mappings, [
      { prefix: '/a', script: '/a.lua' },
      { prefix: '/b', script: 'other.lua' },
    ]);
  });

  test('leaves listeners of a kind that the command line moves', async () => {
    const text = '[[listen]]\nport = 1\n[[listen]]\nport = 2\n[[listen]]\nport = 3\nscheme = "http"';
    const { listen, cleartext, furtherListeners } = await configOf(text, '-p 9');
    deepEqual([listen?.port, cleartext?.port, furtherListeners], [9, 3, undefined]);
    equal((await configOf('[[listen]]\nport = 3\nscheme = "http"')).listen, undefined);
  });
});

/** `mode` is written where the command line has one for all, and a folder is named with and without the slash. */
function normal({ mappings, ...config }: Config): unknown {
  return {
    ...config,
    mappings: mappings.map((one) => ({ ...one, script: one.script.replace(/(.)\/$/, '$1') })),
  };
}

describe('a configuration file that is wrong', () => {
  test('hears of all of it, in the order of the file', async () => {
    const faults = await faultsOf(`port = 99999
wrokers = 2
debug = true
log-level = "loud"
p = 3
[[lua]]
prefix = "/app"
  scrpt = "app.lua"
[[static]]
prefix = "/s"
folder = "public"
listing = "yes"
[[listen]]
adress = "127.0.0.1"
port = "x"
[[certificate]]
cert = "c.pem"
[[certificate]]
cert = "d.pem"
key = "d.key"
[[listen]]
port = 1
scheme = "http"
client-ca = "ca.pem"
[[listen]]
port = 2
client-verify = "perhaps"
`);
    deepEqual(faults, [
      'lgateway.toml:1:1: Key "port" and [[listen]] exclude each other: the tables say all of it',
      'lgateway.toml:1:1: Key "port" wants a port from 0 to 65535, not 99999',
      'lgateway.toml:2:1: Unknown key "wrokers"; did you mean "workers"?',
      'lgateway.toml:4:1: Key "debug" and key "log-level" exclude each other (the other one: lgateway.toml:3:1)',
      'lgateway.toml:4:1: Key "log-level" wants one of error, warn, info, debug, not "loud"',
      'lgateway.toml:5:1: Unknown key "p"; the key of -p (--port) is "port"',
      'lgateway.toml:6:3: [[lua]] lacks the key "script": the Lua script',
      'lgateway.toml:8:3: Unknown key "scrpt" in [[lua]]; did you mean "script"?',
      'lgateway.toml:12:1: Key "listing" in [[static]] wants true or false, not "yes"',
      'lgateway.toml:14:1: Unknown key "adress" in [[listen]]; did you mean "address"?',
      'lgateway.toml:15:1: Key "port" in [[listen]] wants a port from 0 to 65535, not "x"',
      'lgateway.toml:16:3: [[certificate]] lacks the key "key": private key of the certificate: RSA, EC or Ed25519, not encrypted, PEM or DER',
      'lgateway.toml:24:1: Key "client-ca" in [[listen]] goes with scheme "https": without TLS nobody shows a certificate',
      'lgateway.toml:27:1: Key "client-verify" in [[listen]] wants one of optional, require, not "perhaps"',
      'lgateway.toml:27:1: Key "client-verify" in [[listen]] goes with "client-ca", which is not given',
    ]);
  });

  for (const [text, expected] of [
    ['a = 1\nb = [1,\n c=', /^lgateway.toml:3:2: Invalid TOML document: .*\n(?:.*\n)*3: {3}c=/],
    ['a = 1\na = 2', /^lgateway.toml:2:1: /],
    [`a = ${'['.repeat(20)}${']'.repeat(20)}`, /^lgateway.toml:1:\d+: /],
    ['lua = 1', /^lgateway.toml:1:1: Key "lua" wants tables, each headed \[\[lua\]\], not 1$/],
    ['[proxy]\nprefix = "/"', /:1:2: Key "proxy" wants tables, .* not \[proxy\], which is one table$/],
    ['__proto__ = 1', /^lgateway.toml:1:1: Unknown key "__proto__"; keys are/],
    ['[__proto__]\nport = 1', /^lgateway.toml:1:2: Unknown key "__proto__"; keys are/],
    ['workers = 1.5', /wants a whole number from 1 to 256, not 1.5$/],
    ['workers = true', /wants a whole number from 1 to 256, not true$/],
    ['workers = nan', /wants a whole number from 1 to 256, not NaN$/],
    ['workers = [1]', /wants a whole number from 1 to 256, not a list$/],
    ['user = ""', /Key "user" wants a user name, not an empty text$/],
    ['allow-env = [1]', /wants texts in its list, not 1$/],
    ['allow-env = ["A,B"]', /wants one of them in each text of its list, not "A,B"$/],
    ['allow-env = []', /not an empty list$/],
    [
      'cert = "a"\n\n[[certificate]]\ncert = "c"\nkey = "d"',
      /^lgateway.toml:1:1: Key "cert" and \[\[certificate\]\] \(.*:3:3\) exclude each other/,
    ],
    ['allow-run = ["cat"]', /^lgateway.toml:1:1: Key "allow-run" goes with -r \(--root\)/],
    ['static-listing = true', /^lgateway.toml:1:1: Key "static-listing" goes with a folder/],
    ['mode = "/x=luvit"\n[[lua]]\nprefix = "/"\nscript = "a.lua"', /^lgateway.toml:1:1: .*which no -l has$/],
    [
      '[[lua]]\nprefix = "/a?"\nscript = "a.lua"',
      /^lgateway.toml:2:1: Key "prefix" in \[\[lua\]\] wants a path/,
    ],
    [
      '[[lua]]\nprefix = "/"\nhost = "a:1"\nscript = "a.lua"',
      /^lgateway.toml:3:1: Key "host" .* without a port, not "a:1"$/,
    ],
    ...[
      ['allow-rum = ["cat"]', /^Unknown key "allow-rum" in \[\[lua\]\]; did you mean "allow-run"\?$/],
      ['shares = 5', /^Unknown key "shares" in \[\[lua\]\]; did you mean "share"\?$/],
      ['mapping-share = 5', /^Unknown key "mapping-share" in \[\[lua\]\]; its keys are prefix, host, script/],
      ['memory = "1M"', /^Key "memory" in \[\[lua\]\] wants a size from 16M to .*, not "1M"$/],
      [
        'cpu-limit = "x"',
        /^Key "cpu-limit" in \[\[lua\]\] wants a number of seconds up to 86400, .*, not "x"$/,
      ],
      ['time-limit = -1', /^Key "time-limit" in \[\[lua\]\] wants a number of seconds .*, not -1$/],
      ['share = 0', /^Key "share" in \[\[lua\]\] wants a whole number from 1 to 100, not 0$/],
      ['root = ""', /^Key "root" in \[\[lua\]\] wants a directory, not an empty text$/],
      ['sandbox = "yes"', /^Key "sandbox" in \[\[lua\]\] wants true or false, not "yes"$/],
      ['allow-run = ["cat"]', /^Key "allow-run" in \[\[lua\]\] goes with "root": without it any program/],
      [
        'allow-connect = ["a b"]',
        /^Key "allow-connect" in \[\[lua\]\] wants all, none, or names, .*, not \["a b"\]$/,
      ],
      ['allow-env = ["A=1"]', /^Key "allow-env" in \[\[lua\]\] wants names of variables, .*, not \["A=1"\]$/],
      ['lua-path = 1', /^Key "lua-path" in \[\[lua\]\] wants templates such as .*, not 1$/],
    ].map(
      ([line, expected]) =>
        [
          `[[lua]]\nprefix = "/"\nscript = "a.lua"\n${line}`,
          new RegExp(`^lgateway.toml:4:1: ${String((expected as RegExp).source).slice(1)}`),
        ] as const,
    ),
    [
      '[[lua]]\nprefix = "/"\nscript = "a.mts"',
      /^lgateway.toml:3:1: Key "script" in \[\[lua\]\] wants a Lua script, not the module ".*a.mts"; programs that embed/,
    ],
    ...['allow-run = ["cat"]', 'allow-env = ["A"]', 'lua-path = "?.lua"'].map(
      (line) =>
        [
          `[[lua]]\nprefix = "/"\nscript = "a.lua"\nroot = "r"\nsandbox = true\n${line}`,
          /^lgateway.toml:6:1: Key "[a-z-]+" in \[\[lua\]\] excludes "sandbox": scripts in the sandbox /,
        ] as const,
    ),
    ...['allow-run = ["cat"]', 'allow-env = ["A"]', 'lua-path = "?.lua"'].map(
      (line) =>
        [
          `sandbox = true\n[[lua]]\nprefix = "/"\nscript = "a.lua"\nroot = "r"\n${line}`,
          /^lgateway.toml:2:3: Key "[a-z-]+" in \[\[lua\]\] does nothing under --sandbox: scripts in the sandbox .*"sandbox = false"/,
        ] as const,
    ),
    [
      Array.from(
        { length: 16 },
        (_, i) => `[[lua]]\nprefix = "/${i}"\nscript = "a"\nmemory = "${i + 16}M"\n`,
      ).join(''),
      /^lgateway.toml:61:3: Key "memory" in \[\[lua\]\] is the 17th size and the limit is 16, with that of all/,
    ],
    ['[[lua]]\nprefix = "/"\nscript = "http://a"', /^lgateway.toml:3:1: .*is no file; \[\[proxy\]\] passes/],
    [
      '[[lua]]\nprefix = "/"\nscript = "a"\n[[static]]\nprefix = "//"\nfolder = "b"',
      /^lgateway.toml:5:1: Prefix "\/" is mapped twice, first at lgateway.toml:1:3: the second/,
    ],
    [
      'script = "a.lua"\n[[lua]]\nprefix = "/"\nscript = "a"',
      /^lgateway.toml:2:3: Prefix "\/" is mapped twice, by key "script" \(lgateway.toml:1:1\)/,
    ],
    [
      '[[proxy]]\nprefix = "/"\ntargets = ["http://a", "b"]',
      /^lgateway.toml:3:1: Key "targets" .* not \["http:\/\/a","b"\]$/,
    ],
    [
      '[[proxy]]\nprefix = "/"\ntargets = "http://a"\nheaders.Host = "x"',
      /^lgateway.toml:4:1: .*"Host", which is left to the gateway$/,
    ],
    [
      '[[proxy]]\nprefix = "/"\ntargets = "http://a"\nheaders."a b" = false',
      /has "a b", which is no name of a field$/,
    ],
    [
      '[[proxy]]\nprefix = "/"\ntargets = "http://a"\nheaders.A = "x\\r\\ny: z"',
      /wants a text in plain ASCII/,
    ],
    [
      `[[proxy]]\nprefix = "/"\ntargets = "http://a"\nheaders.A = [${'"x",'.repeat(1001)}]`,
      /^lgateway.toml:4:1: Key "headers" in \[\[proxy\]\] has 1001 fields and the limit is 1000$/,
    ],
    [
      '[[proxy]]\nprefix = "/"\ntargets = "http://a"\nretries = 9',
      /wants a whole number from 0 to 8, not 9$/,
    ],
    [
      '[[proxy]]\nprefix = "/"\ntargets = "http://a"\n[proxy.tls]\nverfy = true',
      /^lgateway.toml:5:1: Unknown key "verfy" in tls in \[\[proxy\]\]; did you mean "verify"\?$/,
    ],
    [
      '[[proxy]]\nprefix = "/"\ntargets = "http://a"\ntls = { ca = "none.pem" }',
      /^lgateway.toml:4:9: Cannot read the authorities: ENOENT/,
    ],
    [
      '[[listen]]\nport = 1\n[[listen]]\nport = 1\naddress = "::1"',
      /^lgateway.toml:4:1: Port 1 in \[\[listen\]\] is taken by the one at lgateway.toml:1:3/,
    ],
    [
      '[[listen]]\nport = 1\nproxy-protocol = true',
      /^Key "proxy-protocol" in \[\[listen\]\] goes with --proxy-trusted: /,
    ],
    [`${'[[listen]]\nport = 0\n'.repeat(17)}`, /has 17 tables and the limit is 16$/],
  ] as const)
    test(text.replaceAll('\n', ' ¶ ').slice(0, 90), async () => {
      const faults = await faultsOf(text);
      equal(faults.length, 1, faults.join('\n'));
      match(faults[0] ?? '', expected);
    });

  test('shows the first hundred faults', async () => {
    const faults = await faultsOf(Array.from({ length: 150 }, (_, i) => `unknown-${i} = 1`).join('\n'));
    equal(faults.length, 101);
    equal(faults.at(-1), 'There are 50 more faults');
  });

  test('is refused as a whole where it is no file, not UTF-8, or larger than any', async () => {
    for (const [text, message] of [
      [Buffer.from([0x61, 0xff]), /^Cannot read the configuration file ".*": /],
      ['#'.repeat(1024 * 1024 + 1), /has 1048577 bytes and the limit is 1048576$/],
      [`a = [${'1,'.repeat(20_000)}]`, /has 20001 keys and entries, and the limit is 20000$/],
    ] as const)
      await rejects(() => read(text), { message });
    deepEqual((await faultsOf(`#${'#'.repeat(1024 * 1024 - 1)}`)).length, 0);
    const given = join(folder, 'sub');
    mkdirSync(given);
    const words = (file: string): ReadonlyMap<string, string[][]> => new Map([['config', [[file]]]]);
    await rejects(() => configure(words(given), {}), { message: /is no regular file$/ });
    await rejects(() => configure(words(join(folder, 'none.toml')), {}), { message: /ENOENT/ });
  });

  test('has the faults of command line and environment beside its own', async () => {
    deepEqual(await faultsOf('workers = 0', '-p x', { LGATEWAY_COMPRESS: 'maybe', LGATEWAY_MAX_HEAD: '1' }), [
      'Variable LGATEWAY_COMPRESS wants 1, true, yes or on, or 0, false, no or off, not "maybe"',
      'Option -p (--port) wants a port from 0 to 65535, not "x"',
      'Variable LGATEWAY_MAX_HEAD wants a size from 1K to 1M (a number of bytes, or one with K, M or G), not "1"',
      'lgateway.toml:1:1: Key "workers" wants a whole number from 1 to 256, not 0',
    ]);
  });
});
