/** Scripts written for lhttpd run as they are: the acceptance table of its five examples, over HTTP/1.1 and HTTP/2. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { LocalGateway } from '../support/local-gateway.ts';
import { GatewayFolder } from '../support/run-gateway.ts';
import { runShell } from '../support/run-shell.ts';
import { inForm } from '../support/test-form.ts';
import { PROMPT_MS } from '../support/test-gateway.ts';

const SCRIPTS = join(PACKAGE_ROOT, 'examples', 'lhttpd');
const PROTOCOLS = ['--http1.1', '--http2'] as const;
/** Around the sizes at which lhttpd's own buffers end, and beyond the window of a stream: the script reads four bytes at a time. */
const UPLOAD_SIZES = [0, 1, 3, 4, 5, 4095, 4096, 4097, 70_000, ...inForm([], [1024 * 1024])];

let folder: GatewayFolder;
let gateway: LocalGateway;
/** By the words of their mappings: tests that ask for the same share one. */
const running: { readonly words: string; readonly gateway: Promise<LocalGateway> }[] = [];

before(async () => {
  folder = new GatewayFolder();
  // scripts find their files by it; no other test file shares the process
  process.chdir(folder.path);
  const mappings = [
    ['/x', 'handler.lua'],
    ['/', 'main.lua'],
    ['/push', 'push.lua'],
    ['/state', 'state.lua'],
    ['/upload', 'upload.lua'],
  ].flatMap(([prefix = '', script = '']) => ['-l', prefix, join(SCRIPTS, script)]);
  gateway = await start(mappings);
});
after(async () => {
  for (const one of running) await (await one.gateway).stop();
  process.chdir(PACKAGE_ROOT);
  folder.remove();
});

/** Serves the mappings, and more where a gateway that has them runs already. */
function start(mappings: readonly string[]): Promise<LocalGateway> {
  const words = mappings.join(' ');
  const known = running.find((one) => ` ${one.words} `.includes(` ${words} `));
  if (known !== undefined) return known.gateway;
  const rest = [
    '-a',
    '127.0.0.1',
    '-p',
    '0',
    '-w',
    '1',
    '--cpu-limit',
    '20',
    '-c',
    folder.certificate,
    '-k',
    folder.key,
  ];
  const started = new LocalGateway([...mappings, ...rest]).ready();
  running.push({ words, gateway: started });
  return started;
}

/** The lines of the first comment: what serves the script, and what asks for it. */
function readComment(script: string): { serve: string[]; ask: string } {
  const text = readFileSync(join(SCRIPTS, script), 'utf8');
  const serve = /^-- npm start -- (.*)$/m.exec(text)?.[1]?.split(' ') ?? [];
  return { serve, ask: /^-- ((?:curl|nghttp) .*)$/m.exec(text)?.[1] ?? 'false' };
}

/** What curl prints; fails when curl does, or when the answer took long. */
async function curl(words: string, path: string, from = gateway): Promise<string> {
  const before = performance.now();
  const line = `curl -sS --cacert ${folder.certificate} ${words} https://localhost:${from.port}${path}`;
  const { code, stdout, stderr } = await runShell(line, folder.path);
  assert.equal(code, 0, `${line}: ${stderr}`);
  assert.ok(performance.now() - before < PROMPT_MS, `${line} took too long`);
  return stdout.toString('latin1');
}

test('handler.lua lists environment and head, over HTTP/1.1 and HTTP/2', async () => {
  for (const protocol of PROTOCOLS) {
    const text = await curl(`-i ${protocol}`, '/x/handler');
    assert.match(text, /^HTTP\/\S+ 200/);
    assert.match(text, /^content-type: text\/html; charset=utf-8\r$/im);
    const body = text.slice(text.indexOf('\r\n\r\n') + 4);
    assert.ok(body.startsWith('<h3>Environment:</h3>'), body);
    assert.ok(body.includes('HANDLER_NAME /handler<br/>'));
    assert.ok(body.includes('SCRIPT_PREFIX /x<br/>'));
    assert.ok(body.includes(`SERVER_PORT ${gateway.port}<br/>`));
    assert.ok(body.includes('<h3>Head:</h3>'));
    assert.ok(body.includes(protocol === '--http2' ? ':method GET<br/>' : '>method GET<br/>'), body);
  }
});

test('main.lua answers /, /js, a missing picture, and what is not there', async () => {
  for (const protocol of PROTOCOLS) {
    assert.match(await curl(protocol, '/'), /^<html>/);
    assert.equal(await curl(protocol, '/js'), 'console.log("main");');
    assert.match(await curl(`-i ${protocol}`, '/p1'), /^HTTP\/\S+ 200.*\r\n\r\n$/s);
    const own = await curl(`-i ${protocol}`, '/nope');
    assert.match(own, /^HTTP\/\S+ 404/);
    assert.match(own, /^content-length: 47\r$/im);
    assert.ok(own.endsWith('<html><body>There is no such page</body></html>'));
    const nested = await curl(`-i ${protocol}`, '/absent/y');
    assert.match(nested, /^HTTP\/\S+ 404/);
    assert.ok(nested.endsWith('<html><body>There is no such page</body></html>'));
  }
});

test('push.lua pushes four answers where the client takes them', async () => {
  const pushing = await start(['-l', '/', join(SCRIPTS, 'push.lua')]);
  const { code, stdout } = await runShell(`nghttp -v https://localhost:${pushing.port}/push`, folder.path);
  const text = stdout.toString('latin1').replaceAll('\x1b[', '\n\x1b[');
  assert.equal(code, 0);
  const promised = [...text.matchAll(/recv \(stream_id=\d+\) :path: (\/\w+)/g)].map(([, path]) => path);
  assert.deepEqual(promised, ['/js', '/p1', '/p2', '/p3']);
  const answered = [...text.matchAll(/recv \(stream_id=(\d+)\) :status: 200/g)].map(([, id]) => Number(id));
  assert.deepEqual(
    [2, 4, 6, 8].filter((id) => answered.includes(id)),
    [2, 4, 6, 8],
  );
  assert.equal(answered.length, 5, 'four pushed answers and the page');
  for (const protocol of PROTOCOLS) {
    const page = await curl(`-i ${protocol}`, '/push', pushing);
    assert.match(page, /^HTTP\/\S+ 200/);
    assert.ok(page.endsWith('</body></html>'));
  }
});

test('state.lua counts from 0 for as long as its worker lives', async () => {
  const line = `curl -sS --cacert ${folder.certificate} "https://localhost:${gateway.port}/state/state?[1-5]"`;
  const { stdout } = await runShell(line, folder.path);
  assert.equal(stdout.toString(), 'counter: 0counter: 1counter: 2counter: 3counter: 4');
});

test('upload.lua asks for POST', async () => {
  for (const protocol of PROTOCOLS) assert.equal(await curl(protocol, '/upload/upload'), 'Use POST');
});

for (const protocol of PROTOCOLS) {
  test(`upload.lua stores bodies of all sizes (${protocol})`, async () => {
    for (const size of UPLOAD_SIZES) {
      const sent = randomBytes(size);
      writeFileSync(folder.file('sent.bin'), sent);
      assert.equal(await curl(`${protocol} --data-binary @sent.bin`, '/upload/upload'), 'Saved');
      assert.ok(readFileSync(folder.file('file.txt')).equals(sent), `${size} bytes`);
    }
  });
}

test('upload.lua stores nothing of a chunked body, whose length it is not told, and the connection lives on', async () => {
  for (const size of inForm([0, 4, 4097, 140_000], UPLOAD_SIZES)) {
    writeFileSync(folder.file('sent.bin'), randomBytes(size));
    const upload = `--http1.1 -H "transfer-encoding: chunked" --data-binary @sent.bin`;
    const next = `--next -sS --cacert ${folder.certificate} --http1.1 https://localhost:${gateway.port}/upload/upload`;
    const url = `https://localhost:${gateway.port}/upload/upload`;
    const line = `curl -sS --cacert ${folder.certificate} ${upload} ${url} ${next}`;
    const { code, stdout, stderr } = await runShell(line, folder.path);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString(), 'SavedUse POST');
    assert.equal(readFileSync(folder.file('file.txt')).length, 0);
  }
});

for (const script of ['handler.lua', 'main.lua', 'push.lua', 'state.lua', 'upload.lua']) {
  test(`${script} answers the line of its first comment`, async () => {
    const { serve, ask } = readComment(script);
    writeFileSync(folder.file('photo.jpg'), randomBytes(5000));
    const one = await start(serve.map((word) => word.replace(/^examples\/lhttpd/, SCRIPTS)));
    const line = ask
      .replace('localhost:8443', `localhost:${one.port}`)
      .replace('certs/development/certificate.pem', folder.certificate)
      .replace('curl', 'curl -sS --fail');
    const { code, stdout, stderr } = await runShell(line, folder.path);
    assert.equal(code, 0, stderr);
    assert.ok(stdout.length > 0);
  });
}

test('upload.lua answers several uploads at once', async () => {
  const sent = randomBytes(70_000);
  writeFileSync(folder.file('same.bin'), sent);
  const several = await start(['-l', '/', join(SCRIPTS, 'upload.lua')]);
  const uploads = [...Array(8).keys()].map((i) =>
    curl(`${PROTOCOLS[i % 2]} --data-binary @same.bin`, '/upload', several),
  );
  // all write the same bytes to the same file
  assert.deepEqual(await Promise.all(uploads), Array(8).fill('Saved'));
  assert.ok(readFileSync(folder.file('file.txt')).equals(sent));
});
