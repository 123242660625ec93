/** httpd.json: what it reads and writes, what it refuses and how, and that large texts let other handlers run. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { ScriptHarness } from '../support/script-harness.ts';

/** Describes a Lua value with its types: i1, f0x1p+0, "text", [..], {..}. */
const DESCRIBE = `
  local function describe(v)
    if v == httpd.json.null then return 'null' end
    if math.type(v) == 'integer' then return 'i' .. v end
    if math.type(v) == 'float' then return 'f' .. string.format('%.17g', v) end
    if type(v) == 'string' then return string.format('%q', v) end
    if type(v) ~= 'table' then return tostring(v) end
    local mt = getmetatable(v)
    local out = {}
    if mt and mt.__jsontype == 'array' then
      for i = 1, #v do out[i] = describe(v[i]) end
      return '[' .. table.concat(out, ',') .. ']'
    end
    for k, w in pairs(v) do out[#out + 1] = describe(k) .. '=' .. describe(w) end
    table.sort(out)
    return '{' .. table.concat(out, ',') .. '}'
  end`;

let harness: ScriptHarness;

before(async () => {
  harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    ${DESCRIBE}
    httpd.register_handler('/decode', function()
      local v, message, code = httpd.json.decode(httpd.read(nil, 'a'))
      if v == nil then httpd.write(nil, code .. ': ' .. message) else httpd.write(nil, describe(v)) end
    end)
    httpd.register_handler('/again', function()
      local v, message = httpd.json.decode(httpd.read(nil, 'a'))
      httpd.write(nil, httpd.json.encode(v))
    end)
    httpd.register_handler('/lua', function()
      local json = httpd.json
      local f = assert(load(httpd.read(nil, 'a'), '=chunk', 't', setmetatable({ json = json }, { __index = _G })))
      local ok, result = pcall(f)
      httpd.write(nil, tostring(result))
    end)`);
});

after(() => harness.close());

async function post(target: string, body: string | Uint8Array): Promise<string> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const { text } = await harness.request(target, { method: 'POST', body: bytes });
  return text;
}

/** Resolves with what decode makes of UTF-8 text, or with code and message. */
const decode = (text: string | Uint8Array): Promise<string> => post('/decode', text);
/** Resolves with the results of a chunk, which has `json`. */
const run = (chunk: string): Promise<string> => post('/lua', chunk);

test('json.decode() keeps integers of 64 bits and reads everything else as floats', async () => {
  const cases: readonly (readonly [string, string])[] = [
    ['0', 'i0'],
    ['-1', 'i-1'],
    ['123456789012345', 'i123456789012345'],
    ['9007199254740993', 'i9007199254740993'],
    ['9223372036854775807', 'i9223372036854775807'],
    ['-9223372036854775808', 'i-9223372036854775808'],
    ['9223372036854775808', 'f9.2233720368547758e+18'],
    ['-9223372036854775809', 'f-9.2233720368547758e+18'],
    ['100000000000000000000', 'f1e+20'],
    ['1.0', 'f1'],
    ['1e2', 'f100'],
    ['1E+2', 'f100'],
    ['1e-2', 'f0.01'],
    ['0.1', 'f0.10000000000000001'],
    ['-0', 'f-0'],
    ['-0.0', 'f-0'],
    ['5e-324', 'f4.9406564584124654e-324'],
    ['1e999', 'finf'],
    ['-1e999', 'f-inf'],
    [`0.${'0'.repeat(400)}1`, 'f0'],
  ];
  for (const [text, expected] of cases) assert.equal(await decode(text), expected, text);
});

test('json.decode() reads words, strings, lists and objects', async () => {
  const cases: readonly (readonly [string, string])[] = [
    ['true', 'true'],
    ['false', 'false'],
    ['null', 'null'],
    [' \t\r\n[ ]\n ', '[]'],
    ['[1,[2],[],{}]', '[i1,[i2],[],{}]'],
    ['{}', '{}'],
    ['{ }', '{}'],
    ['{"a":1,"b":[null],"":{"x":"y"}}', '{""={"x"="y"},"a"=i1,"b"=[null]}'],
    ['{"a":1,"a":2}', '{"a"=i2}'],
    ['"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\"\\\\/\\8\\12\\\n\\13\\9"'],
    ['"\\u0041\\u00e9\\u20ac\\ud83d\\ude00"', Buffer.from('"Aé€😀"').toString('latin1')],
    ['"é€😀"', Buffer.from('"é€😀"').toString('latin1')],
    ['"a\\u0000b"', '"a\\0b"'],
    [`"${'x'.repeat(100_000)}"`, `"${'x'.repeat(100_000)}"`],
    [`"\\n${'x'.repeat(100_000)}"`, `"\\\n${'x'.repeat(100_000)}"`],
    ['"\u007f"', '"\u007f"'],
  ];
  for (const [text, expected] of cases) {
    const got = await decode(text);
    assert.equal(got.replaceAll('\\127', '\u007f'), expected, text.slice(0, 40));
  }
});

test('json.decode() answers what is no JSON with nil, a message with the byte, and "invalid"', async () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', 'a value expected, the text ends at byte 1'],
    ['  ', 'a value expected, the text ends at byte 3'],
    ['[1,]', 'a value expected, got "]" at byte 4'],
    ['[1 2]', '"," or "]" expected, got "2" at byte 4'],
    ['[1', '"," or "]" expected, the text ends at byte 3'],
    ['[', 'a value expected, the text ends at byte 2'],
    ['[,1]', 'a value expected, got "," at byte 2'],
    ['{', 'a string as name expected, the text ends at byte 2'],
    ['{"a"}', '":" expected, got "}" at byte 5'],
    ['{"a":}', 'a value expected, got "}" at byte 6'],
    ['{"a":1,}', 'a string as name expected, got "}" at byte 8'],
    ['{a:1}', 'a string as name expected, got "a" at byte 2'],
    ['{"a":1 "b":2}', '"," or "}" expected, got "\\"" at byte 8'],
    ['{1:2}', 'a string as name expected, got "1" at byte 2'],
    ['1 2', 'the end expected, got "2" at byte 3'],
    ['[]]', 'the end expected, got "]" at byte 3'],
    ['01', 'no digit after a leading zero expected, got "1" at byte 2'],
    ['-', 'a digit expected, the text ends at byte 2'],
    ['-a', 'a digit expected, got "a" at byte 2'],
    ['1.', 'a digit expected, the text ends at byte 3'],
    ['1.e1', 'a digit expected, got "e" at byte 3'],
    ['1e', 'a digit expected, the text ends at byte 3'],
    ['1e+', 'a digit expected, the text ends at byte 4'],
    ['+1', 'a value expected, got "+" at byte 1'],
    ['.5', 'a value expected, got "." at byte 1'],
    ['0x10', 'the end expected, got "x" at byte 2'],
    ['NaN', 'a value expected, got "N" at byte 1'],
    ['Infinity', 'a value expected, got "I" at byte 1'],
    ['nul', 'a value expected, got "n" at byte 1'],
    ['True', 'a value expected, got "T" at byte 1'],
    ["'a'", 'a value expected, got "\'" at byte 1'],
    ['"a', 'a string does not end at byte 1'],
    ['"a\\', 'a string does not end at byte 1'],
    ['"a\\"', 'a string does not end at byte 1'],
    ['"\\x41"', 'an escape is invalid at byte 2'],
    ['"\\u12"', 'an escape is invalid at byte 2'],
    ['"\\u12g4"', 'an escape is invalid at byte 2'],
    ['"ab\\ud800"', 'an escape is half of a surrogate pair at byte 4'],
    ['"\\ud800\\u0041"', 'an escape is half of a surrogate pair at byte 2'],
    ['"\\udc00\\ud800"', 'an escape is half of a surrogate pair at byte 2'],
    ['"a\nb"', 'a string holds a control character at byte 3'],
    ['"a\0b"', 'a string holds a control character at byte 3'],
    ['\ufeff1', 'a value expected, got byte 0xef at byte 1'],
    ['[1]\0', 'the end expected, got byte 0x00 at byte 4'],
    ['// a\n1', 'a value expected, got "/" at byte 1'],
  ];
  for (const [text, expected] of cases)
    assert.equal(await decode(text), `invalid: Cannot decode JSON: ${expected}`, JSON.stringify(text));
});

test('json.decode() refuses strings that are not valid UTF-8', async () => {
  for (const bytes of ['ff', 'c080', 'eda080', 'f4908080', 'e282', '80', '5c6e ff']) {
    const text = Buffer.concat([
      Buffer.from('"'),
      Buffer.from(bytes.replace(' ', ''), 'hex'),
      Buffer.from('"'),
    ]);
    assert.equal(
      await decode(text),
      'invalid: Cannot decode JSON: a string is not valid UTF-8 at byte 1',
      bytes,
    );
  }
});

test('json.decode() reads 1000 levels and answers "limit" for 1001 and for 10,000', async () => {
  const nested = (n: number): string => `${'['.repeat(n)}${']'.repeat(n)}`;
  assert.equal(await decode(nested(1000)), nested(1000));
  const expected =
    'limit: Cannot decode JSON: it is nested deeper than the limit of 1000 levels at byte 1001';
  assert.equal(await decode(nested(1001)), expected);
  assert.equal(await decode(nested(10_000)), expected);
  assert.equal(await decode('['.repeat(10_000)), expected);
  assert.match(await decode('{"a":'.repeat(10_000)), /^limit: .* at byte 5001$/);
  assert.equal(await post('/again', nested(1000)), nested(1000));
});

test('json.decode() answers "limit" for a text above 64 MiB', async () => {
  const result = await run(
    `local s = string.rep(' ', 64 * 1024 * 1024) .. '1'
     return table.concat({ tostring(json.decode(s)), select(2, json.decode(s)), select(3, json.decode(s)) }, '|')`,
  );
  assert.equal(result, 'nil|Cannot decode JSON: it has 67108865 bytes and the limit is 67108864|limit');
});

test('json.encode() writes numbers so that they are the same when they are read again', async () => {
  const cases: readonly (readonly [string, string])[] = [
    ['1', '1'],
    ['-7', '-7'],
    ['math.maxinteger', '9223372036854775807'],
    ['math.mininteger', '-9223372036854775808'],
    ['9007199254740993', '9007199254740993'],
    ['1.0', '1.0'],
    ['-0.0', '-0.0'],
    ['0.1', '0.1'],
    ['1e100', '1e+100'],
    ['1e20', '100000000000000000000.0'],
    ['1/3', '0.3333333333333333'],
    ['5e-324', '5e-324'],
  ];
  for (const [value, expected] of cases) assert.equal(await run(`return json.encode(${value})`), expected);
});

test('json.encode() tells lists from objects', async () => {
  const cases: readonly (readonly [string, string])[] = [
    ['{}', '{}'],
    ['{1, 2, 3}', '[1,2,3]'],
    ['{json.null}', '[null]'],
    ['{a = 1}', '{"a":1}'],
    ['{[1] = "a", [2] = "b"}', '["a","b"]'],
    ['json.array({})', '[]'],
    ['json.array()', '[]'],
    ['{list = json.array(), map = {}}', '{"list":[],"map":{}}'],
    ['json.decode("[]")', '[]'],
    ['setmetatable({}, {__jsontype = "array"})', '[]'],
    ['setmetatable({}, {__jsontype = "object"})', '{}'],
    ['json.array({1, nil, 3})', '[1,null,3]'],
    ['json.null', 'null'],
    ['nil', 'null'],
    ['true', 'true'],
    ['"a"', '"a"'],
  ];
  for (const [value, expected] of cases)
    assert.equal(await run(`return json.encode(${value}, { sorted = true })`), expected, value);
});

test('json.encode() escapes what JSON asks for and leaves other UTF-8 as it is', async () => {
  const text = `${Array.from({ length: 128 }, (_, i) => String.fromCharCode(i)).join('')}é€😀\u2028`;
  const bytes = [...Buffer.from(text)].map((byte) => `\\${String(byte).padStart(3, '0')}`).join('');
  const { text: answer } = await harness.request('/lua', {
    method: 'POST',
    body: Buffer.from(`return json.encode("${bytes}")`),
  });
  assert.equal(Buffer.from(answer, 'latin1').toString(), JSON.stringify(text));
});

test('json.encode() sorts names and writes one entry a line', async () => {
  const value = '{b = {1, {}}, a = {}, c = {x = "y", l = json.array()}}';
  assert.equal(
    await run(`return json.encode(${value}, { sorted = true })`),
    '{"a":{},"b":[1,{}],"c":{"l":[],"x":"y"}}',
  );
  assert.equal(
    await run(`return json.encode(${value}, { sorted = true, pretty = true })`),
    JSON.stringify({ a: {}, b: [1, {}], c: { l: [], x: 'y' } }, undefined, 2),
  );
  assert.equal(
    await run('return (json.encode({ x = { 1 } }, { pretty = true }))'),
    JSON.stringify({ x: [1] }, undefined, 2),
  );
});

test('json.encode() raises for what JSON cannot hold', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['print', /^chunk:1: cannot encode a function as JSON$/],
    ['{coroutine.create(print)}', /cannot encode a thread as JSON$/],
    ['0/0', /cannot encode nan as JSON$/],
    ['1/0', /cannot encode inf as JSON$/],
    ['-1/0', /cannot encode inf as JSON$/],
    ['{[1.5] = 1}', /cannot encode a table with a number as key as JSON/],
    ['{[10] = 1}', /cannot encode a table with a number as key as JSON/],
    ['{[true] = 1}', /cannot encode a table with a boolean as key as JSON/],
    ['{1, 2, x = 3}', /cannot encode a table with x as key beside a list of 2 values as JSON$/],
    ['{1, 2, [0] = 3}', /cannot encode a table with 0 as key beside a list of 2 values as JSON$/],
    ['json.array({x = 1})', /cannot encode a table with x as key beside a list of 0 values as JSON$/],
    ['{1, nil, 3}', /cannot encode a list of 3 values with holes as JSON$/],
    ['"a\\255"', /cannot encode as JSON: a string is not valid UTF-8$/],
    ['{["\\255"] = 1}', /cannot encode as JSON: a string is not valid UTF-8$/],
    ['"\\n\\255"', /cannot encode as JSON: a string is not valid UTF-8$/],
    ['string.rep("x", 64 * 1024 * 1024)', /the text has more bytes than the limit of 67108864$/],
    ['1, { indent = 2 }', /json\.encode has no option "indent"$/],
    ['1, { pretty = 2 }', /option "pretty" is a number \(a boolean was expected\)$/],
    ['', /bad argument #1 to 'encode' \(value expected\)$/],
  ];
  for (const [value, expected] of cases) assert.match(await run(`return json.encode(${value})`), expected);
  assert.match(await run('local t = {} t[1] = { t } return json.encode(t)'), /a table that contains itself/);
  assert.match(await run('local t = {} t.a = t return json.encode(t)'), /a table that contains itself/);
  assert.match(
    await run('local t = {} for i = 1, 10000 do t = { t } end return json.encode(t)'),
    /tables are nested deeper than the limit of 1000 levels$/,
  );
  assert.match(
    await run('return json.array(setmetatable({}, {}))'),
    /cannot mark a table that has a metatable: give it __jsontype = 'array'$/,
  );
  assert.match(
    await run('return json.decode(nil)'),
    /bad argument #1 to 'decode' \(string expected, got nil\)$/,
  );
});

test('json.array() marks a table once and gives it back', async () => {
  assert.equal(await run('local t = {} return rawequal(json.array(json.array(t)), t)'), 'true');
});

test('json.encode() and decode() see env and header as they are', async () => {
  const other = await ScriptHarness.run(`say(httpd.json.encode(header, { sorted = true }))`);
  try {
    assert.deepEqual(typeof JSON.parse(await other.output({ fields: ['x-a', '1'] }))['x-a'], 'string');
  } finally {
    await other.close();
  }
});

test('json: every value JSON.parse makes comes back the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.json({ maxDepth: 5 }), async (text) => {
      assert.deepEqual(
        JSON.parse(Buffer.from(await post('/again', text), 'latin1').toString()),
        JSON.parse(text),
      );
    }),
    { numRuns: 300 },
  );
});

test('json.decode() accepts and refuses what JSON.parse does', async () => {
  const piece = fc.constantFrom(
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '"',
    '"a"',
    '1',
    '-',
    '0',
    '.',
    'e',
    'true',
    'null',
    ' ',
    '\\',
    '\\u00',
    '\n',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const text = pieces.join('');
      let expected = true;
      try {
        JSON.parse(text);
      } catch {
        expected = false;
      }
      assert.equal(!(await decode(text)).startsWith('invalid: '), expected, text);
    }),
    { numRuns: 1000 },
  );
});

test('json: a large text is read and written in slices, and others get their turns meanwhile', async () => {
  const list = `[${Array.from({ length: 300_000 }, (_, i) => `{"n":${i}}`).join(',')}]`;
  let turns = 0;
  let ended = false;
  const count = (): void => {
    turns += 1;
    if (!ended) setImmediate(count);
  };
  count();
  const answer = await post('/again', list);
  ended = true;
  assert.equal(answer, list);
  assert.ok(turns > 20, `${turns} turns`);
});

test('json: where nothing can wait, below table.sort, a large text is read in one go', async () => {
  const result = await run(
    `local s = '[' .. string.rep('1,', 200000) .. '1]'
     local n
     table.sort({ 1, 2 }, function(a, b) n = n or #json.encode(json.decode(s)); return a < b end)
     return n == #s`,
  );
  assert.equal(result, 'true');
});

test('json: a loop of decode ends at the CPU limit', async () => {
  const bounded = await ScriptHarness.load(
    `local httpd = require 'httpd'
     httpd.register_handler('/run', function()
       local s = '[' .. string.rep('{"a":[1,2,3]},', 100000) .. '1]'
       while true do httpd.json.decode(s) end
     end, { cpu = 0.2 })`,
  );
  try {
    const { status } = await bounded.request('/run');
    assert.equal(status, 500);
    assert.ok(bounded.log.some((line) => line.includes('CPU limit reached') && line.includes('limit=cpu')));
    assert.ok(!bounded.log.includes('error abandoned'), 'the state goes on');
  } finally {
    await bounded.close();
  }
});
