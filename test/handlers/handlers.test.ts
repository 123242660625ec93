/** The scripts that are served without `-l`, requested by programs: answers, limits, refusals, escaping. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readyMadeMappings } from '../../src/config/ready-made-mappings.ts';
import { runShell } from '../support/run-shell.ts';
import { sha256 } from '../support/sha256.ts';
import { HandlersGateway } from './handlers-gateway.ts';

const PLACES_MAX = 8;
const HTML = "-H 'accept: text/html'";
/** The mapping of a folder, whose files no script makes. */
const SITE = '/site';

/** Interval between two looks at the timer, which fires each second; a busy machine gets half a minute. */
const TICK_MS = 100;
const TICKS_MAX = 300;

let gateway: HandlersGateway;

before(async () => {
  gateway = new HandlersGateway(1);
  await gateway.process.ready();
});
after(() => gateway.stop());

function dataFiles(): string[] {
  return readdirSync(join(gateway.handlers, 'data')).filter(
    (name) => !/^(README\.md|form-.*|\..*)$/.test(name),
  );
}

test('Every handler answers the line of its first comment', async () => {
  writeFileSync(gateway.folder.file('photo.jpg'), randomBytes(3000));
  for (const { prefix, script } of readyMadeMappings(gateway.handlers)) {
    if (prefix === SITE) continue;
    const [, ask = ''] = /^-- ((?:curl|nghttp) .*)$/m.exec(readFileSync(script, 'utf8')) ?? [];
    assert.notEqual(ask, '', `${script} shows no line`);
    const isStream = ask.includes('/stream');
    const command = ask
      .replace('localhost:8443', `localhost:${gateway.process.port}`)
      .replace('certs/development/certificate.pem', gateway.folder.certificate)
      .replace('curl', `${isStream ? 'timeout 60 ' : ''}curl -sS --fail`);
    // curl ends when nobody takes the next line of a stream
    const line = isStream ? `${command} | head -n 1` : command;
    const { code, stdout, stderr } = await runShell(line, gateway.folder.path);
    assert.equal(code, 0, `${line}: ${stderr}`);
    assert.ok(stdout.length > 0, line);
  }
});

test('hello greets by name, the world without one, and refuses a broken query', async () => {
  assert.equal(await gateway.text('', '/hello'), 'Hello, world!\n');
  assert.equal(await gateway.text('', '/hello?name=Ada'), 'Hello, Ada!\n');
  assert.equal(await gateway.text("-o /dev/null -w '%{http_code}'", '/hello?name=%zz'), '400');
});

test('Every page forbids other sources, sniffing and framing, and holds no element that needs them', async () => {
  const pages = readyMadeMappings(gateway.handlers)
    .map(({ prefix }) => prefix)
    .filter((prefix) => prefix !== SITE);
  const answers = await gateway.askAll(pages.map((prefix) => [`-i ${HTML}`, prefix]));
  for (const [i, prefix] of pages.entries()) {
    const answer = answers[i]?.text ?? '';
    assert.match(answer, /^content-security-policy: default-src 'none';.*frame-ancestors 'none'/im, prefix);
    assert.match(answer, /^x-content-type-options: nosniff/im, prefix);
    assert.doesNotMatch(answer, /<(?:script|img|link|iframe)[^>]+(?:src|href)="(?!data:)/i, prefix);
    assert.doesNotMatch(answer, /\son\w+="|\sstyle="/i, prefix);
  }
});

test('The welcome page links to every other handler and says how it was reached', async () => {
  const http2 = await gateway.text(HTML, '/');
  for (const { prefix } of readyMadeMappings(gateway.handlers)) {
    if (prefix !== '/') assert.ok(http2.includes(`href="${prefix}"`), prefix);
  }
  assert.match(http2, /<b>HTTP\/2<\/b>/);
  assert.match(await gateway.text(`--http1.1 ${HTML}`, '/'), /<b>HTTP\/1\.1<\/b>/);
});

test('Pages escape what a client has chosen', async () => {
  const evil = '<script>alert(1)</script>';
  const page = await gateway.text(`${HTML} -H 'x-evil: ${evil}'`, '/environment');
  assert.ok(page.includes('&lt;script&gt;alert(1)&lt;/script&gt;'));
  assert.ok(!page.includes(evil));
  await gateway.text('-T photo.jpg', `/upload?name=${encodeURIComponent(evil)}`);
  const list = await gateway.text('', '/upload/list');
  // the part of the name after the last slash
  assert.ok(list.includes('script&gt;'));
  assert.ok(!list.includes('<script'));
});

test('upload stores the body and names its SHA-256; the download has the same bytes', async () => {
  for (const [size, words] of [
    [0, '--http1.1'],
    [1, '--http2'],
    [65_536, '--http1.1'],
    [1_000_003, '--http2'],
  ] as const) {
    const sent = randomBytes(size);
    writeFileSync(gateway.folder.file('sent.bin'), sent);
    const answer = await gateway.text(`-i ${words} --data-binary @sent.bin`, '/upload?name=sent.bin');
    assert.match(answer, /^HTTP\/\S+ 201/);
    assert.ok(answer.endsWith(`\r\n\r\n${sha256(sent)}  sent.bin\n`), answer);
    const location = /^location: (\S+)/im.exec(answer)?.[1] ?? '';
    const download = await gateway.curl('', location);
    assert.ok(download.stdout.equals(sent));
    assert.ok((await gateway.text('', '/upload/list')).includes(sha256(sent)));
  }
});

test('upload takes chunked bodies, whose length nobody has told', async () => {
  const sent = randomBytes(200_000);
  writeFileSync(gateway.folder.file('sent.bin'), sent);
  const answer = await gateway.text(
    "--http1.1 -H 'transfer-encoding: chunked' -T sent.bin",
    '/upload?name=c.bin',
  );
  assert.equal(answer, `${sha256(sent)}  c.bin\n`);
});

test('upload keeps file names inside its folder and fit to be shown', async () => {
  const cases = [
    ['../../etc/passwd', 'passwd'],
    ['C:\\Windows\\x.txt', 'x.txt'],
    ['...hidden', 'hidden'],
    ['a\r\nb\0c', 'abc'],
    ['..', 'unnamed'],
    ['', 'unnamed'],
    ['Grüße 世界.txt', 'Grüße 世界.txt'],
    ['é'.repeat(200), 'é'.repeat(60)],
    ['%ff%fe'.repeat(1), '__'],
  ] as const;
  const answers = await gateway.askAll(
    cases.map(([given]) => {
      const query = given.startsWith('%') ? given : encodeURIComponent(given);
      return ['--data-binary x', `/upload?name=${query}`];
    }),
  );
  for (const [i, [given, kept]] of cases.entries())
    assert.equal(answers[i]?.text, `${sha256(Buffer.from('x'))}  ${kept}\n`, given);
  assert.deepEqual(
    dataFiles().filter((name) => !/^1(?:-\d+\.data|\.index)$/.test(name)),
    [],
  );
});

test('upload keeps a bounded number of files, the newest ones', async () => {
  const uploads = Array.from({ length: PLACES_MAX + 3 }, (_, i) => i + 1);
  await gateway.askAll(uploads.map((i) => [`--data-binary file-${i}`, `/upload?name=n${i}`]));
  const list = await gateway.text('', '/upload/list');
  assert.equal([...list.matchAll(/<li>/g)].length, PLACES_MAX);
  for (let i = 4; i <= PLACES_MAX + 3; i++) assert.ok(list.includes(`>n${i}<`), `n${i}`);
  assert.equal(dataFiles().length, PLACES_MAX + 1);
});

test('upload refuses what is too long before it is sent, pages of other sites, other methods', async () => {
  const tooLong = `${256 * 1024 * 1024 + 1}`;
  const answer = await gateway.text(`--http1.1 -i -X POST -H 'content-length: ${tooLong}'`, '/upload?name=x');
  assert.match(answer, /^HTTP\/1\.1 413/);
  assert.ok(answer.includes(`${tooLong} bytes and the limit is ${256 * 1024 * 1024}`));
  const asked: readonly (readonly [words: string, path: string, status: number])[] = [
    ["-H 'sec-fetch-site: cross-site' -d x", '/upload?name=x', 403],
    ["-H 'origin: https://evil.example' -d x", '/upload?name=x', 403],
    ["-H 'sec-fetch-site: same-origin' -d x", '/upload?name=x', 201],
    ['-X DELETE', '/upload', 405],
    ...['', '1-99', '999-1', '../../x', '1-1.data'].map(
      (id) => ['', `/upload/file?id=${encodeURIComponent(id)}`, 404] as const,
    ),
  ];
  const answers = await gateway.askAll(asked.map(([words, path]) => [words, path]));
  assert.deepEqual(
    answers.map(({ status }) => status),
    asked.map(([, , status]) => status),
  );
});

test('upload leaves nothing behind when its client goes away half-way', async () => {
  const before = dataFiles().sort();
  const away = new AbortController();
  writeFileSync(gateway.folder.file('large.bin'), randomBytes(2_000_000));
  const line = `curl -sS --limit-rate 200k --cacert ${gateway.folder.certificate} -T large.bin '${gateway.url}/upload?name=l'`;
  const upload = runShell(line, gateway.folder.path, away.signal);
  await until(() => dataFiles().some((name) => name.endsWith('.part')));
  away.abort();
  await upload;
  await until(() => !dataFiles().some((name) => name.endsWith('.part')));
  assert.deepEqual(dataFiles().sort(), before);
});

test('More uploads at once than there are places are refused, not mixed up', async () => {
  const many = PLACES_MAX + 4;
  const bodies = [...Array(many).keys()].map((i) => randomBytes(400_000 + i));
  const answers = await Promise.all(
    bodies.map((body, i) => {
      writeFileSync(gateway.folder.file(`m${i}.bin`), body);
      return gateway.text(`--limit-rate 1m -T m${i}.bin -w '%{http_code}'`, `/upload?name=m${i}`);
    }),
  );
  const stored = answers.filter((answer) => answer.endsWith('201'));
  const refused = answers.filter((answer) => answer.endsWith('503'));
  assert.equal(stored.length + refused.length, many);
  assert.ok(stored.length >= PLACES_MAX);
  answers.forEach((answer, i) => {
    if (answer.endsWith('201')) assert.equal(answer, `${sha256(bodies[i] as Buffer)}  m${i}\n201`);
  });
});

test('push pushes its style and picture to a client that takes pushes', async () => {
  const { stdout } = await runShell(`nghttp -v ${gateway.url}/push`, gateway.folder.path);
  const text = stdout.toString('utf8');
  const promised = [...text.matchAll(/recv \(stream_id=\d+\) :path: (\S+)/g)].map(([, path]) => path);
  assert.deepEqual(promised, ['/push/style.css', '/push/picture.svg']);
  assert.match(text, /Your client takes pushes/);
  const hinted = await gateway.text('-i', '/push');
  assert.match(
    hinted,
    /^HTTP\/2 103 \r\nlink: <\/push\/style\.css>; rel=preload, <\/push\/picture\.svg>; rel=preload/,
  );
  assert.match(hinted, /Your client takes no pushes/);
});

test('clock writes a line each second until its client goes, and starts no program for that', async () => {
  const { stdout } = await runShell(
    `timeout 60 curl -sSN --cacert ${gateway.folder.certificate} ${gateway.url}/clock/stream | head -n 3`,
    gateway.folder.path,
  );
  const lines = stdout.toString('utf8').trimEnd().split('\n');
  assert.equal(lines.length, 3, stdout.toString());
  for (const line of lines) assert.match(line, /^\d\d:\d\d:\d\d$/);
  assert.notEqual(lines[0], lines[2], 'two seconds are between them');
  assert.deepEqual(children(gateway.process.pid), []);
});

test('counter counts the requests of its worker', async () => {
  const counts = [];
  for (let i = 0; i < 3; i++) {
    const [, worker, count] =
      /^Worker (\d+): request (\d+)\n$/.exec(await gateway.text('', '/counter')) ?? [];
    assert.equal(worker, '1');
    counts.push(Number(count));
  }
  const [first = 0] = counts;
  assert.deepEqual(counts, [first, first + 1, first + 2]);
});

test('shared counts for all workers, and its timer runs', async () => {
  const read = async (): Promise<Record<string, number>> =>
    JSON.parse(await gateway.text('', '/shared/json')) as Record<string, number>;
  const first = await read();
  let later = await read();
  for (let i = 0; i < TICKS_MAX && later['beats'] === first['beats']; i++) {
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    later = await read();
  }
  assert.notEqual(later['beats'], first['beats']);
  assert.ok((later['requests'] ?? 0) > (first['requests'] ?? 0), JSON.stringify([first, later]));
  assert.ok((later['yours'] ?? 0) > 0);
  assert.match(await gateway.text('', '/shared'), /id="requests">\d+</);
});

test('gather asks three pages at the same time', async () => {
  const results = JSON.parse(await gateway.text('', '/gather/json')) as Record<string, { status: number }>;
  assert.deepEqual(
    Object.entries(results)
      .map(([path, { status }]) => `${path} ${status}`)
      .sort(),
    ['/counter 200', '/environment 200', '/hello 200'],
  );
  assert.match(await gateway.text('', '/gather'), /<td class="mono">\/hello<\/td><td>200, \d+ bytes/);
});

test('After all of this nothing is open', async () => {
  // the answers of the tests above are complete, but their connections may still be closing
  await untilNothingIsOpen();
});

/** Requests the counters until no exchange, coroutine, file or process is open. */
async function untilNothingIsOpen(): Promise<void> {
  const gauges = ['exchanges', 'coroutines', 'files', 'pipes'] as const;
  for (let tries = 1; ; tries++) {
    const [counters] = (await gateway.process.counters()).workers;
    const open = gauges.filter((name) => counters?.[name] !== 0);
    if (open.length === 0) return;
    assert.ok(tries < 1200, JSON.stringify(counters));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function children(pid: number): string[] {
  const own = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8');
    } catch {
      return '';
    }
  });
  return `${own} ${threads.join(' ')}`.split(' ').filter((word) => word.trim() !== '');
}

async function until(holds: () => boolean): Promise<void> {
  const limit = performance.now() + 60_000;
  while (!holds()) {
    assert.ok(performance.now() < limit, 'Not in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
