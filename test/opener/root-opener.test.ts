/** RootOpener and its process: what it opens, what it refuses, what it has, and its end. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { RefusedOpenError } from '../../src/base/open-file.ts';
import { duplicateDescriptor } from '../../src/native/posix.ts';
import { sendMessage } from '../../src/native/unix-messages.ts';
import { type NamedFile, requestMessage } from '../../src/opener/opener-messages.ts';
import { RootOpener } from '../../src/opener/root-opener.ts';
import { changeableFolder } from '../../src/opener/safe-way.ts';
import { childrenOf } from '../support/upgrading-gateway.ts';

const NOBODY = 65_534;

let folder: string;
/** An opener lets its process end, and a test waits for it. */
let held: NodeJS.Timeout;
const open: RootOpener[] = [];

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-opener-'));
  held = setInterval(() => undefined, 1000);
});
afterEach(() => {
  for (const opener of open.splice(0)) opener.close();
});
after(() => {
  clearInterval(held);
  rmSync(folder, { recursive: true });
});

const file = (name: string): string => join(folder, name);

interface Started {
  readonly opener: RootOpener;
  readonly ended: Promise<string>;
  readonly pid: number;
}

function start(...files: readonly NamedFile[]): Started {
  const before = new Set(childrenOf(process.pid));
  let tell: (reason: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const opener = RootOpener.start({ files, uid: NOBODY, ended: tell });
  open.push(opener);
  const pid = childrenOf(process.pid).find((one) => !before.has(one)) ?? 0;
  return { opener, ended, pid };
}

function content(opener: RootOpener, path: string): string {
  const descriptor = opener.open(path, 'read');
  try {
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

const refused = (code: string, reason: RegExp) => (error: unknown) =>
  error instanceof RefusedOpenError && error.code === code && reason.test(error.message);

test('The opener opens what has the name now, makes log files, and says what the system says of others', () => {
  const [key, log, none] = [file('key'), file('log'), file('none')];
  writeFileSync(key, 'one', { mode: 0o600 });
  const { opener } = start(
    { path: key, kind: 'read' },
    { path: log, kind: 'append' },
    { path: none, kind: 'read' },
    { path: folder, kind: 'read' },
  );
  equal(content(opener, key), 'one');
  const { ino } = opener.look(key);
  writeFileSync(file('new'), 'two');
  renameSync(file('new'), key);
  equal(content(opener, key), 'two');
  ok(opener.look(key).ino !== ino);
  for (const line of ['first\n', 'second\n']) {
    const descriptor = opener.open(log, 'append');
    writeSync(descriptor, line);
    closeSync(descriptor);
  }
  equal(readFileSync(log, 'utf8'), 'first\nsecond\n');
  throws(() => opener.open(none, 'read'), refused('ENOENT', /no such file/));
  throws(() => opener.look(none), refused('ENOENT', /no such file/));
  throws(() => opener.open(folder, 'read'), refused('EACCES', /^it is no regular file$/));
  // a file to be read is not written, and no other name is sent at all
  throws(() => opener.open(key, 'append'), refused('EACCES', /was not named when the gateway started/));
  throws(() => opener.open('/etc/shadow', 'read'), refused('EACCES', /a restart is needed/));
});

test('The opener has two capabilities at most, gains none, and has no environment and no file of the gateway', async () => {
  const held = file('held');
  writeFileSync(held, '');
  for (const [kind, capabilities] of [
    ['read', 0b100n],
    ['append', 0b110n],
  ] as const) {
    const { opener, pid } = start({ path: held, kind });
    // it has begun its second life when it answers
    opener.look(held);
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const mask = (name: string): bigint =>
      BigInt(`0x${new RegExp(`^${name}:\\t([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? 'f'.repeat(16)}`);
    equal(mask('CapBnd') & ~capabilities, 0n);
    equal(mask('CapPrm') & ~capabilities, 0n);
    equal(mask('CapInh'), 0n);
    match(status, /^NoNewPrivs:\t1$/m);
    // Node hands on where coverage is counted, whatever the environment is
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    deepEqual(
      environment.filter((entry) => !entry.startsWith('NODE_V8_COVERAGE=')),
      [''],
    );
    if (process.getuid?.() !== 0) continue;
    const links = readdirSync(`/proc/${pid}/fd`).map((name) => linkOf(pid, name));
    deepEqual(
      links.filter((link) => link.startsWith('/')),
      ['/dev/null', '/dev/null', '/dev/null'],
    );
    equal(links.filter((link) => link.startsWith('socket:')).length, 1);
    equal(linkOf(pid, '../cwd'), '/');
  }
});

test('Whatever is no request for a file of the list ends the opener, and the gateway hears of it', async () => {
  const path = file('wrong');
  writeFileSync(path, '');
  const request = requestMessage({ action: 'open', number: 0, serial: 1 });
  const outside = requestMessage({ action: 'open', number: 1, serial: 1 });
  const unknown = Buffer.from(request);
  unknown.writeUInt32LE(3, 0);
  for (const wrong of [
    outside,
    unknown,
    request.subarray(1),
    Buffer.concat([request, Buffer.of(0)]),
    Buffer.alloc(60_000),
  ]) {
    const { opener, ended } = start({ path, kind: 'read' });
    equal(sendMessage(opener.descriptor ?? -1, wrong), undefined);
    equal(await ended, 'it ended with code 2');
    throws(
      () => opener.open(path, 'read'),
      refused('EACCES', /is gone \(it ended with code 2\), and a restart/),
    );
  }
  // a descriptor that comes along is no request either
  const { opener, ended } = start({ path, kind: 'read' });
  equal(sendMessage(opener.descriptor ?? -1, request, 0), undefined);
  equal(await ended, 'it ended with code 2');
});

test('An opener that was killed is told of once, and what it would have opened is refused', async () => {
  const path = file('killed');
  writeFileSync(path, 'text');
  const { opener, ended, pid } = start({ path, kind: 'read' });
  equal(content(opener, path), 'text');
  // it is for the end of the gateway to end it
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.kill(pid, signal);
  equal(content(opener, path), 'text');
  process.kill(pid, 'SIGKILL');
  equal(await ended, 'it ended with SIGKILL');
  throws(() => opener.look(path), refused('EACCES', /the process that opens files as root is gone/));
});

test('A successor uses the same opener, whose predecessor asks nothing meanwhile', () => {
  const path = file('handed');
  writeFileSync(path, 'text');
  const { opener } = start({ path, kind: 'read' });
  opener.pause();
  throws(() => opener.open(path, 'read'), refused('EACCES', /an upgrade is under way/));
  const copy = RootOpener.adopt(duplicate(opener), opener.files, () => undefined);
  open.push(copy);
  equal(content(copy, path), 'text');
  opener.resume();
  // the reply to a successor that has failed is not taken for one's own
  sendMessage(copy.descriptor ?? -1, requestMessage({ action: 'open', number: 0, serial: 77 }));
  equal(content(opener, path), 'text');
  opener.close();
  equal(content(copy, path), 'text');
});

test('No name is opened whose way the user of the gateway may change', (t) => {
  if (process.getuid?.() !== 0) {
    t.diagnostic('only root can make files of other users');
    return;
  }
  const [own, safe, shared] = [file('own'), file('safe'), file('shared')];
  for (const path of [own, safe, shared]) mkdirSync(path);
  chownSync(own, NOBODY, NOBODY);
  chmodSync(shared, 0o1777);
  mkdirSync(join(shared, 'roots'));
  const secret = file('secret');
  writeFileSync(secret, 'secret', { mode: 0o600 });
  symlinkSync(secret, join(own, 'link'));
  symlinkSync(secret, join(safe, 'direct'));
  symlinkSync('../own/link', join(safe, 'around'));
  symlinkSync(join(safe, 'loop'), join(safe, 'loop'));
  writeFileSync(join(shared, 'file'), '');
  writeFileSync(join(shared, 'roots/file'), '');
  const names = [
    'own/link',
    'safe/around',
    'safe/direct',
    'safe/loop',
    'shared/file',
    'shared/roots/file',
  ].map(file);
  const { opener } = start(...names.map((path) => ({ path, kind: 'read' as const })), {
    path: join(own, 'log'),
    kind: 'append',
  });
  const [byOwn = '', around = '', direct = '', loop = '', inShared = '', below = ''] = names;
  throws(() => opener.open(byOwn, 'read'), refused('EACCES', /^user 65534 may change the folder ".*\/own"$/));
  throws(() => opener.open(around, 'read'), refused('EACCES', /may change the folder ".*\/own"$/));
  throws(() => opener.look(around), refused('EACCES', /may change the folder ".*\/own"$/));
  throws(
    () => opener.open(join(own, 'log'), 'append'),
    refused('EACCES', /may change the folder ".*\/own"$/),
  );
  throws(() => opener.open(loop, 'read'), refused('ELOOP', /links/));
  // a second name of another file could stand there
  throws(() => opener.open(inShared, 'read'), refused('EACCES', /may change the folder ".*\/shared"$/));
  equal(content(opener, direct), 'secret');
  equal(content(opener, below), '');
  chmodSync(safe, 0o775);
  throws(() => opener.open(direct, 'read'), refused('EACCES', /may change the folder ".*\/safe"$/));
  equal(changeableFolder(join(safe, 'none'), NOBODY), safe);
  equal(changeableFolder(file('none/below'), NOBODY), undefined);
});

function linkOf(pid: number, name: string): string {
  return readlinkSync(`/proc/${pid}/fd/${name}`);
}

function duplicate(opener: RootOpener): number {
  return duplicateDescriptor(opener.descriptor ?? -1);
}
