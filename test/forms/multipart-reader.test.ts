/** The reader of multipart forms: the grammar of RFC 2046 §5.1 and RFC 7578, cut at every byte, its limits, and bodies made to cost much. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FormBody } from '../../src/forms/form-body.ts';
import {
  MULTIPART_LIMITS,
  PART_HEAD_BYTES_MAX,
  PART_HEAD_LINES_MAX,
  PARTS_MAX,
} from '../../src/forms/form-limits.ts';
import { MultipartReader } from '../../src/forms/multipart-reader.ts';
import { FakeBody } from '../support/fake-exchange.ts';
import { type ReadForm, readMultipart } from '../support/read-multipart.ts';

const DISPOSITION = 'Content-Disposition: form-data; name="a"';

/** A body of boundary `b` with one part. */
function onePart(content: string, head = DISPOSITION): string {
  return `--b\r\n${head}\r\n\r\n${content}\r\n--b--\r\n`;
}

function shown({ parts, failure }: ReadForm): string {
  const texts = parts.map(({ name, filename, type, content }) =>
    [
      name,
      ...(filename === undefined ? [] : [`file ${filename}`]),
      ...(type === 'text/plain' ? [] : [type]),
      content,
    ].join('|'),
  );
  return [...texts, ...(failure === undefined ? [] : [failure])].join(' & ');
}

interface Case {
  readonly title: string;
  readonly body: string;
  readonly gives: string | RegExp;
  readonly boundary?: string;
}

const CASES: readonly Case[] = [
  { title: 'a field', body: onePart('x'), gives: 'a|x' },
  { title: 'no part', body: '--b--', gives: '' },
  { title: 'an empty field', body: onePart(''), gives: 'a|' },
  {
    title: 'an empty field whose line end is that of the boundary',
    body: `--b\r\n${DISPOSITION}\r\n\r\n--b--`,
    gives: 'a|',
  },
  {
    title: 'two fields and a file',
    body: `--b\r\n${DISPOSITION}\r\n\r\n1\r\n--b\r\n${DISPOSITION}\r\n\r\n2\r\n--b\r\n${DISPOSITION}; filename="f"\r\nContent-Type: image/png\r\n\r\n3\r\n--b--`,
    gives: 'a|1 & a|2 & a|file f|image/png|3',
  },
  {
    title: 'text before the first boundary',
    body: `This is a form\r\nwith --b in a line\r\n${onePart('x')}`,
    gives: 'a|x',
  },
  { title: 'a line end before the first boundary', body: `\r\n${onePart('x')}`, gives: 'a|x' },
  { title: 'text behind the last boundary', body: `${onePart('x')}--b\r\nmore`, gives: 'a|x' },
  {
    title: 'blanks behind boundaries',
    body: `--b \t\r\n${DISPOSITION}\r\n\r\nx\r\n--b-- \r\n`,
    gives: 'a|x',
  },
  { title: 'a content that ends with line ends', body: onePart('x\r\n\r\n'), gives: 'a|x\r\n\r\n' },
  {
    title: 'fronts of the boundary in the content',
    body: onePart('\r\r\n-\r\n--\r\n\r\n-b--b'),
    gives: 'a|\r\r\n-\r\n--\r\n\r\n-b--b',
  },
  { title: 'line feeds alone', body: onePart('\n--b\n--b--\n'), gives: 'a|\n--b\n--b--\n' },
  {
    title: 'bytes of all values',
    body: onePart(Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1')),
    gives: `a|${Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1')}`,
  },
  {
    title: 'names of fields in any case, without a blank',
    body: onePart('x', 'CONTENT-disposition:FORM-DATA;NAME=a'),
    gives: 'a|x',
  },
  {
    title: 'a folded line',
    body: onePart('x', 'Content-Disposition: form-data;\r\n\tname="a"'),
    gives: 'a|x',
  },
  {
    title: 'a backslash before a quotation mark',
    body: onePart('x', 'Content-Disposition: form-data; name="a\\"b\\\\c"'),
    gives: 'a"b\\c|x',
  },
  {
    title: 'a backslash that is a part of a name',
    body: onePart('x', `${DISPOSITION}; filename="C:\\dir\\f"`),
    gives: 'a|file C:\\dir\\f|x',
  },
  {
    title: 'a quotation mark as browsers send it',
    body: onePart('x', 'Content-Disposition: form-data; name="a%22%0D%0A"'),
    gives: 'a%22%0D%0A|x',
  },
  {
    title: 'UTF-8 bytes in a name',
    body: onePart('x', 'Content-Disposition: form-data; name="\xc3\xa9"'),
    gives: '\xc3\xa9|x',
  },
  { title: 'an empty file name', body: onePart('', `${DISPOSITION}; filename=""`), gives: 'a|file |' },
  {
    title: 'filename*, which no form may have',
    body: onePart('x', `${DISPOSITION}; filename*=UTF-8''f`),
    gives: 'a|x',
  },
  {
    title: 'a semicolon in a name',
    body: onePart('x', 'Content-Disposition: form-data; name="a;b=c"; filename="d;e"'),
    gives: 'a;b=c|file d;e|x',
  },
  {
    title: 'a boundary of all characters',
    boundary: "0aZ'()+_,-./:=? ?",
    body: onePart('x').replaceAll('--b', "--0aZ'()+_,-./:=? ?"),
    gives: 'a|x',
  },
  // refused
  { title: 'nothing', body: '', gives: /^invalid .*ends before its last boundary$/ },
  { title: 'no boundary', body: 'a=1', gives: /^invalid .*ends before its last boundary$/ },
  {
    title: 'a content that breaks off',
    body: `--b\r\n${DISPOSITION}\r\n\r\nx\r\n--`,
    gives: /^invalid .*ends before/,
  },
  {
    title: 'a boundary that breaks off',
    body: `--b\r\n${DISPOSITION}\r\n\r\nx\r\n--b`,
    gives: /invalid .*ends before/,
  },
  {
    title: 'one hyphen behind the last boundary',
    body: `--b\r\n${DISPOSITION}\r\n\r\nx\r\n--b-`,
    gives: /invalid .*ends before/,
  },
  { title: 'a head that breaks off', body: `--b\r\n${DISPOSITION}\r\n`, gives: /^invalid .*ends before/ },
  {
    title: 'a boundary that goes on',
    body: onePart('\r\n--bc\r\n'),
    gives: /invalid .*"c" follows a boundary/,
  },
  {
    title: 'a boundary in a head',
    body: `--b\r\n${DISPOSITION}\r\n--b: x\r\n\r\nx\r\n--b--`,
    gives: /invalid .*before its head does$/,
  },
  {
    title: 'a head with line feeds alone',
    body: `--b\r\n${DISPOSITION}\n\nx\r\n--b--`,
    gives: /invalid .*CR LF$/,
  },
  {
    title: 'a line without a colon',
    body: onePart('x', `${DISPOSITION}\r\nnothing`),
    gives: /invalid .*"nothing", which is no field$/,
  },
  {
    title: 'a blank before a colon',
    body: onePart('x', 'Content-Disposition : form-data; name="a"'),
    gives: /invalid .*no field$/,
  },
  {
    title: 'a NUL byte in a head',
    body: onePart('x', 'Content-Disposition: form-data; name="a\0"'),
    gives: /invalid .*no field$/,
  },
  { title: 'no content-disposition', body: onePart('x', 'X: y'), gives: /invalid .*no content-disposition$/ },
  { title: 'no head', body: '--b\r\n\r\nx\r\n--b--', gives: /invalid .*no content-disposition$/ },
  {
    title: 'a part without a name',
    body: onePart('x', 'Content-Disposition: form-data; filename="f"'),
    gives: /invalid .*no form-data with a name$/,
  },
  {
    title: 'another disposition',
    body: onePart('x', 'Content-Disposition: attachment; name="a"'),
    gives: /invalid .*no form-data/,
  },
  {
    title: 'two names',
    body: onePart('x', 'Content-Disposition: form-data; name="a"; name="b"'),
    gives: /invalid .*no form-data/,
  },
  {
    title: 'two content-disposition',
    body: onePart('x', `${DISPOSITION}\r\n${DISPOSITION}`),
    gives: /invalid .*two content-disposition$/,
  },
  {
    title: 'two content-type',
    body: onePart('x', `${DISPOSITION}\r\nContent-Type: a/b\r\nContent-Type: c/d`),
    gives: /invalid .*two content-type$/,
  },
  {
    title: 'a quotation mark that is not closed',
    body: onePart('x', 'Content-Disposition: form-data; name="a'),
    gives: /invalid .*no form-data/,
  },
  {
    title: 'text behind a quotation mark',
    body: onePart('x', 'Content-Disposition: form-data; name="a"b'),
    gives: /invalid .*no form-data/,
  },
];

for (const { title, body, gives, boundary = 'b' } of CASES) {
  test(`MultipartReader reads ${title}, whole and cut at every byte`, async () => {
    const whole = shown(await readMultipart(body, boundary));
    if (typeof gives === 'string') assert.equal(whole, gives);
    else assert.match(whole, gives);
    for (let cut = 0; cut <= body.length; cut++)
      assert.equal(shown(await readMultipart(body, boundary, { cuts: [cut] })), whole, `cut at ${cut}`);
    const everywhere = Array.from({ length: body.length }, (_, i) => i);
    assert.equal(shown(await readMultipart(body, boundary, { cuts: everywhere })), whole, 'byte by byte');
  });
}

test('MultipartReader passes over contents that nobody reads', async () => {
  const body = `--b\r\n${DISPOSITION}\r\n\r\n${'x'.repeat(100_000)}\r\n${onePart('y')}`;
  assert.equal(shown(await readMultipart(body, 'b', { skips: true, cuts: [5000, 90_000] })), 'a| & a|');
});

function manyParts(count: number, content = ''): string {
  return `${`--b\r\n${DISPOSITION}\r\n\r\n${content}\r\n`.repeat(count)}--b--`;
}

/** The head of a part with `bytes` bytes, the blank line not counted. */
function headOf(bytes: number): string {
  const start = `${DISPOSITION}\r\nX: `;
  return `${start}${'v'.repeat(bytes - start.length - 2)}`;
}

test('MultipartReader takes as many parts as the limit says, and no more', async () => {
  assert.equal((await readMultipart(manyParts(PARTS_MAX), 'b')).failure, undefined);
  const { parts, failure } = await readMultipart(manyParts(PARTS_MAX + 1), 'b');
  assert.equal(parts.length, PARTS_MAX);
  assert.match(failure ?? '', /^limit .*100 \("parts"\)$/);
});

test('MultipartReader takes a head as long as the limit says, and none that is longer', async () => {
  assert.equal((await readMultipart(onePart('x', headOf(PART_HEAD_BYTES_MAX)), 'b')).failure, undefined);
  const { failure } = await readMultipart(onePart('x', headOf(PART_HEAD_BYTES_MAX + 1)), 'b');
  assert.match(failure ?? '', /^limit .*8192 \("head"\)$/);
});

test('MultipartReader refuses a line of a head without an end as soon as it is too long', async () => {
  const endless = `--b\r\n${'x'.repeat(1_000_000)}`;
  const { failure } = await readMultipart(endless, 'b', { cuts: [9000] });
  assert.match(failure ?? '', /^limit .*8192 \("head"\)$/);
  const padded = await readMultipart(`--b${' '.repeat(1_000_000)}\r\n`, 'b', { cuts: [9000] });
  assert.match(padded.failure ?? '', /^limit .*8192 \("head"\)$/);
});

test('MultipartReader takes as many lines of a head as the limit says, and no more', async () => {
  const lines = (count: number): string => `${DISPOSITION}${'\r\nX:'.repeat(count - 1)}`;
  assert.equal((await readMultipart(onePart('x', lines(PART_HEAD_LINES_MAX)), 'b')).failure, undefined);
  const { failure } = await readMultipart(onePart('x', lines(PART_HEAD_LINES_MAX + 1)), 'b');
  assert.match(failure ?? '', /^limit .*limit of 32$/);
});

test('MultipartReader takes a field as long as the limit says, and files of any length', async () => {
  const limits = { fieldBytes: 1000 };
  for (const cuts of [[], [500], [1040, 1041, 1042, 1043]]) {
    assert.equal((await readMultipart(onePart('x'.repeat(1000)), 'b', { limits, cuts })).failure, undefined);
    const { failure } = await readMultipart(onePart('x'.repeat(1001)), 'b', { limits, cuts });
    assert.match(failure ?? '', /^limit .*1000 \("field"\)$/);
    const file = onePart('x'.repeat(1001), `${DISPOSITION}; filename="f"`);
    assert.equal((await readMultipart(file, 'b', { limits, cuts })).failure, undefined);
  }
});

test('MultipartReader takes a body as long as the limit says, wherever it grows longer', async () => {
  const body = onePart('x'.repeat(1000)).trimEnd();
  const within = { limits: { bytes: body.length } };
  assert.equal((await readMultipart(body, 'b', within)).failure, undefined);
  for (const longer of [
    onePart('x'.repeat(1001)),
    `${'p'.repeat(2000)}\r\n${body}`,
    onePart('', headOf(1200)),
  ]) {
    const { failure } = await readMultipart(longer, 'b', { limits: { bytes: 1040 }, cuts: [20, 1050] });
    assert.match(failure ?? '', /^limit .*1040 \("size"\)$/, longer.slice(0, 10));
  }
});

test('MultipartReader stops when somebody else reads from the body', async () => {
  const body = new FakeBody();
  body.supply(onePart('0123456789'));
  const reader = new MultipartReader(new FormBody(body), 'b', MULTIPART_LIMITS);
  const part = reader.advance();
  assert.ok(typeof part === 'object' && !(part instanceof Error));
  assert.equal(part.body.queue.length, 10);
  body.queue.take(3);
  assert.equal(part.body.queue.length, 0);
  await new Promise<void>((resolve) => {
    part.body.request(1, resolve);
  });
  const next = reader.advance();
  assert.ok(next instanceof Error && next.code === 'LGW_FORM_READ');
});

// ---- bodies made to cost much ----

/** Processor time of this process for what `run` does, ms. */
async function cpuMs(run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const MEBIBYTE = 1024 * 1024;
const LONGEST = 'a'.repeat(70);
/** Bodies of 8 MiB in which a naive search would compare the boundary again and again. */
const BOMBS: Readonly<Record<string, string>> = {
  'carriage returns': '\r',
  'line ends': '\r\n',
  'fronts of a delimiter': '\r\n--',
  'boundaries without their last character': `\r\n--${LONGEST.slice(1)}`,
  'boundaries with another last character': `\r\n--${LONGEST.slice(1)}b`,
  'the character of the boundary': 'a',
};

for (const [what, piece] of Object.entries(BOMBS)) {
  test(`MultipartReader reads 8 MiB of ${what} in a time like that of any body`, async () => {
    const content = piece.repeat((8 * MEBIBYTE) / piece.length);
    const body = `--${LONGEST}\r\n${DISPOSITION}; filename="f"\r\n\r\n${content}\r\n--${LONGEST}--`;
    // pieces that cut what repeats at other places each time
    const cuts = Array.from({ length: Math.floor(body.length / 16_411) }, (_, i) => (i + 1) * 16_411);
    let form: ReadForm | undefined;
    const ms = await cpuMs(async () => {
      form = await readMultipart(body, LONGEST, { cuts });
    });
    assert.equal(form?.failure, undefined);
    assert.equal(form?.parts[0]?.content.length, content.length);
    // some 50 ms alone; what is compared 70 times at each byte takes many times this
    assert.ok(ms < 2000, `${ms} ms`);
  });
}

test('MultipartReader reads heads full of blanks in a time that grows with their length alone', async () => {
  const head = `${DISPOSITION}\r\nX: ${'y '.repeat(10)}${' '.repeat(7000)}y`;
  const body = `${`--b\r\n${head}\r\n\r\n\r\n`.repeat(PARTS_MAX)}--b--`;
  const ms = await cpuMs(async () => {
    assert.equal((await readMultipart(body, 'b')).failure, undefined);
  });
  assert.ok(ms < 1000, `${ms} ms`);
});
