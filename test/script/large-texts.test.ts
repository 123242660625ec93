/**
 * Encodings, queries and hashes of texts as large as a state can hold: they run in slices, and the caller pays for the work.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { calmRun, measuredRun } from '../support/measured-run.ts';
import { ScriptHarness } from '../support/script-harness.ts';
import { slowness } from '../support/stretch-meter.ts';
import { inForm } from '../support/test-form.ts';

const MEBIBYTE = 1024 * 1024;
/** An eighth of everything still takes several slices, so that others have turns; done at once it gives them none. */
const UNIT = inForm(MEBIBYTE / 8, MEBIBYTE);
/** For what takes a few nanoseconds a byte. */
const QUICK_UNIT = inForm(MEBIBYTE / 2, MEBIBYTE);
/** Turns of others beside work that takes at least three times as many slices. */
const TURNS_MIN = 2;
/** Refused where it begins, whatever its size. */
const REFUSED_EARLY = 'a query of nothing but separators';
/** A slice is 5 ms; a text of 24 MiB takes ten times this limit when it is processed at once. */
const STRETCH_MS_MAX = 80;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
/** Makes a text of all bytes, which needs escapes everywhere; its length is a multiple of no block size. */
function sample(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = i * 7919 + (i >> 8);
  return bytes;
}

const PERCENT: Readonly<Record<string, (byte: number) => string>> = {
  url: (byte) => percent(byte),
  query: (byte) => (byte === 32 ? '+' : percent(byte)),
  html: (byte) => {
    const character = String.fromCharCode(byte);
    const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
    return byte === 39 ? '&#39;' : (escapes[character] ?? character);
  },
};

function percent(byte: number): string {
  const character = String.fromCharCode(byte);
  return /[A-Za-z0-9\-._~]/.test(character)
    ? character
    : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

test('Texts of any length around a slice are encoded as the platform does, and decoded again', async () => {
  const slice = 96 * 1024;
  const harness = await ScriptHarness.load(
    `httpd = require 'httpd'
    httpd.register_handler('/encode', function(env)
      local s = httpd.read(nil, 'a')
      local e = httpd.encode(env.QUERY_INFO, s)
      if env.QUERY_INFO ~= 'html' then assert(httpd.decode(env.QUERY_INFO, e) == s) end
      httpd.write(nil, e)
    end)`,
  );
  try {
    for (const size of [0, 1, 2, 3, 41, slice - 1, slice, slice + 1, 2 * slice + 5, 4 * slice + 2]) {
      const body = sample(size);
      for (const kind of ['base64', 'base64url', 'hex'] as const) {
        const { text } = await harness.request(`/encode?${kind}`, { body });
        assert.equal(text, body.toString(kind), `${kind} of ${size} bytes`);
      }
      for (const [kind, encode] of Object.entries(PERCENT)) {
        const { text } = await harness.request(`/encode?${kind}`, { body });
        assert.equal(text, Array.from(body, encode).join(''), `${kind} of ${size} bytes`);
      }
    }
  } finally {
    await harness.close();
  }
});

test('base64 with line ends, and with faults at a place where slices meet', async () => {
  const slice = 96 * 1024;
  const { text } = await measuredRun(
    `text = ('YWJj\\r\\n'):rep(${slice})
    wrong = ('YWJj'):rep(${slice} // 4) .. '!' .. ('YWJj'):rep(9)
    padded = ('YWJj'):rep(${slice} // 4 - 1) .. 'YQ==YWJj'`,
    `local decode = httpd.decode
    httpd.write(nil, tostring(decode('base64', text) == ('abc'):rep(${slice}))
      .. ' ' .. tostring(decode('base64', wrong)) .. ' ' .. tostring(decode('base64', padded))
      .. ' ' .. tostring(decode('url', ('x'):rep(${slice} - 1) .. '%41y') == ('x'):rep(${slice} - 1) .. 'Ay')
      .. ' ' .. tostring(decode('url', ('x'):rep(${slice} - 1) .. '%4')))`,
  );
  assert.equal(text, 'true nil nil true nil');
});

const LARGE: Readonly<Record<string, readonly [prepare: string, body: string, expected: string]>> = {
  'html of nothing but signs': [
    `s = big('<', ${12 * UNIT})`,
    `httpd.write(nil, #httpd.encode('html', s))`,
    String(48 * UNIT),
  ],
  'url of blanks': [
    `s = big(' ', ${12 * UNIT})`,
    `httpd.write(nil, #httpd.encode('url', s))`,
    String(36 * UNIT),
  ],
  'a decoded url': [
    `s = big('%41a', ${24 * QUICK_UNIT})`,
    `httpd.write(nil, #httpd.decode('query', s))`,
    String(12 * QUICK_UNIT),
  ],
  'decoded base64': [
    `s = big('YWJj', ${24 * QUICK_UNIT})`,
    `httpd.write(nil, #httpd.decode('base64', s))`,
    String(18 * QUICK_UNIT),
  ],
  'decoded hex': [
    `s = big('4a', ${24 * QUICK_UNIT})`,
    `httpd.write(nil, #httpd.decode('hex', s))`,
    String(12 * QUICK_UNIT),
  ],
  'a query of one long value': [
    `s = 'a=' .. big('x+', ${16 * UNIT})`,
    `httpd.write(nil, #httpd.query(s).a)`,
    String(16 * UNIT),
  ],
  [REFUSED_EARLY]: [`s = big('&', ${50 * UNIT})`, `httpd.write(nil, select(3, httpd.query(s)))`, 'limit'],
  'a query of a table with many names': [
    `t = {} for i = 1, 100000 do t['k' .. i] = 'v' end`,
    `httpd.write(nil, #httpd.encode('query', t))`,
    String(100_000 * 4 + 488_895 - 1),
  ],
  'a hash': [
    `s = big('x', ${32 * QUICK_UNIT})`,
    `httpd.write(nil, httpd.crypto.hash('sha512', s, 'hex'))`,
    hex(
      createHash('sha512')
        .update(Buffer.alloc(32 * QUICK_UNIT, 'x'))
        .digest(),
    ),
  ],
};

for (const [what, [prepare, body, expected]] of Object.entries(LARGE)) {
  test(`Others get their turns beside ${what}`, async () => {
    const { text, stretchMs, log, turns } = await calmRun(STRETCH_MS_MAX, () => measuredRun(prepare, body));
    assert.equal(text, expected, log);
    assert(stretchMs < STRETCH_MS_MAX, `nobody else had a turn for ${stretchMs} ms`);
    assert(what === REFUSED_EARLY || turns >= TURNS_MIN, `others had ${turns} turns`);
  });
}

test('A text of 68 MiB of signs is encoded or refused, and the thread lives', async () => {
  for (const kind of inForm(['html'], ['html', 'url', 'query'])) {
    const { status, log } = await measuredRun(
      `s = big('<a', ${68 * MEBIBYTE})`,
      `httpd.write(nil, #httpd.encode('${kind}', s))`,
    );
    assert(status === 200 || (status === 500 && /not enough memory/.test(log)), `${kind}: ${status} ${log}`);
  }
});

test('A table that is too long for a query string is refused', async () => {
  const { text } = await measuredRun(
    `s = big('x', ${16 * MEBIBYTE})`,
    `httpd.write(nil, #httpd.encode('query', {[s:sub(4)] = ''}) .. ' ' .. select(2, pcall(httpd.encode, 'query', {[s] = ''})))`,
  );
  assert.equal(
    text,
    `${16 * MEBIBYTE - 2} cannot encode a table as query: it has more bytes than the limit of ${16 * MEBIBYTE}`,
  );
});

/** Twenty slices. */
const LOOP_LIMIT_MS = inForm(100, 200);

const LOOPS: Readonly<Record<string, string>> = {
  'large hashes': `httpd.crypto.hash('sha512', s)`,
  'small hashes': `httpd.crypto.hash('sha512', small)`,
  'large encodings': `httpd.encode('html', s)`,
  'small encodings': `httpd.encode('html', small)`,
  'large decodings': `httpd.decode('url', s)`,
  'large queries': `httpd.query(s)`,
};

for (const [what, call] of Object.entries(LOOPS)) {
  test(`The CPU limit ends a loop of ${what}`, async () => {
    const { status, log, stretchMs, cpuMs } = await calmRun(STRETCH_MS_MAX, () =>
      measuredRun(`s = big('x', ${16 * MEBIBYTE}) small = ('<'):rep(20000)`, `while true do ${call} end`, {
        cpuLimitMs: LOOP_LIMIT_MS,
      }),
    );
    assert.equal(status, 500);
    assert.match(log, /CPU limit reached.*limit=cpu/s);
    assert(stretchMs < STRETCH_MS_MAX, `nobody else had a turn for ${stretchMs} ms`);
    assert(cpuMs < LOOP_LIMIT_MS + 200 * slowness(), `it took ${cpuMs} ms`);
  });
}
