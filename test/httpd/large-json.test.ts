/** JSON as large as a state can hold, in every direction: other handlers run meanwhile, and the caller pays for the work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JSON_NUMBER_BYTES_MAX } from '../../src/httpd/json-limits.ts';
import { calmRun, type MeasuredRun, measuredRun } from '../support/measured-run.ts';
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
const REFUSED_EARLY = 'a number of millions of digits';
/** Names that are sorted, or of one table. */
const NAMES = inForm(50_000, 200_000);
const LONG_NAMES = inForm(40, 100);
const DEEP_ENTRIES = inForm(5000, 20_000);
/** A slice is 5 ms; work of this size takes several times this limit when it is done at once. */
const STRETCH_MS_MAX = 80;
/** With a table that grows to a million entries: Lua moves them all in one step, which takes 60 ms. At once it would all take 350 ms. */
const GROWTH_MS_MAX = 160;

/** Runs `body` with `json` in addition to `httpd`. */
function run(prepare: string, body: string, limits?: { cpuLimitMs: number }): Promise<MeasuredRun> {
  return measuredRun(`json = httpd.json ${prepare}`, body, limits);
}

/** Makes numbers at nesting level 1000, one entry on each line. */
function deepList(): string {
  let list: unknown = Array.from({ length: DEEP_ENTRIES }, (_, i) => i + 1);
  for (let i = 1; i < 1000; i++) list = [list];
  return JSON.stringify(list, undefined, 2);
}

/** Digits of all numbers from 1. */
function digitsUpTo(last: number): number {
  return Array.from({ length: last }, (_, i) => String(i + 1)).join('').length;
}

const LARGE: Readonly<
  Record<string, readonly [prepare: string, body: string, expected: string, stretchMsMax?: number]>
> = {
  'a long string that is read': [
    `s = '"' .. big('x', ${32 * UNIT}) .. '"'`,
    `httpd.write(nil, #json.decode(s))`,
    String(32 * UNIT),
  ],
  'a long string of escapes that is read': [
    `s = '"' .. big([[\\u00e9\\n]], ${24 * UNIT}) .. '"'`,
    `local v = json.decode(s) httpd.write(nil, #v .. ' ' .. v:sub(1, 6):byte(1, -1) .. ' ' .. tostring(v:sub(-3) == '\\u{e9}\\n'))`,
    `${(24 * UNIT * 3) / 8} 195 true`,
  ],
  'a long string of other characters, there and back': [
    `s = '"' .. big('a\\u{20ac}\\u{e9}\\u{1f600}xyz', ${16 * UNIT}) .. '"'`,
    `httpd.write(nil, tostring(json.encode((json.decode(s))) == s))`,
    'true',
  ],
  'a long string that is written': [
    `s = big('x', ${32 * UNIT})`,
    `httpd.write(nil, #json.encode(s))`,
    String(32 * UNIT + 2),
  ],
  'a long string of nothing but control characters': [
    `s = big('\\1', ${8 * UNIT})`,
    `httpd.write(nil, #json.encode({ s }))`,
    String(6 * 8 * UNIT + 4),
  ],
  'a string that does not end': [
    `s = '"' .. big('x', ${16 * QUICK_UNIT})`,
    `httpd.write(nil, (select(2, json.decode(s))))`,
    'Cannot decode JSON: a string does not end at byte 1',
  ],
  'blanks between all tokens': [
    `b = big(' \\n', ${8 * QUICK_UNIT}) s = b .. '{' .. b .. '"a"' .. b .. ':' .. b .. '1' .. b .. '}' .. b`,
    `httpd.write(nil, json.decode(s).a)`,
    '1',
  ],
  [REFUSED_EARLY]: [
    `s = '[' .. big('1', ${32 * UNIT}) .. ']'`,
    `httpd.write(nil, table.concat({select(2, json.decode(s))}, ' '))`,
    `Cannot decode JSON: a number has more characters than the limit of ${JSON_NUMBER_BYTES_MAX} at byte 2 limit`,
  ],
  'a list of a million entries, there and back': [
    `s = '[' .. ('1,'):rep(999999) .. '1]'`,
    `httpd.write(nil, tostring(json.encode((json.decode(s))) == s))`,
    'true',
    GROWTH_MS_MAX,
  ],
  'a list that turns out to be none behind a million entries': [
    `t = {} for i = 1, 1000000 do t[i] = i end t.x = 1`,
    `httpd.write(nil, select(2, pcall(json.encode, t)))`,
    'cannot encode a table with x as key beside a list of 1000000 values as JSON',
  ],
  'many names in their order': [
    `t = {} for i = 1, ${NAMES} do t[('%06d'):format(i)] = i end`,
    `local s = json.encode(t, { sorted = true })
    local last, sorted = '', true
    for name in s:gmatch('"(%d+)"') do sorted = sorted and last < name last = name end
    httpd.write(nil, tostring(sorted) .. ' ' .. last)`,
    `true ${String(NAMES).padStart(6, '0')}`,
  ],
  'many long names that are equal but for their ends': [
    `t, p = {}, big('n', 131072) for i = 1, ${LONG_NAMES} do t[p .. i] = i end`,
    `httpd.write(nil, #json.encode(t, { sorted = true }))`,
    String(
      // quotes, colon and comma of each; its digits twice
      LONG_NAMES * (131_072 + 4) + 2 * digitsUpTo(LONG_NAMES) - 1 + 2,
    ),
  ],
  'entries on lines of their own, a thousand levels deep': [
    `t = {} for i = 1, ${DEEP_ENTRIES} do t[i] = i end for i = 1, 999 do t = { t } end`,
    `httpd.write(nil, #json.encode(t, { pretty = true }))`,
    String(deepList().length),
  ],
};

for (const [what, [prepare, body, expected, stretchMsMax = STRETCH_MS_MAX]] of Object.entries(LARGE)) {
  test(`Others get their turns beside ${what}`, async () => {
    const { text, stretchMs, log, turns } = await calmRun(stretchMsMax, () => run(prepare, body));
    assert.equal(text, expected, log);
    assert(stretchMs < stretchMsMax, `nobody else had a turn for ${stretchMs} ms`);
    assert(what === REFUSED_EARLY || turns >= TURNS_MIN, `others had ${turns} turns`);
  });
}

const LIMITS: Readonly<Record<string, readonly [lua: string, expected: RegExp]>> = {
  'a number of 4096 characters': [`return #tostring(json.decode(('1'):rep(4096)))`, /^3$/],
  'a fraction of 4096 characters': [`return json.decode('0.' .. ('1'):rep(4094)) < 1`, /^true$/],
  'a number of 4097 characters': [`return json.decode(('1'):rep(4097))`, /a number has more characters/],
  'a fraction of 4097 characters': [`return json.decode('0.' .. ('1'):rep(4095))`, /a number has more/],
  'a point behind 4096 digits': [`return json.decode(('1'):rep(4096) .. '.1')`, /a number has more/],
  'an exponent of 5000 digits': [`return json.decode('1e' .. ('0'):rep(5000))`, /a number has more/],
  'a name of 256 KiB': [`return #next(json.decode('{"' .. ('n'):rep(262144) .. '":1}'))`, /^262144$/],
  'a name of one byte more': [
    `return json.decode('{"' .. ('n'):rep(262145) .. '":1}')`,
    /^nil Cannot decode JSON: a name has more bytes than the limit of 262144 at byte 2 limit$/,
  ],
  'a name of 256 KiB that is written': [`return #json.encode {[('n'):rep(262144)] = 1}`, /^262150$/],
  'a name of one byte more that is written': [
    `return json.encode {[('n'):rep(262145)] = 1}`,
    /^cannot encode as JSON: a name has 262145 bytes and the limit is 262144$/,
  ],
  'a name of one byte more that is sorted': [
    `return json.encode({[('n'):rep(262145)] = 1}, {sorted = true})`,
    /^cannot encode as JSON: a name has 262145 bytes and the limit is 262144$/,
  ],
  'names of more than 16 MiB that are sorted': [
    `local n = ('n'):rep(262140) local t = {} for i = 1, 64 do t[n .. i] = i end
    for i = 1, 3 do assert(not pcall(json.encode, t, {sorted = true})) end
    t[n .. 1] = nil
    assert(#json.encode(t, {sorted = true}) > 2^23)
    t[n .. 1] = 1 return json.encode(t, {sorted = true})`,
    /^cannot encode as JSON: the names being sorted have more bytes than the limit of 16777216$/,
  ],
  'a fault behind megabytes': [
    `return json.decode('["' .. ('x'):rep(200000) .. [[\\ud800]] .. ('x'):rep(200000) .. '"]')`,
    /^nil Cannot decode JSON: an escape is half of a surrogate pair at byte 200003 invalid$/,
  ],
  'a control character behind kilobytes': [
    `return json.decode('["' .. ('x'):rep(200000) .. '\\1"]')`,
    /^nil Cannot decode JSON: a string holds a control character at byte 200003 invalid$/,
  ],
  'bytes that are no UTF-8 where pieces meet': [
    `for i = 98290, 98310 do
      local s = '"' .. ('x'):rep(i) .. '\\xe2\\x82' .. ('x'):rep(100000) .. '"'
      assert(select(3, json.decode(s)) == 'invalid')
      assert(not pcall(json.encode, s:sub(2, -2)))
      s = '"' .. ('x'):rep(i) .. '\\u{20ac}\\u{1f600}' .. ('x'):rep(100000) .. '"'
      assert(json.encode(json.decode(s)) == s)
    end`,
    /^$/,
  ],
  'escapes where pieces meet': [
    `for i = 8170, 8200 do
      for _, e in ipairs { [[\\n]], [[\\"]], [[\\\\]], [[\\u0001]] } do
        local s = '"' .. ('x'):rep(i) .. e .. ('x'):rep(100000) .. '"'
        assert(json.encode(json.decode(s)) == s)
        s = '"' .. ('x'):rep(i) .. e .. '"'
        assert(json.encode(json.decode(s)) == s)
        s = '"' .. ('x'):rep(90000 + i) .. e:rep(100) .. '"'
        assert(json.encode(json.decode(s)) == s)
      end
    end`,
    /^$/,
  ],
};

test('What is at a limit is taken, what is above is refused, and where pieces meet nothing changes', async (t) => {
  const harness = await ScriptHarness.load(
    `httpd = require 'httpd' json = httpd.json
    httpd.register_handler('/run', function()
      local r = table.pack(select(2, pcall(assert(load(httpd.read(nil, 'a'))))))
      for i = 1, r.n do r[i] = tostring(r[i]) end
      httpd.write(nil, table.concat(r, ' '))
    end)`,
  );
  try {
    for (const [what, [lua, expected]] of Object.entries(LIMITS))
      await t.test(what, async () => {
        const { text } = await harness.request('/run', { body: Buffer.from(lua) });
        assert.match(text.replace(/^.*:\d+: /, ''), expected);
      });
  } finally {
    await harness.close();
  }
});

/** All texts that are not finished would together be more than a state of 256 MiB holds. */
const ROWS = inForm(30, 40);

test('Texts that were not written to their end leave no memory behind', async () => {
  const { text, log } = await run(
    `t = {} for i = 1, ${ROWS} do t[i] = big('x', ${MEBIBYTE}) end t[${ROWS + 1}] = print`,
    `for i = 1, ${inForm(8, 12)} do pcall(json.encode, t) end
    for i = 1, 6 do
      local task = httpd.spawn(json.encode, t)
      httpd.sleep(0.01)
      httpd.kill(task)
    end
    t[${ROWS + 1}] = nil
    httpd.write(nil, #json.encode(t))`,
  );
  assert.equal(text, String(ROWS * (MEBIBYTE + 3) + 1), log);
});

/** Twenty slices. */
const LOOP_LIMIT_MS = inForm(100, 200);

const LOOPS: Readonly<Record<string, string>> = {
  'small texts': `json.encode(json.decode('[1,2,3]'))`,
  'long strings': `json.decode(s)`,
  'lists that are none': `pcall(json.encode, list)`,
  'sorted names': `json.encode(names, { sorted = true })`,
};

for (const [what, call] of Object.entries(LOOPS)) {
  test(`The CPU limit ends a loop of ${what}`, async () => {
    const { status, log, stretchMs, cpuMs } = await calmRun(STRETCH_MS_MAX, () =>
      run(
        `s = '"' .. big('x', ${16 * MEBIBYTE}) .. '"'
        list, names = {}, {} for i = 1, 100000 do list[i] = i names['n' .. i] = i end list.x = 1`,
        `while true do ${call} end`,
        { cpuLimitMs: LOOP_LIMIT_MS },
      ),
    );
    assert.equal(status, 500);
    assert.match(log, /CPU limit reached.*limit=cpu/s);
    assert(stretchMs < STRETCH_MS_MAX, `nobody else had a turn for ${stretchMs} ms`);
    assert(cpuMs < LOOP_LIMIT_MS + 200 * slowness(), `it took ${cpuMs} ms`);
  });
}
