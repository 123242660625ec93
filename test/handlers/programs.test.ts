/** The everyday programs of handlers/ (form, login, JSON API, webhook, chat, dashboard, proxy, site), asked by curl: what they take and what they refuse. */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { EventReader } from '../support/event-reader.ts';
import { runShell } from '../support/run-shell.ts';
import { sha256 } from '../support/sha256.ts';
import { HandlersGateway } from './handlers-gateway.ts';

const MIB = 1024 * 1024;
const SECRET = "It's a Secret to Everybody";
/** Attempts of an address that the login takes in a minute. */
const ATTEMPTS_MAX = 10;
const PASSWORD = "--data-urlencode 'password=correct horse battery staple'";
const LOOKS_MAX = 100;
const JSON_TYPE = "-H 'content-type: application/json'";

let gateway: HandlersGateway;

before(async () => {
  gateway = new HandlersGateway(2);
  await gateway.process.ready();
  writeFileSync(gateway.folder.file('photo.jpg'), randomBytes(300_000));
});
after(() => gateway.stop());

/** Resolves with status and body. */
async function ask(words: string, path: string): Promise<{ status: number; text: string }> {
  const [answer] = await gateway.askAll([[words, path]]);
  assert.ok(answer !== undefined, `${words} ${path}`);
  return answer;
}

type Expected = readonly [words: string, path: string, status: number, text: RegExp];

/** One request after the other, which one curl sends. */
async function expectAll(expected: readonly Expected[]): Promise<void> {
  const answers = await gateway.askAll(expected.map(([words, path]) => [words, path] as const));
  for (const [i, [words, path, status, text]] of expected.entries()) {
    const answer = answers[i];
    assert.equal(answer?.status, status, `${words} ${path}: ${answer?.text}`);
    assert.match(answer?.text ?? '', text, `${words} ${path}`);
  }
}

/** Over a connection of its own. */
async function expect(...expected: Expected): Promise<void> {
  await expectAll([expected]);
}

test('The lines of README.md for the everyday programs are answered', async () => {
  const readme = readFileSync(join(PACKAGE_ROOT, 'README.md'), 'utf8');
  const lines = [...readme.matchAll(/^- \[.*\(examples\/[\w-]+\/\).*: `(curl .*)`$/gm)].map(
    ([, line = '']) => line,
  );
  const statuses: string[] = [];
  for (const line of lines) {
    const own = line.replace('localhost:8443', `localhost:${gateway.process.port}`);
    const { stdout } = await runShell(`${own} -sS -o /dev/null -w '%{http_code}'`, gateway.folder.path);
    statuses.push(stdout.toString());
  }
  assert.deepEqual(statuses, ['201', '200', '201', '403', '201', '201', '200', '200']);
});

test('form stores the files of a form, over each protocol, and sends them back', async () => {
  for (const protocol of ['--http1.1', '--http2']) {
    const bodies = [randomBytes(0), randomBytes(1_000_003)];
    bodies.forEach((body, i) => {
      writeFileSync(gateway.folder.file(`part${i}.bin`), body);
    });
    const { status, text } = await ask(
      `${protocol} -F title=Two -F 'a=@part0.bin' -F 'b=@part1.bin;filename="../é<i>.bin"' -F 'c=;filename='`,
      '/form',
    );
    assert.equal(status, 201, text);
    assert.equal(
      text,
      `Two\n${sha256(bodies[0] as Buffer)}  part0.bin\n${sha256(bodies[1] as Buffer)}  é<i>.bin\n`,
    );
    const page = await gateway.text("-H 'accept: text/html'", '/form');
    assert.ok(page.includes('é&lt;i&gt;.bin') && !page.includes('<i>'));
    const [, link = ''] = /href="([^"]*)">é/.exec(page) ?? [];
    const { stdout } = await gateway.curl('', link);
    assert.ok(stdout.equals(bodies[1] as Buffer));
  }
});

test('form names the limit that a form exceeds, and keeps nothing of the file that was too long', async () => {
  const data = join(gateway.handlers, 'data');
  writeFileSync(gateway.folder.file('fits.bin'), Buffer.alloc(8 * MIB));
  writeFileSync(gateway.folder.file('long.bin'), Buffer.alloc(8 * MIB + 1));
  writeFileSync(gateway.folder.file('title.txt'), 'é'.repeat(101));
  await expect('-F a=@fits.bin', '/form', 201, /^Without a title\n\w{64} {2}fits\.bin\n$/);
  for (const protocol of ['--http1.1', '--http2'])
    await expect(
      `${protocol} -F a=@long.bin`,
      '/form',
      413,
      /^long\.bin: The file is longer than the limit of 8388608 bytes\n/,
    );
  assert.deepEqual(
    readdirSync(data).filter((name) => name.endsWith('.part')),
    [],
  );
  await expect(
    [...Array(11).keys()].map((i) => `-F a${i}=x`).join(' '),
    '/form',
    413,
    /more parts than the limit of 10 \("parts"\)/,
  );
  await expect(
    "-F 'title=<title.txt' -F a=@photo.jpg",
    '/form',
    422,
    /^The title has 101 characters and the limit is 100\n/,
  );
  await expect(
    '-F a=@photo.jpg -F title=@title.txt -F "title=<long.bin"',
    '/form',
    413,
    /\w{64} {2}photo\.jpg/,
  );
});

test('form refuses what is no form, and names what is wrong with one', async () => {
  writeFileSync(gateway.folder.file('latin1.txt'), Buffer.from([0xff, 0xfe]));
  const refused = [
    ['-d a=b', 415, /has to be multipart\/form-data/],
    ["-H 'content-type: multipart/form-data' -d x", 400, /with a boundary/],
    ["-H 'content-type: multipart/form-data; boundary=x' -d x", 400, /ends before its last boundary/],
    ["-F 'title=<latin1.txt' -F a=@photo.jpg", 422, /The title is not UTF-8/],
    ['-F title=alone', 422, /No file was chosen/],
    ["-F a=@photo.jpg -H 'origin: https://evil.example'", 403, /another site/],
    ["-F a=@photo.jpg -H 'sec-fetch-site: same-site'", 403, /another site/],
    ['-X PUT', 405, /405/],
    ["-H 'accept: text/html' -F title=alone", 422, /role="alert"><b>Not stored:<\/b> No file/],
  ] as const;
  await expectAll(refused.map(([words, status, text]) => [words, '/form', status, text]));
});

test('login takes the right password only, and its session ends with the logout, copies of the cookie included', async () => {
  await expect('-d name=ada -d password=wrong', '/login', 403, /the name or the password is wrong/);
  await expect(`-d name=bob ${PASSWORD}`, '/login', 403, /the name or the password is wrong/);
  const answer = await gateway.text(`-i -c jar -d name=ada ${PASSWORD}`, '/login');
  assert.match(answer, /^HTTP\/2 303/);
  assert.match(answer, /^location: \/login\/\r$/m);
  assert.match(answer, /^set-cookie: __Host-login=[\w-]+; .*HttpOnly; Secure; SameSite=Lax\r$/m);
  // another connection may meet the other worker
  for (let i = 0; i < 4; i++) await expect('-b jar', '/login', 200, /Hello, <span id="user">ada</);
  await expect("-b jar -X POST -H 'sec-fetch-site: cross-site'", '/login/out', 403, /another site/i);
  await expect('-b jar', '/login', 200, /Hello/);
  const out = await gateway.text('-i -b jar -X POST', '/login/out');
  assert.match(out, /^HTTP\/2 303/);
  assert.match(out, /^set-cookie: __Host-login=; Max-Age=0/m);
  await expect('-b jar', '/login', 200, /<b>Logged out:<\/b> your session is over/);
  await expect('', '/login/out', 405, /405/);
});

test('login refuses forms of other sites, forms it cannot read, and cookies that were changed', async () => {
  const attempts: readonly (readonly [string, number, RegExp])[] = [
    [`-d name=ada ${PASSWORD} -H 'origin: https://evil.example'`, 403, /another site/],
    ['-d name=ada%zz -d password=x', 400, /an escape is invalid/],
    ['-d name=ada -d name=bob -d password=x', 400, /one name and one password/],
    ['-d name=ada -d password', 400, /one name and one password/],
    [`${JSON_TYPE} -d '{}'`, 400, /holds no form/],
    [`-d name=${'a'.repeat(4100)} -d password=x`, 413, /limit of 4096/],
  ];
  const cookies = ['x', `${'A'.repeat(100)}`, '"><script>'];
  await expectAll([
    ...attempts.map(([words, status, text]) => [words, '/login', status, text] as const),
    ...cookies.map((value) => [`-b '__Host-login=${value}'`, '/login', 200, /your session is over/] as const),
  ]);
});

test('login lets an address try so often and no more', async () => {
  const attempt = ['-d name=ada -d password=wrong', '/login'] as const;
  const answers = await gateway.askAll(Array.from({ length: ATTEMPTS_MAX + 1 }, () => attempt));
  assert.equal(answers.length, ATTEMPTS_MAX + 1);
  assert.equal(answers.at(-1)?.status, 429);
  const answer = await gateway.text(`-i -d name=ada ${PASSWORD}`, '/login');
  assert.match(answer, /^HTTP\/2 429/);
  assert.match(answer, /^retry-after: 60\r$/m);
});

test('api makes, shows, changes and deletes notes', async () => {
  const made = await gateway.text(`-i --json '{"text":"Milk & <b>"}'`, '/api/notes');
  assert.match(made, /^HTTP\/2 201/);
  const [, path = ''] = /^location: (\S+)/m.exec(made) ?? [];
  const id = Number(path.split('/').pop());
  assert.ok(made.endsWith(`{"done":false,"id":${id},"text":"Milk & <b>"}\n`), made);
  assert.equal(await gateway.text('', path), `{"done":false,"id":${id},"text":"Milk & <b>"}\n`);
  await expect(
    `-X PUT --json '{"text":"Oat milk","done":true}'`,
    path,
    200,
    /^\{"done":true,"id":\d+,"text":"Oat milk"\}\n$/,
  );
  assert.match(await gateway.text('-I', path), /^HTTP\/2 200 .*content-type: application\/json/s);
  await expect('-X DELETE', path, 204, /^$/);
  await expect('', path, 404, /^\{"error":"There is no such note"\}\n$/);
  await expect('-X DELETE', path, 404, /no such note/);
  await expect(`-X PUT --json '{"text":"late"}'`, path, 404, /no such note/);
});

test('api tells what is wrong with a note, a query or an address, as JSON', async () => {
  writeFileSync(gateway.folder.file('latin1.json'), Buffer.from('{"text":"\xff"}', 'latin1'));
  writeFileSync(gateway.folder.file('long.json'), JSON.stringify({ text: 'x'.repeat(5000) }));
  writeFileSync(gateway.folder.file('most.json'), JSON.stringify({ text: 'é'.repeat(200) }));
  writeFileSync(gateway.folder.file('more.json'), JSON.stringify({ text: 'é'.repeat(201) }));
  await expect('--json @most.json', '/api/notes', 201, /"id"/);
  const wrong = [
    ['--json @more.json', '/notes', 422, /"text":"has to be a string of 1 to 200 characters"/],
    [`--json '{"text":"","done":1,"id":7}'`, '/notes', 422, /"fields":\{"done":.*,"id":"is unknown","text":/],
    [`--json '[]'`, '/notes', 422, /"text":/],
    [`--json '"x"'`, '/notes', 400, /has to be a JSON object/],
    [`--json 'null'`, '/notes', 400, /has to be a JSON object/],
    [`--json '{"text"'`, '/notes', 400, /Cannot decode JSON/],
    [`--json ''`, '/notes', 400, /has to be a JSON object/],
    ['--json @latin1.json', '/notes', 400, /not valid UTF-8 at byte 9/],
    ['--json @long.json', '/notes', 413, /limit of 4096 bytes/],
    [`-d '{"text":"x"}'`, '/notes', 415, /application\/json/],
    [`-H 'content-type: application/json-x' -d '{"text":"x"}'`, '/notes', 415, /application\/json/],
    ['', '/notes?limit=0', 422, /"limit":"has to be an integer from 1 to 50"/],
    ['', '/notes?limit=51', 422, /"limit"/],
    ['', '/notes?limit=1&limit=2', 422, /"limit"/],
    ['', '/notes?after=x', 422, /"after"/],
    ['', '/notes?after=%zz', 400, /escape is invalid/],
    ['', '/notes/0x1', 404, /no such note/],
    ['', '/notes/99999999999999999999', 404, /no such note/],
    ['', '/nothing', 404, /no such address/],
  ] as const;
  await expectAll(wrong.map(([words, path, status, text]) => [words, `/api${path}`, status, text]));
  assert.match(
    await gateway.text('-i -X PATCH', '/api/notes/1'),
    /^HTTP\/2 405 .*allow: DELETE, GET, HEAD, OPTIONS, PUT\r/s,
  );
});

test('api lists its notes page by page, and keeps the last hundred', async () => {
  const notes = JSON.stringify({ text: 'many' });
  writeFileSync(gateway.folder.file('note.json'), notes);
  await gateway.text('-o /dev/null --json @note.json', '/api/notes?[1-120]');
  let path: string | undefined = '/api/notes?limit=50';
  const ids: number[] = [];
  const pages: number[] = [];
  while (path !== undefined) {
    const page = JSON.parse(await gateway.text('', path)) as { notes: { id: number }[]; next?: string };
    ids.push(...page.notes.map(({ id }) => id));
    pages.push(page.notes.length);
    path = page.next;
  }
  assert.deepEqual(pages, [50, 50]);
  assert.deepEqual(
    ids,
    ids.toSorted((a, b) => a - b),
  );
  assert.equal(new Set(ids).size, 100);
});

function signature(body: string | Buffer, secret = SECRET): string {
  return `-H 'x-hub-signature-256: sha256=${createHmac('sha256', secret).update(body).digest('hex')}'`;
}

/** Deliveries are worked on behind the answer. Each look is a request, and a busy machine gets many. */
async function seenOnPage(text: string): Promise<void> {
  for (let looks = 0; looks < LOOKS_MAX; looks++)
    if ((await gateway.text('', '/webhook')).includes(text)) return;
  assert.fail(`The page does not show ${text}`);
}

test('webhook takes what was signed with the secret, once', async () => {
  // the example of GitHub's manual, "Validating webhook deliveries"
  assert.match(
    signature('Hello, World!'),
    /sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'/,
  );
  await expect(`${signature('Hello, World!')} -d 'Hello, World!'`, '/webhook', 202, /^Accepted/);
  for (let i = 0; i < 4; i++)
    await expect(`${signature('Hello, World!')} -d 'Hello, World!'`, '/webhook', 200, /known already/);
  await expect(`${signature('')} -X POST`, '/webhook', 202, /^Accepted/);
  await seenOnPage('Hello, World!');
});

test('webhook refuses what is not signed, was changed, or was signed with another secret', async () => {
  const body = '{"a":"<b>"}';
  const unsigned = [
    '',
    "-H 'x-hub-signature-256;'",
    "-H 'x-hub-signature-256: sha256='",
    signature(`${body} `),
    signature(body, 'another'),
    signature(body).toUpperCase(),
    signature(body).replace('sha256=', 'sha1='),
    `${signature(body)} ${signature(body)}`,
  ];
  const refusal = /^The signature is missing or wrong/;
  await expectAll([
    ...unsigned.map((words) => [`${words} -d '${body}'`, '/webhook', 403, refusal] as const),
    [`${signature(body)} -d '${body}'`, '/webhook', 202, /^Accepted/],
  ]);
  await seenOnPage('{&quot;a&quot;:&quot;&lt;b&gt;&quot;}');
});

test('webhook takes a delivery of a mebibyte and none that is longer', async () => {
  for (const [size, status] of [
    [MIB, 202],
    [MIB + 1, 413],
  ] as const) {
    const body = randomBytes(size);
    writeFileSync(gateway.folder.file('body.bin'), body);
    await expect(
      `${signature(body)} --data-binary @body.bin`,
      '/webhook',
      status,
      /413 \w+ Too Large|Accepted/,
    );
  }
});

test('chat takes a message within its limits, and tells what is wrong with others', async () => {
  const cases = [
    [`-d name=${'é'.repeat(30)} -d text=${'é'.repeat(500)}`, 201, /^Said\n$/],
    [`-d name=${'é'.repeat(31)} -d text=x`, 422, /^The name has 31 characters and the limit is 30\n$/],
    [`-d name=Ada -d text=${'é'.repeat(501)}`, 422, /^The text has 501 characters and the limit is 500\n$/],
    ['-d name=Ada -d text=%09+', 422, /^The text is empty\n$/],
    ['-d name=Ada -d text=%ff', 422, /^The text has to be a string in UTF-8\n$/],
    ['-d name=Ada -d name=Bo -d text=x', 422, /^The name has to be a string/],
    [`-d name=Ada -d text=${'x'.repeat(8192)}`, 413, /limit of 8192/],
    ["-d name=Ada -d text=x -H 'origin: https://evil.example'", 403, /another site/],
    ["-d name=Ada -d 'text=%20<b>%26%0Ab'", 201, /^Said\n$/],
    ['-X PUT', 405, /405/],
  ] as const;
  await expectAll(cases.map(([words, status, text]) => [words, '/chat', status, text]));
  await expect('', '/chat', 200, /^\d\d:\d\d é{30}: é{500}\n\d\d:\d\d Ada: <b>& b\n$/m);
  const page = await gateway.text("-H 'accept: text/html'", '/chat');
  assert.ok(page.includes('&lt;b&gt;&amp; b') && !page.includes('<b>&'));
});

test('chat opens no socket for the page of another site, nor for what is no WebSocket', async () => {
  const upgrade =
    "--http1.1 -H 'connection: upgrade' -H 'upgrade: websocket' -H 'sec-websocket-version: 13' -H 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='";
  await expect(`${upgrade} -H 'origin: https://evil.example'`, '/chat/socket', 403, /./);
  await expect('', '/chat/socket', 426, /./);
});

/** Reads the ids of so many events of the dashboard, as a client that has seen `lastId`. */
function readIds(count: number, lastId = ''): Promise<string[]> {
  const headers = lastId === '' ? {} : { 'last-event-id': lastId };
  const reader = new EventReader();
  return new Promise((resolve, reject) => {
    const request = get(
      `${gateway.url}/dashboard/stream`,
      { headers, rejectUnauthorized: false },
      (response) => {
        response.setEncoding('utf8').on('data', (text: string) => {
          reader.read(text);
          if (reader.events.length < count) return;
          request.destroy();
          resolve(reader.events.slice(0, count).map(({ id }) => id));
        });
      },
    );
    request.on('error', reject);
  });
}

function numberOf(id: string): number {
  return Number(id.split('-')[1]);
}

test('dashboard takes the events it knows, and its stream begins behind the cursor of the client', async () => {
  await expect('-d kind=alarm', '/dashboard', 201, /^Everybody has been told\n$/);
  const refused = [
    ['-d kind=holiday', 422, /^The form has to have kind=/],
    ['-d kind=alarm -d kind=alarm', 422, /^The form has to have kind=/],
    ["-d kind=alarm -H 'sec-fetch-site: cross-site'", 403, /another site/],
    [`-d kind=${'x'.repeat(2000)}`, 413, /limit of 1024/],
  ] as const;
  await expectAll(refused.map(([words, status, text]) => [words, '/dashboard', status, text]));
  await gateway.text('-d kind=order', '/dashboard?[1-3]');
  const [first = '', second = ''] = await readIds(2);
  assert.match(second, /^[0-9a-f]{8}-\d+$/);
  const [third = ''] = await readIds(1, second);
  assert.equal(numberOf(third), numberOf(second) + 1);
  assert.deepEqual(await readIds(2, '00000000-2'), [first, second], 'an id of another life is none');
});

test('proxy passes requests on to the backends that are well, with their bodies, and tells how they are', async () => {
  await expect(
    '-X POST -d body',
    '/proxy/app/a/b?c=d',
    200,
    /^Backend (?:one|two) in worker \d: POST \/app\/a\/b\n$/,
  );
  await expect('-d backend=three', '/proxy', 422, /backend=one or backend=two/);
  await expect("-d backend=one -H 'sec-fetch-site: cross-site'", '/proxy', 403, /another site/);
  const known = JSON.parse(await gateway.text('', '/proxy/health')) as { name: string }[];
  assert.deepEqual(
    known.map(({ name }) => name),
    ['one', 'two', 'three'],
  );
});
