/**
 * Forms that `curl -F` sends, under random boundaries and in random pieces: the reader of forms and @fastify/busboy give the same, which is
 * what curl was told to send.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Dice } from '../support/http1-fuzz-input.ts';
import { askBusboy, explain } from '../support/multipart-oracle.ts';
import { readMultipart } from '../support/read-multipart.ts';
import { runSuccessfully } from '../support/run-program.ts';
import { inForm } from '../support/test-form.ts';

const SEED = Number(process.env['LGATEWAY_FUZZ_SEED'] ?? 1);
/** Runs of curl: each takes some ten milliseconds. */
const FORMS = inForm(8, 300);
/** Each form is read so many times under other boundaries and in other pieces. */
const READINGS = inForm(12, 40);
const BOUNDARY_CHARACTERS = "0123456789abcXYZ'()+_,-./:=?";

interface Sent {
  readonly contentType: string;
  readonly body: string;
}

const received: Sent[] = [];
const folder = mkdtempSync(join(tmpdir(), 'lgateway-curl-'));
const recorder = createServer((request, response) => {
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => {
    received.push({
      contentType: request.headers['content-type'] ?? '',
      body: Buffer.concat(pieces).toString('latin1'),
    });
    response.end();
  });
});

before(() => new Promise<void>((resolve) => recorder.listen(0, '127.0.0.1', resolve)));
after(() => {
  recorder.close();
  recorder.closeAllConnections();
  rmSync(folder, { recursive: true });
});

interface Field {
  readonly name: string;
  readonly filename: string | undefined;
  readonly content: string;
}

/** Content that looks like boundaries and ends of lines. */
function contentOf(dice: Dice): string {
  return Array.from({ length: dice.below(dice.pick([1, 6, 60])) }, () =>
    dice.pick([
      '\r',
      '\n',
      '\r\n',
      '--',
      '\r\n--',
      '\r\n------',
      '-',
      'text',
      '\xc3\xa9',
      'z'.repeat(dice.below(9000)),
    ]),
  ).join('');
}

function fieldsOf(dice: Dice, seed: number): Field[] {
  return Array.from({ length: 1 + dice.below(5) }, (_, i) => ({
    name: dice.pick(['a', 'x y', 'a;b', 'a[0]', 'a.b', '\xc3\xa4', '-']),
    filename: dice.below(2) === 0 ? undefined : dice.pick([`f${seed}-${i}.bin`, 'x y.txt', '..', 'a%22']),
    content: contentOf(dice),
  }));
}

/** What curl sends of the fields. */
async function sendByCurl(fields: readonly Field[]): Promise<Sent> {
  const words = fields.flatMap(({ name, filename, content }, i) => {
    const text = Buffer.from(name, 'latin1').toString();
    // a field comes from a file, too: words of a command line hold no NUL, and curl cuts none at a line end
    const file = join(folder, `part-${i}`);
    writeFileSync(file, content, 'latin1');
    return ['-F', filename === undefined ? `${text}=<${file}` : `${text}=@${file};filename="${filename}"`];
  });
  const count = received.length;
  const { port } = recorder.address() as AddressInfo;
  await runSuccessfully('curl', '-sS', '-H', 'Expect:', ...words, `http://127.0.0.1:${port}/`);
  const sent = received[count];
  assert.ok(sent !== undefined, 'curl has sent a form');
  return sent;
}

function otherBoundary(dice: Dice, body: string, own: string): { boundary: string; body: string } {
  for (;;) {
    const boundary = Array.from({ length: 1 + dice.below(70) }, () =>
      dice.pick([...BOUNDARY_CHARACTERS]),
    ).join('');
    if (!body.includes(`--${boundary}`))
      return { boundary, body: body.replaceAll(`--${own}`, `--${boundary}`) };
  }
}

test('What curl -F sends is read as @fastify/busboy reads it, under any boundary and in any pieces', async () => {
  for (let seed = SEED; seed < SEED + FORMS; seed++) {
    const dice = new Dice(seed);
    const fields = fieldsOf(dice, seed);
    const sent = await sendByCurl(fields);
    const own = /boundary=(\S+)$/.exec(sent.contentType)?.[1] ?? '';
    assert.match(own, /^-+\w+$/, sent.contentType);
    for (let reading = 0; reading < READINGS; reading++) {
      const { boundary, body } =
        reading === 0 ? { boundary: own, body: sent.body } : otherBoundary(dice, sent.body, own);
      const places = (): number[] =>
        Array.from({ length: dice.below(dice.pick([1, 8, 60])) }, () => dice.below(body.length)).sort(
          (a, b) => a - b,
        );
      const form = await readMultipart(body, boundary, { cuts: places() });
      const busboy = await askBusboy(body, `multipart/form-data; boundary="${boundary}"`, places());
      const where = `LGATEWAY_FUZZ_SEED=${seed} reading ${reading} boundary ${JSON.stringify(boundary)}`;
      assert.equal(explain({ body, boundary, own: form, busboy }), undefined, where);
      assert.equal(form.failure, undefined, where);
      assert.deepEqual(
        form.parts.map(({ name, filename, content }) => ({ name, filename, content })),
        fields,
        where,
      );
    }
  }
});

test('What curl -F sends is refused at every place at which it breaks off', async () => {
  const dice = new Dice(SEED);
  const { contentType, body } = await sendByCurl(fieldsOf(dice, SEED).slice(0, 2));
  const boundary = /boundary=(\S+)$/.exec(contentType)?.[1] ?? '';
  // up to the two hyphens behind the last boundary
  const whole = body.lastIndexOf(`--${boundary}--`) + boundary.length + 4;
  const step = Math.max(1, Math.floor(whole / inForm(400, 20_000)));
  for (let end = 0; end < whole; end += step) {
    const { failure } = await readMultipart(body.slice(0, end), boundary);
    assert.match(failure ?? 'none', /ends before its last boundary/, `at ${end}`);
  }
  assert.equal((await readMultipart(body.slice(0, whole), boundary)).failure, undefined);
});
