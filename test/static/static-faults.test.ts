/** What a static mapping answers when files change, lead elsewhere or cannot be had: the real program, its disk and its limits. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { GatewayFolder } from '../support/run-gateway.ts';
import { askSession, PROTOCOLS, TestGateway, WAIT_MAX_MS } from '../support/test-gateway.ts';

const OLD = new Date('2024-05-06T07:08:09Z');
/** Above what is kept as a whole, and above what answers from memory. */
const MIDDLE_BYTES = 200 * 1024;
const LARGE_BYTES = 3 * 1024 * 1024;

let gateway: TestGateway;

function prepare(folder: GatewayFolder): void {
  const at = (name: string): string => folder.file(`one/${name}`);
  for (const name of ['', 'dir', '.git', 'listed', 'listed/sub', 'pair', 'pair.gz'])
    mkdirSync(at(name), { recursive: true });
  mkdirSync(folder.file('two'));
  const write = (name: string, content: string | Buffer): void => {
    writeFileSync(at(name), content);
    utimesSync(at(name), OLD, OLD);
  };
  write('ghost.js.gz', 'no original');
  write('dir.gz', 'beside a folder');
  write('dir/main.htm', 'second name');
  write('folder-beside.js', 'plain');
  mkdirSync(at('folder-beside.js.gz'));
  write('.secret', 'secret');
  write('.git/config', 'secret');
  symlinkSync('.secret', at('to-secret.txt'));
  symlinkSync('.git', at('to-git'));
  symlinkSync('to-secret.txt', at('to-link.txt'));
  write('middle.bin', Buffer.alloc(MIDDLE_BYTES, 'm'));
  write('large.bin', Buffer.alloc(LARGE_BYTES, 'l'));
  write('small.txt', 'small');
  write('coded.js', 'plain');
  write('coded.js.gz', 'of gzip');
  write('listed/<b>&"\'.txt', 'odd');
  write('listed/a:b.txt', 'colon');
  write('listed/.hidden', 'secret');
  symlinkSync('../../cert.pem', at('listed/outside'));
  symlinkSync('../.secret', at('listed/dotted'));
  symlinkSync('../small.txt', at('listed/link.txt'));
  execFileSync('mkfifo', [at('listed/fifo')]);
  writeFileSync(folder.file('two/small.txt'), 'other');
  symlinkSync('one', folder.file('current'));
}

before(async () => {
  const options = ['--static-index', 'index.html,main.htm', '--static-listing'];
  const cached = ['--static-cache-control', 'max-age=60, public'];
  gateway = await TestGateway.start(
    {},
    {
      words: ['-l', '/s', '$FOLDER/one', '-l', '/current', '$FOLDER/current', ...options, ...cached],
      apart: true,
      prepare,
    },
  );
});
after(() => gateway.stop());

/** Asks until the answer is as wanted: what was found counts for a second. */
async function untilText(path: string, text: string): Promise<void> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const got = await gateway.ask('h2', path);
    if (got.text === text) return;
    assert.ok(performance.now() < limit, `${path} is still ${got.status} ${got.text.slice(0, 80)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Its tag, when the file has changed long enough ago to have a strong one. */
async function strongTag(path: string): Promise<string> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const { etag } = (await gateway.ask('h2', path, { method: 'HEAD' })).headers;
    if (etag?.startsWith('"')) return etag;
    assert.ok(performance.now() < limit, `${path} still has the tag ${etag}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

for (const protocol of PROTOCOLS) {
  test(`A precompressed form counts beside its file only (${protocol})`, async () => {
    const headers = { 'accept-encoding': 'gzip' };
    assert.equal((await gateway.ask(protocol, '/s/ghost.js', { headers })).status, 404);
    assert.equal((await gateway.ask(protocol, '/s/ghost.js.gz')).text, 'no original');
    for (const name of ['dir', 'pair']) {
      const folder = await gateway.ask(protocol, `/s/${name}`, { headers });
      assert.deepEqual([folder.status, folder.headers['location']], [308, `/s/${name}/`]);
    }
    assert.equal((await gateway.ask(protocol, '/s/folder-beside.js', { headers })).text, 'plain');
  });

  test(`A link does not lead to a hidden name (${protocol})`, async () => {
    for (const path of ['to-secret.txt', 'to-link.txt', 'to-git', 'to-git/', 'to-git/config'])
      assert.equal((await gateway.ask(protocol, `/s/${path}`)).status, 404, path);
  });

  test(`Files of every size have the same rules (${protocol})`, async () => {
    for (const [name, size] of [
      ['small.txt', 5],
      ['middle.bin', MIDDLE_BYTES],
      ['large.bin', LARGE_BYTES],
    ] as const) {
      const tag = await strongTag(`/s/${name}`);
      const whole = await gateway.ask(protocol, `/s/${name}`);
      assert.equal(whole.headers['etag'], tag);
      assert.deepEqual([whole.status, whole.body.length], [200, size], name);
      assert.equal(whole.headers['cache-control'], 'max-age=60, public');
      assert.equal(whole.headers['last-modified'], OLD.toUTCString());
      const head = await gateway.ask(protocol, `/s/${name}`, { method: 'HEAD' });
      assert.deepEqual({ ...head.headers, date: '' }, { ...whole.headers, date: '' });
      const known = await gateway.ask(protocol, `/s/${name}`, { headers: { 'if-none-match': tag } });
      assert.equal(known.status, 304, name);
      assert.equal(known.headers['cache-control'], 'max-age=60, public');
      const part = await gateway.ask(protocol, `/s/${name}`, { headers: { range: 'bytes=-3' } });
      assert.deepEqual([part.status, part.body.equals(whole.body.subarray(-3))], [206, true], name);
      assert.equal(part.headers['content-range'], `bytes ${size - 3}-${size - 1}/${size}`);
      const beyond = await gateway.ask(protocol, `/s/${name}`, { headers: { range: `bytes=${size}-` } });
      assert.deepEqual([beyond.status, beyond.headers['content-range']], [416, `bytes */${size}`]);
      assert.equal(
        (await gateway.ask(protocol, `/s/${name}`, { headers: { 'if-match': '"x"' } })).status,
        412,
      );
    }
    await gateway.untilIdle();
  });

  test(`A folder without an index file is listed, and nothing in the list is markup or hidden (${protocol})`, async () => {
    assert.equal((await gateway.ask(protocol, '/s/dir/')).text, 'second name');
    const list = await gateway.ask(protocol, '/s/listed/');
    assert.equal(list.status, 200);
    assert.equal(list.headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(list.headers['cache-control'], 'no-cache');
    assert.equal(list.headers['last-modified'], undefined);
    const links = [...list.text.matchAll(/<a href="([^"]*)">/g)].map(([, link]) => link);
    assert.deepEqual(links, ['../', './%3Cb%3E%26%22%27.txt', './a%3Ab.txt', './link.txt', './sub/']);
    assert.doesNotMatch(list.text, /<b>|hidden|outside|dotted|fifo/);
    const again = await gateway.ask(protocol, '/s/listed/', {
      headers: { 'if-none-match': list.headers['etag'] as string },
    });
    assert.equal(again.status, 304);
  });
}

test('The tag of a file is another one after each change, also with the same size and time', async () => {
  for (const size of [10, MIDDLE_BYTES]) {
    const name = gateway.folder.file('one/changing.bin');
    const tags = new Set<string>();
    for (const letter of ['a', 'b']) {
      const content = letter.repeat(size);
      writeFileSync(`${name}.new`, content);
      utimesSync(`${name}.new`, OLD, OLD);
      renameSync(`${name}.new`, name);
      await untilText('/s/changing.bin', content);
      tags.add(await strongTag('/s/changing.bin'));
    }
    assert.equal(tags.size, 2, String(size));
  }
});

test('What has just been written has no strong validator that its next content may share', async () => {
  const name = gateway.folder.file('one/fresh.bin');
  writeFileSync(name, Buffer.alloc(MIDDLE_BYTES, 'f'));
  const soon = new Date(Date.now() + 3_600_000);
  utimesSync(name, soon, soon);
  const { headers } = await gateway.ask('h2', '/s/fresh.bin');
  assert.match(headers['etag'] as string, /^W\//);
  assert.equal(headers['last-modified'], undefined);
  const part = { range: 'bytes=0-1', 'if-range': soon.toUTCString() };
  assert.equal((await gateway.ask('h2', '/s/fresh.bin', { headers: part })).status, 200);
  const tagged = { range: 'bytes=0-1', 'if-range': headers['etag'] as string };
  assert.equal((await gateway.ask('h2', '/s/fresh.bin', { headers: tagged })).status, 200);
});

test('Changes show within a moment: new content, a form that comes and goes, a file that is removed', async () => {
  const name = gateway.folder.file('one/live.txt');
  writeFileSync(name, 'first');
  await untilText('/s/live.txt', 'first');
  writeFileSync(name, 'other');
  await untilText('/s/live.txt', 'other');
  const headers = { 'accept-encoding': 'br' };
  const untilCoding = async (coding: string | undefined): Promise<void> => {
    const limit = performance.now() + WAIT_MAX_MS;
    while ((await gateway.ask('h2', '/s/live.txt', { headers })).headers['content-encoding'] !== coding) {
      assert.ok(performance.now() < limit, `the coding is not ${coding}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await untilCoding(undefined);
  writeFileSync(`${name}.br`, 'of br');
  await untilCoding('br');
  rmSync(`${name}.br`);
  await untilCoding(undefined);
  rmSync(name);
  const limit = performance.now() + WAIT_MAX_MS;
  while ((await gateway.ask('h2', '/s/live.txt')).status !== 404) assert.ok(performance.now() < limit);
  await gateway.untilIdle();
});

test('The folder may be a link that is turned to another folder', async () => {
  await untilText('/current/small.txt', 'small');
  symlinkSync('two', gateway.folder.file('current.new'));
  renameSync(gateway.folder.file('current.new'), gateway.folder.file('current'));
  await untilText('/current/small.txt', 'other');
});

/** Lets the process have so many descriptors; the hard limit stays. */
function limitDescriptors(count: number | undefined): void {
  const { pid } = gateway.process;
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${count ?? 4096}:`]);
}

test('Without a descriptor left the answer is 503, with an id that the log has, also where a form lies beside the file', async () => {
  const session = await gateway.session();
  const open = readdirSync(`/proc/${gateway.process.pid}/fd`).map(Number);
  try {
    // the lowest number that is free is above all: nothing can be opened
    limitDescriptors(3);
    for (const [path, headers] of [
      ['/s/small.txt?new', {}],
      ['/s/coded.js', { 'accept-encoding': 'gzip' }],
      ['/s/listed/', {}],
      ['/s/large.bin', {}],
    ] as const) {
      // what was found before may still count
      let got = await askSession(session, path, { headers });
      const limit = performance.now() + WAIT_MAX_MS;
      while (got.status === 200 && performance.now() < limit) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        got = await askSession(session, path, { headers });
      }
      assert.equal(got.status, 503, path);
      const id = /Error id: ([\w-]+)/.exec(got.text)?.[1];
      assert.ok(id !== undefined, got.text);
      await gateway.untilLog(new RegExp(`File not sent .*request=${id}.*Too many open files`));
      assert.ok(got.headers['retry-after'] !== undefined);
    }
  } finally {
    limitDescriptors(undefined);
  }
  assert.ok(open.length > 3);
  assert.equal(
    (await askSession(session, '/s/coded.js', { headers: { 'accept-encoding': 'gzip' } })).text,
    'of gzip',
  );
  session.destroy();
  await gateway.untilIdle();
});

test('A directory is a folder without a slash at the end of its name, and the log says so', () => {
  assert.match(gateway.log, /Folder found mapping=\/s folder=\S*one/);
  assert.doesNotMatch(gateway.log, /Script loaded/);
});

test('Many requests for one file that nobody has asked for yet are one look', async () => {
  const name = gateway.folder.file('one/together.txt');
  writeFileSync(name, 'together');
  const session = await gateway.session();
  const answers = await Promise.all(Array.from({ length: 60 }, () => askSession(session, '/s/together.txt')));
  assert.deepEqual(new Set(answers.map(({ text }) => text)), new Set(['together']));
  session.destroy();
  await gateway.untilIdle();
});
