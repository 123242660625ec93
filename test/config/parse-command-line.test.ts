/** The command line: what each option sets, and the one line that each mistake gets. */

import { deepEqual, equal, match, notDeepEqual, ok } from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../src/config/config.ts';
import { ALL_OPTIONS } from '../../src/config/options.ts';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import { DEFAULT_BALANCE_SETTINGS, DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import { DEFAULT_SCRIPT_RIGHTS } from '../../src/mapping/script-rights.ts';
import { DEFAULT_COMPRESSION } from '../../src/settings/compression.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { DEFAULT_LOG_SETTINGS as LOGS } from '../../src/settings/log-settings.ts';
import { testCertificate } from '../support/certificate.ts';

function withCertificates(...pairs: (readonly [certificate: string, key: string])[]): Config['tls'] {
  const certificates = pairs.map(([certificate, key]) => ({ certificate, key }));
  return { certificates, strictSni: false, profile: 'intermediate', hsts: undefined };
}

function withHsts(hsts: string): Config['tls'] {
  return { ...withCertificates(), hsts };
}

const DEFAULTS: Config = {
  mappings: [],
  folders: [],
  scripts: [],
  proxies: [],
  tls: { certificates: [], strictSni: false, profile: 'intermediate', hsts: undefined },
  acme: undefined,
  listen: { address: undefined, port: 8443 },
  cleartext: undefined,
  user: undefined,
  root: undefined,
  workers: availableParallelism(),
  daemon: false,
  pidFile: undefined,
  admin: undefined,
  adminTokenFile: undefined,
  logFile: undefined,
  logLevel: 'info',
  accessLog: false,
  logs: LOGS,
  compression: DEFAULT_COMPRESSION,
  limits: DEFAULT_LIMITS,
  rights: DEFAULT_SCRIPT_RIGHTS,
  shared: [],
};

const MIB = 1024 * 1024;

function configOf(...words: string[]): Config {
  const result = parseCommandLine(words);
  if (result.kind !== 'run') throw new Error(JSON.stringify(result));
  return result.config;
}

function textOf(...words: string[]): string {
  const result = parseCommandLine(words, { shell: '/bin/bash' });
  if (result.kind !== 'text') throw new Error(JSON.stringify(result));
  return result.text;
}

/** Command lines, and the values in which the configuration differs from the defaults. */
const ACCEPTED: readonly (readonly [line: string, difference: Partial<Config>])[] = [
  ['', {}],
  ['-l /app app.lua', { mappings: [{ prefix: '/app', script: 'app.lua' }] }],
  ['--lua /app app.lua', { mappings: [{ prefix: '/app', script: 'app.lua' }] }],
  [
    '-l / a.lua -p 1 -l b b.lua -l //c//d/ a.lua',
    {
      mappings: [
        { prefix: '/', script: 'a.lua' },
        { prefix: '/b', script: 'b.lua' },
        { prefix: '/c/d', script: 'a.lua' },
      ],
      limits: { ...DEFAULT_LIMITS, unreadBodyBytesMax: 192 * MIB },
      listen: { address: undefined, port: 1 },
    },
  ],
  ['--script app.lua', { mappings: [{ prefix: '/', script: 'app.lua' }] }],
  ['--script app.lua --mode luvit', { mappings: [{ prefix: '/', script: 'app.lua', mode: 'luvit' }] }],
  [
    '-l /a a.lua -l /b b.lua -l /c c.lua --mode luars --mode /b=luvit --mode c=lhttpd',
    {
      mappings: [
        { prefix: '/a', script: 'a.lua', mode: 'luars' },
        { prefix: '/b', script: 'b.lua', mode: 'luvit' },
        { prefix: '/c', script: 'c.lua', mode: 'lhttpd' },
      ],
      limits: { ...DEFAULT_LIMITS, unreadBodyBytesMax: 192 * MIB },
    },
  ],
  ['-c cert.pem -k key.pem', { tls: withCertificates(['cert.pem', 'key.pem']) }],
  ['-c a -k b -c c -k d', { tls: withCertificates(['a', 'b'], ['c', 'd']) }],
  ['-c a -c c -k b -k d', { tls: withCertificates(['a', 'b'], ['c', 'd']) }],
  [
    '--strict-sni --tls-profile modern --ocsp',
    { tls: { certificates: [], strictSni: true, profile: 'modern', hsts: undefined, ocsp: true } },
  ],
  ['--hsts 300', { tls: withHsts('max-age=300') }],
  ['--hsts 0300;includeSubDomains;preload', { tls: withHsts('max-age=300; includeSubDomains; preload') }],
  ['--http-redirect 8080', { redirect: { address: undefined, port: 8080 } }],
  ['--http-redirect [::1]:0', { redirect: { address: '::1', port: 0 } }],
  [
    '--client-ca ca.pem',
    { listen: { address: undefined, port: 8443, client: { ca: 'ca.pem', verify: 'require' } } },
  ],
  [
    '--client-ca ca.pem --client-verify optional -p 1',
    { listen: { address: undefined, port: 1, client: { ca: 'ca.pem', verify: 'optional' } } },
  ],
  ['--cert=a=b --key k', { tls: withCertificates(['a=b', 'k']) }],
  ['-a 127.0.0.1', { listen: { address: '127.0.0.1', port: 8443 } }],
  ['--address ::1 --port 0', { listen: { address: '::1', port: 0 } }],
  ['-p 65535', { listen: { address: undefined, port: 65535 } }],
  ['-p8080', { listen: { address: undefined, port: 8080 } }],
  ['-p=8080', { listen: { address: undefined, port: 8080 } }],
  ['-u www-data', { user: 'www-data' }],
  ['-uwww-data', { user: 'www-data' }],
  ['-u 0', { user: '0' }],
  ['-r /srv', { root: '/srv' }],
  ['--root 00', { root: '00' }],
  ['-w 1', { workers: 1 }],
  ['--workers 256', { workers: 256 }],
  ['-D', { daemon: true }],
  ['--watch', { watch: true }],
  ['-f', {}],
  ['-f -f', {}],
  ['--pid-file /run/x.pid', { pidFile: '/run/x.pid' }],
  ['--admin 9443', { admin: { kind: 'tcp', address: '127.0.0.1', port: 9443 } }],
  ['--admin 127.1.2.3:0', { admin: { kind: 'tcp', address: '127.1.2.3', port: 0 } }],
  ['--admin [::1]:9443', { admin: { kind: 'tcp', address: '::1', port: 9443 } }],
  [
    '--admin unix:/run/a.sock --admin-token-file t',
    { admin: { kind: 'unix', path: '/run/a.sock' }, adminTokenFile: 't' },
  ],
  ['-d', { logLevel: 'debug' }],
  ['-d -f', { logLevel: 'debug' }],
  ['-df', { logLevel: 'debug' }],
  ['-fd5', { logLevel: 'debug' }],
  ['-d 5 -f', { logLevel: 'debug' }],
  ['-d 6', { logLevel: 'debug' }],
  ['-d 4', {}],
  ['-d 0', {}],
  ['--debug=0', {}],
  ['--log-level warn', { logLevel: 'warn' }],
  ['--log-file /var/log/lgateway.log', { logFile: '/var/log/lgateway.log' }],
  ['--access-log', { accessLog: true }],
  ['--access-log -f', { accessLog: true }],
  ['--access-log app.lua', { accessLog: true, mappings: [{ prefix: '/', script: 'app.lua' }] }],
  ['--access-log=stdout', { accessLog: true, logs: { ...LOGS, accessTarget: { kind: 'stdout' } } }],
  [
    '--access-log=file:/var/log/a --log-rotate 100M,7',
    {
      accessLog: true,
      logs: {
        ...LOGS,
        accessTarget: { kind: 'file', path: '/var/log/a' },
        rotation: { bytesMax: 100 * MIB, count: 7 },
      },
    },
  ],
  ...(
    [
      ['journald', { kind: 'journald' }],
      ['syslog', { kind: 'syslog', path: '/dev/log' }],
      ['syslog:unix:/run/log', { kind: 'syslog', path: '/run/log' }],
      ['syslog:stream:/run/log', { kind: 'stream', path: '/run/log' }],
      ['syslog:udp://192.0.2.1:514', { kind: 'udp', host: '192.0.2.1', port: 514 }],
      ['syslog:udp://[::1]:514', { kind: 'udp', host: '::1', port: 514 }],
    ] as const
  ).map(
    ([text, accessTarget]) =>
      [`--access-log=${text}`, { accessLog: true, logs: { ...LOGS, accessTarget } }] as const,
  ),
  ['--log-format pino', { logs: { ...LOGS, format: 'pino', accessFormat: 'pino' } }],
  [
    '--log-format json --access-log --access-log-format text --log-target=stdout',
    { accessLog: true, logs: { ...LOGS, format: 'json', target: { kind: 'stdout' } } },
  ],
  [
    '--log-target syslog --access-log',
    {
      accessLog: true,
      logs: {
        ...LOGS,
        target: { kind: 'syslog', path: '/dev/log' },
        accessTarget: { kind: 'syslog', path: '/dev/log' },
      },
    },
  ],
  [
    '--log-file x --log-rotate 64K',
    { logFile: 'x', logs: { ...LOGS, rotation: { bytesMax: 65_536, count: 5 } } },
  ],
  [
    '--access-log --access-log-format json --log-fields status,request.user-agent --access-log-sample 0.01',
    {
      accessLog: true,
      logs: {
        ...LOGS,
        accessFormat: 'json',
        accessFields: ['status', 'request.user-agent'],
        accessSample: 0.01,
      },
    },
  ],
  [
    '--access-log --access-log-format {status}-{path}',
    { accessLog: true, logs: { ...LOGS, accessFormat: { template: '{status}-{path}' } } },
  ],
  [
    '--lua-path /a/?.lua;b/?/init.lua',
    { rights: { ...DEFAULT_SCRIPT_RIGHTS, luaPath: '/a/?.lua;b/?/init.lua' } },
  ],
  ['--allow-bytecode', { rights: { ...DEFAULT_SCRIPT_RIGHTS, allowsBytecode: true } }],
  [
    '-r /srv --allow-run cat,/bin/ls',
    { root: '/srv', rights: { ...DEFAULT_SCRIPT_RIGHTS, commands: ['cat', '/bin/ls'] } },
  ],
  [
    '--allow-connect public,db.example:5432',
    { rights: { ...DEFAULT_SCRIPT_RIGHTS, connect: ['public', 'db.example:5432'] } },
  ],
  [
    '--sandbox --allow-connect none',
    { rights: { ...DEFAULT_SCRIPT_RIGHTS, sandboxed: true, connect: ['none'] } },
  ],
  ['--shared visits', { shared: [{ name: 'visits', bytes: 16 * 1024 * 1024 }] }],
  ['--shared=visits=64K', { shared: [{ name: 'visits', bytes: 64 * 1024 }] }],
  [
    '--shared a.b-C_1=1M --shared b=256M',
    {
      shared: [
        { name: 'a.b-C_1', bytes: 1024 * 1024 },
        { name: 'b', bytes: 256 * 1024 * 1024 },
      ],
    },
  ],
  ['--allow-env HOME', { rights: { ...DEFAULT_SCRIPT_RIGHTS, variables: ['HOME'] } }],
  ['--http 8080', { cleartext: { address: undefined, port: 8080 } }],
  ['--http 127.0.0.1:0', { cleartext: { address: '127.0.0.1', port: 0 } }],
  ['--http [::1]:80', { cleartext: { address: '::1', port: 80 } }],
  ['--proxy-protocol --proxy-trusted ::1', { proxyProtocol: true, trustedProxies: ['::1'] }],
  ['--idle-timeout 5', { limits: { ...DEFAULT_LIMITS, idleTimeoutMs: 5000 } }],
  ['--handshake-timeout 0.25', { limits: { ...DEFAULT_LIMITS, handshakeTimeoutMs: 250 } }],
  ['--head-timeout 86400', { limits: { ...DEFAULT_LIMITS, headTimeoutMs: 86_400_000 } }],
  ['--min-body-rate 0', { limits: { ...DEFAULT_LIMITS, bodyRateMin: 0 } }],
  ['--min-body-rate 1048576', { limits: { ...DEFAULT_LIMITS, bodyRateMin: 1_048_576 } }],
  ['--stall-timeout 0.001', { limits: { ...DEFAULT_LIMITS, stallTimeoutMs: 1 } }],
  ['--drain-timeout 0', { limits: { ...DEFAULT_LIMITS, drainTimeoutMs: 0 } }],
  ['--drain-grace 2.5', { limits: { ...DEFAULT_LIMITS, drainGraceMs: 2500 } }],
  ['--max-head 64K', { limits: { ...DEFAULT_LIMITS, headBytesMax: 65_536 } }],
  ['--max-head 1024', { limits: { ...DEFAULT_LIMITS, headBytesMax: 1024 } }],
  ['--max-head 1m', { limits: { ...DEFAULT_LIMITS, headBytesMax: 1_048_576 } }],
  ['--max-body 2G', { limits: { ...DEFAULT_LIMITS, bodyBytesMax: 2 ** 31 } }],
  ['--max-body 0', { limits: { ...DEFAULT_LIMITS, bodyBytesMax: Number.POSITIVE_INFINITY } }],
  ['--max-log 0', { limits: { ...DEFAULT_LIMITS, logBytesPerSecond: Number.POSITIVE_INFINITY } }],
  ['--max-log 1K', { limits: { ...DEFAULT_LIMITS, logBytesPerSecond: 1024 } }],
  ['--heartbeat-limit 1', { limits: { ...DEFAULT_LIMITS, heartbeatLimitMs: 1000 } }],
  ['--heartbeat-limit 0', { limits: { ...DEFAULT_LIMITS, heartbeatLimitMs: Number.POSITIVE_INFINITY } }],
  ['--mapping-share 1', { limits: { ...DEFAULT_LIMITS, mappingSharePercent: 1 } }],
  ['--mapping-share 100', { limits: { ...DEFAULT_LIMITS, mappingSharePercent: 100 } }],
  ['--cache-size 1M', { limits: { ...DEFAULT_LIMITS, cacheBytesMax: MIB } }],
  ['--cache-size 1T', { limits: { ...DEFAULT_LIMITS, cacheBytesMax: 1024 * 1024 * MIB } }],
  ['--max-unread-bodies 1M', { limits: { ...DEFAULT_LIMITS, unreadBodyBytesMax: MIB } }],
  ['--max-unread-bodies 1T', { limits: { ...DEFAULT_LIMITS, unreadBodyBytesMax: 1024 * 1024 * MIB } }],
  ['--memory 32M', { limits: { ...DEFAULT_LIMITS, memoryBytesMax: 32 * MIB, unreadBodyBytesMax: 8 * MIB } }],
  [
    '--memory 2097088K',
    { limits: { ...DEFAULT_LIMITS, memoryBytesMax: 2047.9375 * MIB, unreadBodyBytesMax: 256 * MIB } },
  ],
  ['--max-streams 1', { limits: { ...DEFAULT_LIMITS, streamsMax: 1 } }],
  ['--max-connections 1000000', { limits: { ...DEFAULT_LIMITS, connectionsMax: 1_000_000 } }],
  ['--max-connections-per-address 6', { limits: { ...DEFAULT_LIMITS, connectionsPerAddressMax: 6 } }],
];

describe('parseCommandLine() accepts', () => {
  for (const [line, difference] of ACCEPTED)
    test(line === '' ? 'an empty command line' : line, () => {
      deepEqual(configOf(...line.split(' ').filter(Boolean)), { ...DEFAULTS, ...difference });
    });

  test('values with spaces, quotation marks and letters beyond ASCII', () => {
    deepEqual(configOf('-l', '/ä b', 'my "app".lua').mappings, [{ prefix: '/ä b', script: 'my "app".lua' }]);
  });
});

/** Command lines, and a part of the message that refuses them. */
const BESIDE =
  'is a script beside another one, and only one can be without a prefix; -l PREFIX SCRIPT serves each of several';
const ALONE = 'belongs to no option; a script alone ends in .lua, and -l PREFIX SCRIPT serves any';

const REFUSED: readonly (readonly [line: string, message: string | RegExp])[] = [
  ['-l', 'Option -l (--lua) wants 2 values, PREFIX SCRIPT, and nothing follows it'],
  ['-l /x', 'Option -l (--lua) wants 2 values, PREFIX SCRIPT, and got "/x"'],
  ['-l /x -c a -k b', 'Option -l (--lua) wants 2 values, PREFIX SCRIPT, and got "/x"'],
  ['--mode', 'Option --mode wants [PREFIX=]MODE and nothing follows it'],
  ['-l -l /x x.lua', /-l \(--lua\) wants 2 values.* nothing follows it$/],
  ['-l /x x.lua stray', 'Option -l (--lua) wants 2 values, PREFIX SCRIPT, and got "/x" "x.lua" "stray"'],
  ['-l /a a.lua -l /b', /-l \(--lua\) wants 2 values.* got "\/b"$/],
  ['-l /a a.lua -l a/ b.lua', /names the prefix "\/a" twice, for "a.lua" and "b.lua"/],
  ['-l /a?b a.lua', /-l \(--lua\) wants a path as PREFIX.* not "\/a\?b"$/],
  ['-l /a/../b a.lua', /-l \(--lua\) wants a path as PREFIX.* not "\/a\/..\/b"$/],
  ['--script a.lua -l / b.lua', /names the prefix "\/" twice/],
  ['--mode perl -l / a.lua', /--mode wants one of lhttpd, luars, luvit.* not "perl"$/],
  ['--mode /x=luvit -l / a.lua', /--mode names the prefix "\/x", which no -l has$/],
  [
    '--mode luars',
    'Option --mode goes with -l (--lua) or -s (--script): the scripts of the package have theirs',
  ],
  ['--mode luvit --mode luars -l / a.lua', /--mode names a mode for the same scripts twice/],
  [
    '--allow-connect unix:run/db.sock',
    /--allow-connect wants all, none, or names.* not "unix:run\/db.sock"$/,
  ],
  ['--allow-connect none,public', /--allow-connect wants all, none, or names.* not "none,public"$/],
  ['--allow-connect x:65536', /--allow-connect wants all, none, or names.* not "x:65536"$/],
  ['-c', 'Option -c (--cert) wants a file name, and nothing follows it'],
  ['-c -k key.pem', 'Option -c (--cert) wants a file name, and nothing follows it'],
  ['-c cert.pem', 'Options -c (--cert) and -k (--key) go together, and -k (--key) is missing'],
  ['-k key.pem', 'Options -c (--cert) and -k (--key) go together, and -c (--cert) is missing'],
  ['-c a -c b -k c', 'Options -c (--cert) and -k (--key) go together, and 2 certificates have 1 keys'],
  [
    '--hsts 1;all',
    'Option --hsts wants seconds from 0 to 63072000, perhaps with ;includeSubDomains and ;preload behind them, not "1;all"',
  ],
  [
    '-p 80 --http-redirect 80',
    'Options -p (--port) and --http-redirect ask for the same port, 80: one is for TLS and one for cleartext, so each needs its own',
  ],
  ['--client-verify optional', 'Option --client-verify goes with --client-ca, which is not given'],
  ['--tls-profile best', 'Option --tls-profile wants one of modern, intermediate, old, not "best"'],
  ['-p abc', 'Option -p (--port) wants a port from 0 to 65535, not "abc"'],
  ['-p 65536', 'Option -p (--port) wants a port from 0 to 65535, not "65536"'],
  ['-p -1', 'Option -p (--port) wants a port from 0 to 65535, not "-1"'],
  ['-p 1e3', /wants a port.* not "1e3"$/],
  ['-p 0x50', /wants a port.* not "0x50"$/],
  ['-p 80.0', /wants a port.* not "80.0"$/],
  ['-p', /wants a port.* nothing follows it$/],
  ['-p 1 --port 2', 'Option -p (--port) is given 2 times and counts once'],
  ['-a localhost', /-a \(--address\) wants an IPv4 or IPv6 address.* not "localhost"$/],
  ['-a 1.2.3.x', /wants an IPv4 or IPv6 address.* not "1.2.3.x"$/],
  ['-a [::1]', /wants an IPv4 or IPv6 address.* not "\[::1\]"$/],
  ['-u', /-u \(--user\) wants a user name, and nothing follows it$/],
  ['-u --', /-u \(--user\) wants a user name, not "--"$/],
  ['-r -f', /-r \(--root\) wants a directory, and nothing follows it$/],
  ['-d abc', 'Option -d (--debug) wants a whole number from 0 to 99, not "abc"'],
  ['-d -1', /-d \(--debug\) wants a whole number.* not "-1"$/],
  ['-d -d', 'Option -d (--debug) is given 2 times and counts once'],
  ['-d --log-level warn', 'Options -d (--debug) and --log-level exclude each other'],
  ['--log-level loud', 'Option --log-level wants one of error, warn, info, debug, not "loud"'],
  ['--log-target log', /--log-target wants stdout, stderr, journald, syslog.* not "log"$/],
  ['--log-target file:/x', /--log-target wants stdout, .* not "file:\/x"$/],
  ['--log-target syslog:stream:log', /--log-target wants stdout, .* not "syslog:stream:log"$/],
  ['--log-format combined', 'Option --log-format wants one of text, pino, json, not "combined"'],
  ['--log-target stdout --log-file x', /--log-file and --log-target exclude each other: messages go to one/],
  [
    '--log-target journald --log-format json',
    'Option --log-format has no meaning for journald, which gets fields',
  ],
  [
    '--log-target journald --access-log --access-log-format json',
    'Option --access-log-format has no meaning for journald, which gets fields',
  ],
  ['--access-log=no', /--access-log wants log, file:\/PATH, stdout, stderr, journald, syslog.* not "no"$/],
  ['--access-log=syslog:udp://host:514', /--access-log wants .* not "syslog:udp:\/\/host:514"$/],
  ['--access-log=syslog:udp://127.0.0.1:0', /--access-log wants .* not "syslog:udp:/],
  [`--access-log=syslog:unix:/${'x'.repeat(107)}`, /--access-log wants /],
  [
    '--access-log=journald --access-log-format json',
    'Option --access-log-format has no meaning for journald, which gets fields',
  ],
  ['--access-log stdout', 'The word "stdout" belongs to no option'],
  ['--access-log=file:relative', /--access-log wants .* not "file:relative"$/],
  ['--access-log --access-log-format {x}', /--access-log-format wants one of text, pino.* not "{x}"$/],
  ['--access-log --log-fields status,request.cookie', /--log-fields wants .* secrets are not logged, not/],
  ['--access-log --log-fields status,status', /--log-fields wants .* not "status,status"$/],
  ['--access-log --access-log-sample 1.5', /--access-log-sample wants a number from 0 to 1.* not "1.5"$/],
  ['--log-fields status', 'Option --log-fields goes with --access-log, which is not given'],
  [
    '--access-log --access-log-format combined --log-fields status',
    'Options --access-log-format and --log-fields exclude each other: the format names its fields itself',
  ],
  ['--access-log --log-rotate 1M', 'Option --log-rotate goes with a log file, and none is given'],
  ['--log-file x --log-rotate 63K', /--log-rotate wants SIZE or SIZE,COUNT.* not "63K"$/],
  ['--log-file x --log-rotate 1M,0', /--log-rotate wants SIZE or SIZE,COUNT.* not "1M,0"$/],
  ['-f -D', 'Options -f (--foreground) and -D (--daemon) exclude each other'],
  [
    '--watch -D',
    'Options --watch and -D (--daemon) exclude each other: watching is for development; ask for a reload by SIGHUP or lgateway reload',
  ],
  ['-fD', 'Options -f (--foreground) and -D (--daemon) exclude each other'],
  ['--daemon=no', 'Option -D (--daemon) takes no value, not "--daemon=no"'],
  ['--daemon false', 'The word "false" belongs to no option'],
  ['-w 0', 'Option -w (--workers) wants a whole number from 1 to 256, not "0"'],
  ['-w 257', 'Option -w (--workers) wants a whole number from 1 to 256, not "257"'],
  ['-w 1.5', /-w \(--workers\) wants a whole number.* not "1.5"$/],
  ['--http 65536', /--http wants \[?ADDRESS.* not "65536"$/],
  ['--http localhost:80', /--http wants .* not "localhost:80"$/],
  ['--http ::1:80', /--http wants .* not "::1:80"$/],
  ['--http [127.0.0.1]:80', /--http wants .* not "\[127.0.0.1\]:80"$/],
  ['--http 127.0.0.1', /--http wants .* not "127.0.0.1"$/],
  ['--idle-timeout 0', /--idle-timeout wants a number of seconds from 0.001 to 86400, not "0"$/],
  ['--min-body-rate -1', /--min-body-rate wants .* not "-1"$/],
  ['--min-body-rate 1048577', /--min-body-rate wants .* not "1048577"$/],
  ['--min-body-rate 500B', /--min-body-rate wants .* not "500B"$/],
  ['--idle-timeout 86401', /--idle-timeout wants .* not "86401"$/],
  ['--idle-timeout 5s', /--idle-timeout wants .* not "5s"$/],
  ['--idle-timeout Infinity', /--idle-timeout wants .* not "Infinity"$/],
  ['--shared a=1K', /^Option --shared wants NAME or NAME=SIZE, .* a size from 64K to 256M.* not "a=1K"$/],
  ['--shared a=0', /a size from 64K to 256M \(a number of bytes, or one with K, M or G\), not "a=0"$/],
  ['--shared a=1Q', /^Option --shared wants .*, not "a=1Q"$/],
  ['--shared a=1G', /^Option --shared wants .*, not "a=1G"$/],
  ['--shared a=257M', /not "a=257M"$/],
  ['--shared a=', /not "a="$/],
  ['--shared =1M', /not "=1M"$/],
  ['--shared a/b=1M', /not "a\/b=1M"$/],
  [`--shared ${'x'.repeat(64)}`, /--shared wants NAME/],
  ['--shared a=1M --shared a=2M', 'Option --shared names "a" twice'],
  [
    Array.from({ length: 65 }, (_, i) => `--shared d${i}`).join(' '),
    'Option --shared is given 65 times and the limit is 64',
  ],
  [
    '--proxy-protocol',
    'Option --proxy-protocol goes with --proxy-trusted: without it nobody may say for whom a connection is',
  ],
  ['--max-head 1023', /--max-head wants a size from 1K to 1M.* not "1023"$/],
  ['--max-head 1048577', /--max-head wants .* not "1048577"$/],
  ['--max-head 64Q', /--max-head wants .* not "64Q"$/],
  ['--max-body 1.5G', /--max-body wants .* not "1.5G"$/],
  ['--max-body 9000000T', /--max-body wants .* not "9000000T"$/],
  ['--max-log 1KB', /--max-log wants a size .* not "1KB"$/],
  [
    '--heartbeat-limit 0.999',
    'Option --heartbeat-limit wants a number of seconds from 1 to 86400, or 0 for no limit, not "0.999"',
  ],
  ['--mapping-share 0', 'Option --mapping-share wants a whole number from 1 to 100, not "0"'],
  ['--mapping-share 101', 'Option --mapping-share wants a whole number from 1 to 100, not "101"'],
  ['--cache-size 0', /--cache-size wants a size from 1M to 1T .* not "0"$/],
  ['--cache-size 1023K', /--cache-size wants .* not "1023K"$/],
  ['--cache-size 1025G', /--cache-size wants .* not "1025G"$/],
  ['--max-unread-bodies 0', /--max-unread-bodies wants a size from 1M to 1T .* not "0"$/],
  ['--max-unread-bodies 1023K', /--max-unread-bodies wants .* not "1023K"$/],
  ['--max-unread-bodies 1025G', /--max-unread-bodies wants .* not "1025G"$/],
  ['--max-unread-bodies', /--max-unread-bodies wants .* and nothing follows it$/],
  ['--max-streams 0', /--max-streams wants .* not "0"$/],
  ['--max-streams 10001', /--max-streams wants .* not "10001"$/],
  ['--max-connections 0', /--max-connections wants .* not "0"$/],
  ['--max-connections-per-address 0', /--max-connections-per-address wants .* not "0"$/],
  ['--max-connections-per-address 1000001', /--max-connections-per-address wants .* not "1000001"$/],
  ['--max-connections-per-address 1.5', /--max-connections-per-address wants .* not "1.5"$/],
  ['a.lua b.lua', `The word "a.lua" ${BESIDE}`],
  ['a.lua -p 80 b.lua', `The word "a.lua" ${BESIDE}`],
  ['app.lua -s b.lua', `The word "app.lua" ${BESIDE}`],
  ['app.lua -l / b.lua', /names the prefix "\/" twice, for "b.lua" and "app.lua"/],
  ['-l /b b.lua app.lua', 'Option -l (--lua) wants 2 values, PREFIX SCRIPT, and got "/b" "b.lua" "app.lua"'],
  ['app.lu', `The word "app.lu" ${ALONE}`],
  ['bin/app', `The word "bin/app" ${ALONE}`],
  ['app', 'The word "app" belongs to no option'],
  ['--http 8443', /^Options -p \(--port\) and --http ask for the same port, 8443: /],
  ['-p 80 -a 127.0.0.1 --http 80', /ask for the same port, 80: /],
  ['-p 80 --http 127.0.0.1:80', /ask for the same port, 80: /],
  ['-- -f', 'The word "-f" belongs to no option'],
  ['-', 'The word "-" belongs to no option'],
  ['completion bash', 'The word "bash" belongs to no option'],
  ['--prot 80', 'There is no option "--prot"; --help lists all'],
  ['--wor 2', 'There is no option "--wor"; --help lists all'],
  ['--no-daemon', 'There is no option "--no-daemon"; --help lists all'],
  [
    '--admin 0.0.0.0:9443',
    'Option --admin wants PORT, ADDRESS:PORT with an address of this machine alone (127.0.0.1:9443, [::1]:9443), or unix:/PATH of at most 107 bytes, not "0.0.0.0:9443"',
  ],
  [
    '--admin 192.0.2.1:9443',
    'Option --admin wants PORT, ADDRESS:PORT with an address of this machine alone (127.0.0.1:9443, [::1]:9443), or unix:/PATH of at most 107 bytes, not "192.0.2.1:9443"',
  ],
  [
    '--admin [::]:9443',
    'Option --admin wants PORT, ADDRESS:PORT with an address of this machine alone (127.0.0.1:9443, [::1]:9443), or unix:/PATH of at most 107 bytes, not "[::]:9443"',
  ],
  [
    '--admin unix:admin.sock',
    'Option --admin wants PORT, ADDRESS:PORT with an address of this machine alone (127.0.0.1:9443, [::1]:9443), or unix:/PATH of at most 107 bytes, not "unix:admin.sock"',
  ],
  [
    '--admin unix:/',
    'Option --admin wants PORT, ADDRESS:PORT with an address of this machine alone (127.0.0.1:9443, [::1]:9443), or unix:/PATH of at most 107 bytes, not "unix:/"',
  ],
  ['--admin-token-file t', 'Option --admin-token-file goes with --admin, which is not given'],
  ['--pidFile x', 'There is no option "--pidFile"; --help lists all'],
  ['--l / x', 'There is no option "--l"; --help lists all'],
  ['--static-listing', 'Option --static-listing goes with a folder behind -l (--lua), and none is given'],
  ['-l / http://x:y', /^Option -l \(--lua\): Cannot use "http:\/\/x:y" as a target: it has to be/],
  ['-l / http://a,b', /Cannot use "b" as a target/],
  [`-l / ${new Array(65).fill('http://a').join(',')}`, /names 65 targets and the limit is 64/],
  [
    '--proxy-timeout 5',
    /^Option --proxy-timeout goes with http:\/\/HOST:PORT behind -l \(--lua\), and none is given/,
  ],
  ['-l / http://a --proxy-trusted 10.0.0.0/99', /^Option --proxy-trusted wants addresses and networks/],
  ['-l / http://a --proxy-forwarded no', /^Option --proxy-forwarded wants one of x, rfc7239, both, none/],
  ['-l / http://a --proxy-host a/b', /^Option --proxy-host wants keep, target/],
  ['-l / http://a*101', /gives "http:\/\/a" the weight 101, and it has to be a whole number from 1 to 100/],
  ['-l / http://a --proxy-balance x', /^Option --proxy-balance wants random2, least, hash, hash:path/],
  ['-l / http://a --proxy-balance hash:a/b', /^Option --proxy-balance wants random2/],
  ['-l / http://a --proxy-check up', /^Option --proxy-check wants a path that begins with a slash/],
  [
    '-l / http://a --proxy-check-interval 1',
    /--proxy-check-interval goes with --proxy-check, which is not given/,
  ],
  ['-l / http://a --proxy-retries 9', /^Option --proxy-retries wants a whole number from 0 to 8/],
  ['-l / http://a --proxy-servername a/b', /^Option --proxy-servername wants a name or an address/],
  ['--proxy-no-verify', /^Option --proxy-no-verify goes with http:\/\/HOST:PORT/],
  ['-l / a.lua --static-index a', /^Option --static-index goes with a folder/],
  ...['.hidden', 'a/b', 'a,,b', '..', 'a,b,c,d,e,f,g,h,i'].map(
    (names) =>
      [`-l / a/ --static-index ${names}`, /^Option --static-index wants none, or up to 8 names/] as const,
  ),
  ['-l / a/ --static-cache-control a\u0001', /^Option --static-cache-control wants the value of a field/],
  ['--limits.x 1', 'There is no option "--limits.x"; --help lists all'],
  ['--__proto__ 1', 'There is no option "--__proto__"; --help lists all'],
  ['--_=1', 'There is no option "--_"; --help lists all'],
  ['-x', 'There is no option "-x"; --help lists all'],
  ['-fx', 'There is no option "-fx"; --help lists all'],
];

describe('parseCommandLine() refuses', () => {
  for (const [line, message] of REFUSED)
    test(line, () => {
      const result = parseCommandLine(line.split(' '));
      ok(result.kind === 'usage-error', JSON.stringify(result));
      if (typeof message === 'string') equal(result.message, message);
      else match(result.message, message);
      equal(result.message.split('\n').length, 1);
    });

  test('empty values', () => {
    for (const words of [['-l', '', 'a.lua'], ['-l', '/', ''], ['-u', ''], [''], ['-c', '', '-k', 'k']])
      equal(parseCommandLine(words).kind, 'usage-error', JSON.stringify(words));
  });

  test('with one line, whatever characters the word has', () => {
    const result = parseCommandLine(['-p', 'a\nb\x1b[0m']);
    ok(result.kind === 'usage-error');
    equal(result.message, 'Option -p (--port) wants a port from 0 to 65535, not "a\\nb\\u001b[0m"');
  });
});

describe('parseCommandLine() takes targets', () => {
  test('in the place of a script, several separated by commas', () => {
    const { mappings, proxies } = configOf('-l', '/api', 'http://127.0.0.1:3000,unix:/run/app.sock');
    deepEqual(mappings, [
      { prefix: '/api', script: 'http://127.0.0.1:3000,unix:/run/app.sock', kind: 'proxy' },
    ]);
    deepEqual(proxies, [
      {
        ...DEFAULT_PROXY_RULES,
        balance: DEFAULT_BALANCE_SETTINGS,
        health: undefined,
        place: { prefix: '/api' },
        targets: [
          { url: 'http://127.0.0.1:3000', weight: 1 },
          { url: 'unix:/run/app.sock', weight: 1 },
        ],
      },
    ]);
  });

  test('with options that hold for all of them', () => {
    const words = ['-l', '/a', 'http://a', '-l', '/b', 'https://b/base'];
    const given = ['--proxy-host', 'in.example:80', '--proxy-forwarded', 'both', '--proxy-timeout', '0.5'];
    const { proxies } = configOf(...words, ...given, '--proxy-trusted', '10.0.0.0/8');
    deepEqual(
      proxies.map(({ host, forwarded, timeouts, trusted }) => [host, forwarded, timeouts.headMs, trusted]),
      new Array(2).fill(['in.example:80', 'both', 500, ['10.0.0.0/8']]),
    );
  });

  test('with weights, and with options that balance, check and trust servers', () => {
    const times = [
      '--proxy-connect-timeout',
      '1',
      '--proxy-idle-timeout',
      '2',
      '--proxy-tunnel-timeout',
      '3',
    ];
    const tls = ['--proxy-ca', 'ca.pem', '--proxy-servername', 'in.example', '--proxy-no-verify'];
    const checks = ['--proxy-check', '/up?x=1', '--proxy-check-interval', '0.5', '--proxy-retries', '0'];
    const words = ['-l', '/', 'http://a:1*3,h2c://b:2', '--proxy-balance', 'hash:X-User'];
    const [proxy] = configOf(...words, ...times, ...tls, ...checks).proxies;
    deepEqual(proxy?.targets, [
      { url: 'http://a:1', weight: 3 },
      { url: 'h2c://b:2', weight: 1 },
    ]);
    deepEqual(proxy?.timeouts, {
      connectMs: 1000,
      headMs: 30_000,
      idleMs: 2000,
      totalMs: undefined,
      tunnelMs: 3000,
    });
    deepEqual(proxy?.tls, { ca: 'ca.pem', servername: 'in.example', verify: false });
    deepEqual(proxy?.balance, { kind: 'hash', key: { by: 'field', name: 'x-user' } });
    deepEqual(
      [proxy?.retries, proxy?.health],
      [0, { path: '/up?x=1', intervalMs: 500, timeoutMs: 2000, status: undefined, fall: 3, rise: 2 }],
    );
    for (const [text, by] of [
      ['hash', 'address'],
      ['hash:path', 'path'],
    ] as const)
      deepEqual(configOf('-l', '/', 'http://a', '--proxy-balance', text).proxies[0]?.balance, {
        kind: 'hash',
        key: { by },
      });
  });
});

describe('parseCommandLine() takes a folder', () => {
  const settings = { index: ['index.html'], listing: false, cacheControl: undefined };

  test('by the slash at the end of its name, and by what the disk says', () => {
    const here = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');
    for (const script of ['public/', here]) {
      const { mappings, folders } = configOf('-l', '/f', script);
      deepEqual(mappings, [{ prefix: '/f', script, kind: 'static' }]);
      deepEqual(folders, [{ prefix: '/f', ...settings }]);
    }
    const at = here.lastIndexOf('/');
    const [root, script] = [here.slice(0, at), here.slice(at)];
    equal(configOf('-r', root, '-l', '/f', script).mappings[0]?.kind, 'static');
    equal(configOf('-l', '/f', script).mappings[0]?.kind, undefined);
  });

  test('with options that hold for all folders', () => {
    const words = ['-l', '/', 'a.lua', '-l', '/a', 'a/', '-l', '/b', 'b/'];
    const given = [
      '--static-index',
      'a.html,b.html',
      '--static-listing',
      '--static-cache-control',
      'max-age=60, public',
    ];
    const all = { index: ['a.html', 'b.html'], listing: true, cacheControl: 'max-age=60, public' };
    deepEqual(configOf(...words, ...given).folders, [
      { prefix: '/a', ...all },
      { prefix: '/b', ...all },
    ]);
    deepEqual(configOf('-l', '/', 'a/', '--static-index', 'none').folders[0]?.index, []);
  });

  test('without a part in the memory for unread bodies', () => {
    const { unreadBodyBytesMax } = configOf('-l', '/', 'a.lua').limits;
    equal(configOf('-l', '/', 'a.lua', '-l', '/b', 'b/').limits.unreadBodyBytesMax, unreadBodyBytesMax);
  });
});

describe('parseCommandLine() takes', () => {
  test('a script without an option beside those of -l', () => {
    const result = parseCommandLine('app.lua -l /b b.lua'.split(' '));
    ok(result.kind === 'run', JSON.stringify(result));
    deepEqual(result.config.mappings, [
      { prefix: '/b', script: 'b.lua' },
      { prefix: '/', script: 'app.lua' },
    ]);
  });

  for (const line of ['app.lua', 'app.lua -p 80', '-p 80 app.lua', '-f -- app.lua'])
    test(`a script without an option: ${line}`, () => {
      const result = parseCommandLine(line.split(' '));
      ok(result.kind === 'run', JSON.stringify(result));
      deepEqual(result.config.mappings, [{ prefix: '/', script: 'app.lua' }]);
    });

  for (const line of ['-p 0 --http 0', '-p 80 -a 127.0.0.1 --http 127.0.0.2:80', '--http 8080'])
    test(`two ports that do not meet: ${line}`, () => {
      equal(parseCommandLine(line.split(' ')).kind, 'run');
    });
});

describe('the option table', () => {
  test('has no option that is read and has no effect', () => {
    const FOLDER = ['-l', '/', 'public/'];
    const PROXY = ['-l', '/', 'http://127.0.0.1:3000'];
    const ACME = ['--acme', 'a.example'];
    const samples: Readonly<Record<string, readonly string[]>> = {
      lua: ['-l', '/x', 'x.lua'],
      cert: ['-c', 'c', '-k', 'k'],
      key: ['-c', 'c', '-k', 'k2'],
      'tls-profile': ['--tls-profile', 'old'],
      acme: ['--acme', 'a.example'],
      'acme-directory': [...ACME, '--acme-directory', 'https://acme.example/'],
      'acme-email': [...ACME, '--acme-email', 'a@example.com'],
      'acme-eab-id': [...ACME, '--acme-eab-id', 'id', '--acme-eab-key', 'file'],
      'acme-eab-key': [...ACME, '--acme-eab-id', 'id', '--acme-eab-key', 'file'],
      'acme-folder': [...ACME, '--acme-folder', 'folder'],
      'acme-ca': [...ACME, '--acme-ca', 'ca.pem'],
      'acme-challenge': [...ACME, '--http', '1', '--acme-challenge', 'http-01'],
      'http-redirect': ['--http-redirect', '80'],
      'client-verify': ['--client-ca', 'ca.pem', '--client-verify', 'optional'],
      store: ['--store', 'redis://redis.example'],
      'store-ca': ['--store', 'rediss://redis.example', '--store-ca', testCertificate().certPath],
      'store-secret': ['--store', 'redis://redis.example', '--store-secret', testCertificate().certPath],
      address: ['-a', '::1'],
      port: ['-p', '1'],
      workers: ['-w', '200'],
      'log-level': ['--log-level', 'error'],
      'admin-token-file': ['--admin', '1', '--admin-token-file', 't'],
      http: ['--http', '1'],
      memory: ['--memory', '64M'],
      'cache-size': ['--cache-size', '1M'],
      'max-unread-bodies': ['--max-unread-bodies', '1M'],
      'mapping-share': ['--mapping-share', '40'],
      'compress-types': ['--compress-types', 'text/html'],
      'allow-run': ['-r', '.', '--allow-run', 'cat'],
      mode: ['-l', '/', 'a.lua', '--mode', '/=luvit'],
      'log-target': ['--log-target', 'journald'],
      'log-format': ['--log-format', 'json'],
      'log-rotate': ['--log-file', 'x', '--log-rotate', '1M'],
      'access-log': ['-f', '--access-log=stdout'],
      'access-log-format': ['--access-log', '--access-log-format', 'combined'],
      'log-fields': ['--access-log', '--log-fields', 'status'],
      'access-log-sample': ['--access-log', '--access-log-sample', '0.5'],
      'proxy-timeout': [...PROXY, '--proxy-timeout', '7'],
      'proxy-host': [...PROXY, '--proxy-host', 'target'],
      'proxy-forwarded': [...PROXY, '--proxy-forwarded', 'none'],
      'proxy-trusted': [...PROXY, '--proxy-trusted', '10.0.0.0/8,::1'],
      'proxy-protocol': ['--proxy-protocol', '--proxy-trusted', '10.0.0.0/8'],
      'proxy-connect-timeout': [...PROXY, '--proxy-connect-timeout', '7'],
      'proxy-idle-timeout': [...PROXY, '--proxy-idle-timeout', '7'],
      'proxy-tunnel-timeout': [...PROXY, '--proxy-tunnel-timeout', '7'],
      'proxy-retries': [...PROXY, '--proxy-retries', '2'],
      'proxy-balance': [...PROXY, '--proxy-balance', 'least'],
      'proxy-check': [...PROXY, '--proxy-check', '/up'],
      'proxy-check-interval': [...PROXY, '--proxy-check', '/up', '--proxy-check-interval', '7'],
      'proxy-ca': [...PROXY, '--proxy-ca', 'ca.pem'],
      'proxy-servername': [...PROXY, '--proxy-servername', 'a.example'],
      'proxy-no-verify': [...PROXY, '--proxy-no-verify'],
      'proxy-cache': [...PROXY, '--proxy-cache'],
      'static-index': [...FOLDER, '--static-index', 'main.html'],
      'static-listing': [...FOLDER, '--static-listing'],
      'static-cache-control': [...FOLDER, '--static-cache-control', 'no-cache'],
    };
    for (const option of ALL_OPTIONS) {
      // another test covers these by name, or they only repeat the default
      if (['help', 'version', 'config', 'foreground'].includes(option.name)) continue;
      const words =
        samples[option.name] ??
        (option.kind === 'flag' ? [] : ['7777'].slice(option.name === 'debug' ? 1 : 0));
      const given = words.length > 1 ? words : [`--${option.name}`, ...words];
      const expected =
        option.name === 'mode'
          ? configOf('-l', '/', 'a.lua')
          : option.group === 'Folders'
            ? configOf(...FOLDER)
            : option.group === 'Proxy'
              ? configOf(...PROXY)
              : DEFAULTS;
      notDeepEqual(configOf(...given), expected, option.name);
    }
  });

  test('shows defaults that can be given as values', () => {
    for (const option of ALL_OPTIONS)
      if ('default' in option && option.name !== 'workers') {
        deepEqual(
          configOf(`--${option.name}`, String(option.kind === 'value' && option.defaultText)),
          DEFAULTS,
          option.name,
        );
      }
  });

  test('has every name and letter once', () => {
    const spelled = ALL_OPTIONS.flatMap(({ name, short }) => (short === undefined ? [name] : [name, short]));
    equal(new Set(spelled).size, spelled.length);
  });
});

describe('--help', () => {
  test('names every option with its values, groups and examples', () => {
    const help = textOf('--help');
    for (const option of ALL_OPTIONS)
      match(help, new RegExp(`^ +(-${option.short}, )?--${option.name} `, 'm'));
    for (const heading of ['Scripts:', 'TLS:', 'Network:', 'Limits:', 'Examples:'])
      ok(help.includes(`\n${heading}\n`), heading);
    match(help, /-p, --port +PORT: [^-]*\(default: 8443\)/);
    ok(help.endsWith('\n'));
  });

  test('keeps to the width of the terminal', () => {
    for (const columns of [60, 80, 120]) {
      const result = parseCommandLine(['-h'], { columns });
      ok(result.kind === 'text');
      ok(Math.max(...result.text.split('\n').map((line) => line.length)) <= columns);
    }
  });

  test('is shown even beside mistakes, and in English whatever the locale', () => {
    const before = process.env['LC_ALL'];
    process.env['LC_ALL'] = 'de_DE.UTF-8';
    try {
      equal(textOf('-p', 'abc', '--help'), textOf('-h'));
      ok(textOf('-h').includes('Examples:'));
    } finally {
      if (before === undefined) delete process.env['LC_ALL'];
      else process.env['LC_ALL'] = before;
    }
  });
});

test('--version prints the version of package.json', () => {
  match(textOf('--version'), /^lgateway \d+\.\d+\.\d+\n$/);
});
