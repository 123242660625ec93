/** httpd.form and httpd.multipart: what curl and others send, as Lua sees it; limits, misuse, bodies that break off, memory. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { runShell } from '../support/run-shell.ts';
import { type HarnessOptions, outputOf, ScriptHarness, turn } from '../support/script-harness.ts';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';
import { plainUpstream } from '../support/upstream.ts';

const MULTIPART = ['content-type', 'multipart/form-data; boundary=b'];
const URLENCODED = ['content-type', 'application/x-www-form-urlencoded'];

/** A part of a body with the boundary `b`. */
function part(parameters: string, content: string): string {
  return `--b\r\nContent-Disposition: form-data; ${parameters}\r\n\r\n${content}\r\n`;
}

const TWO = `${part('name="a"', 'one')}${part('name="f"; filename="x.bin"', 'two\nlines')}--b--\r\n`;

interface Sent {
  readonly fields?: readonly string[];
  readonly body?: string;
}

/** Resolves with status and text of a handler with this body, and the log. */
async function answerOf(
  body: string,
  sent: Sent = {},
  options: HarnessOptions = {},
): Promise<{ status: number; text: string; log: string; broken: boolean }> {
  const harness = await ScriptHarness.run(body, options);
  try {
    const exchange = await harness.request('/run', { fields: MULTIPART, body: TWO, ...sent });
    await harness.expectNothingOpen();
    const { status, text, broken } = exchange;
    return { status, text, broken, log: harness.log.join('\n') };
  } finally {
    await harness.close();
  }
}

async function textOf(body: string, sent: Sent = {}): Promise<string> {
  const { status, text, log } = await answerOf(body, sent);
  assert.equal(status, 200, log);
  return text;
}

const SHOW_FORM = `local form, message, code = httpd.form()
  if not form then say(message, code) return end
  local names = {}
  for name in pairs(form) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = form[name]
    say(name, type(value) == 'table' and '{' .. table.concat(value, ',') .. '}' or value)
  end
  if #names == 0 then say('.') end`;

// ---- httpd.form ----

test('httpd.form reads an urlencoded form', async () => {
  const body = 'a=1&b=two+words&b=%C3%A9&c&d=';
  assert.equal(
    await textOf(SHOW_FORM, { fields: URLENCODED, body }),
    'a 1\nb {two words,\xc3\xa9}\nc true\nd \n',
  );
  assert.equal(await textOf(SHOW_FORM, { fields: URLENCODED, body: '' }), '.\n');
  const typed = ['Content-Type', 'Application/X-WWW-Form-Urlencoded; charset=UTF-8'];
  assert.equal(await textOf(SHOW_FORM, { fields: typed, body: 'a=1' }), 'a 1\n');
});

test('httpd.form reads the fields of a multipart form and passes over its files', async () => {
  const body = `${part('name="a"', '1')}${part('name="f"; filename="f"', 'x'.repeat(300_000))}${part('name="a"', '')}${part('name="b"', 'y'.repeat(100_000))}--b--`;
  assert.equal(await textOf(SHOW_FORM, { body }), `a {1,}\nb ${'y'.repeat(100_000)}\n`);
});

test('httpd.form gives the same table, or the same failure, each time', async () => {
  assert.equal(await textOf(`say(httpd.form() == httpd.form(), httpd.form().a)`), 'true one\n');
  const twice = `for i = 1, 2 do say(select(3, httpd.form())) end`;
  assert.equal(await textOf(twice, { body: 'nothing' }), 'invalid 400\ninvalid 400\n');
  assert.equal(await textOf(twice, { fields: URLENCODED, body: 'a=%zz' }), 'invalid 400\ninvalid 400\n');
});

test('httpd.form says what is wrong', async () => {
  const text = `local form, message, code = httpd.form() say(form, message, code)`;
  assert.match(
    await textOf(text, { fields: [], body: 'a=1' }),
    /^nil The request holds no form .*no content-type invalid\n$/,
  );
  assert.match(await textOf(text, { fields: ['content-type', 'text/plain'] }), /"text\/plain" invalid\n$/);
  for (const type of [
    'multipart/form-data',
    'multipart/form-data; boundary=',
    `multipart/form-data; boundary=${'b'.repeat(71)}`,
    'multipart/form-data; boundary="b "',
    'multipart/form-data; boundary=b; boundary=c',
    'multipart/mixed; boundary=b',
  ])
    assert.match(await textOf(text, { fields: ['content-type', type] }), /^nil .* invalid\n$/, type);
  assert.match(await textOf(text, { body: TWO.slice(0, -6) }), /^nil The form is malformed: .* invalid\n$/);
});

test('httpd.form reads as many bytes as the limit says, and no more', async () => {
  const text = (size: number): string =>
    `local form, message, code = httpd.form { size = ${size} } say(form and 'read' or message, code)`;
  const body = `a=${'x'.repeat(998)}`;
  assert.equal(await textOf(text(1000), { fields: URLENCODED, body }), 'read nil\n');
  assert.match(await textOf(text(999), { fields: URLENCODED, body }), /999 \("size"\) limit\n$/);
  const parts = `${part('name="ab"', 'x'.repeat(400))}${part('name="c"', 'y'.repeat(597))}--b--`;
  assert.equal(await textOf(text(1000), { body: parts }), 'read nil\n');
  assert.match(await textOf(text(999), { body: parts }), /999 \("size"\) limit\n$/);
  const long = `a=${'x'.repeat(1024 * 1024 - 2)}`;
  const plain = `local form, _, code = httpd.form() say(form and #form.a, code)`;
  assert.equal(await textOf(plain, { fields: URLENCODED, body: long }), '1048574 nil\n');
  assert.equal(await textOf(plain, { fields: URLENCODED, body: `${long}x` }), 'nil limit\n');
});

test('httpd.form reads 1000 parts, and no more', async () => {
  const text = `local form, message, code = httpd.form() say(form and #form.a or message, code)`;
  const fields = (count: number): string => `${part('name="a"', 'x').repeat(count)}--b--`;
  assert.equal(await textOf(text, { body: fields(1000) }), '1000 nil\n');
  assert.match(await textOf(text, { body: fields(1001) }), /1000 \("parts"\) limit\n$/);
  assert.equal(await textOf(text, { fields: URLENCODED, body: 'a&'.repeat(1000) }), '1000 nil\n');
  assert.match(await textOf(text, { fields: URLENCODED, body: 'a&'.repeat(1001) }), /limit of 1000 limit\n$/);
});

test('Misuse of httpd.form and httpd.multipart is an error', async () => {
  const text = `local function fails(f, ...) say((select(2, pcall(f, ...)):gsub('^[^:]*:%d+: ', ''))) end
    fails(httpd.form, 1) fails(httpd.form, {}, 1) fails(httpd.form, { many = 1 })
    fails(httpd.form, { size = 0 }) fails(httpd.form, { size = 16 * 1024 * 1024 + 1 }) fails(httpd.form, { size = '1' })
    fails(httpd.multipart, { parts = 10001 }) fails(httpd.multipart, { head = 65537 }) fails(httpd.multipart, { field = 1.5 })
    local parts = httpd.multipart { parts = 10000, head = 65536, field = 2^53 - 1, size = 2^53 - 1 }
    fails(httpd.multipart)
    local first = parts()
    fails(httpd.form)
    fails(httpd.write, first, 'x') fails(first.copy, first, io.tmpfile())
    parts()
    fails(httpd.read, first) fails(first.read, first) fails(httpd.close, first)
    say(first.name, first.nothing)`;
  assert.equal(
    await textOf(text),
    `bad argument #1 to 'httpd.form' (table expected, got number)
wrong number of arguments to 'form' (at most 1 expected, got 2)
form has no option "many"
option "size" is 0 (a whole number from 1 to 16777216 was expected)
option "size" is 16777217 (a whole number from 1 to 16777216 was expected)
option "size" is a string (a number was expected)
option "parts" is 10001 (a whole number from 1 to 10000 was expected)
option "head" is 65537 (a whole number from 1 to 65536 was expected)
option "field" is 1.5 (a whole number from 1 to 9007199254740991 was expected)
multipart was called before for this request
the request body has been read already
cannot write to a part
cannot write to a part
attempt to use a part after the next one was asked for
attempt to use a part after the next one was asked for
attempt to use a part after the next one was asked for
a nil
`,
  );
  assert.match(
    await textOf(`httpd.read(nil, 1) say(pcall(httpd.form)) say(pcall(httpd.multipart))`),
    /^false .*read already\nfalse .*read already\n$/,
  );
});

// ---- httpd.multipart ----

test('httpd.multipart gives the parts with their properties and contents', async () => {
  const text = `for part in httpd.multipart() do
      say(part.name, part.filename, part.type, part.headers['Content-Disposition'], tostring(part):match('^%a+'))
      say(part:read(2), httpd.read(part, 'l'), part:read('a'), part:read(), part:read(1))
    end
    say('end')`;
  assert.equal(
    await textOf(text),
    `a nil text/plain form-data; name="a" part
on e  nil nil
f x.bin text/plain form-data; name="f"; filename="x.bin" part
tw o lines nil nil
end
`,
  );
});

test('httpd.multipart passes over what is not read, and its iterator stays at the end', async () => {
  const text = `local parts = httpd.multipart()
    local first = parts()
    first:read(1)
    local second <close> = parts()
    say(second.name, parts(), parts())`;
  assert.equal(await textOf(text), 'f nil nil\n');
  assert.equal(
    await textOf(`for part in httpd.multipart() do part:close() collectgarbage() say(part.name) end`),
    'a\nf\n',
  );
});

test('httpd.copy moves a part to a file and to the client', async () => {
  const text = `for part in httpd.multipart() do
      local file <close> = io.tmpfile()
      say(httpd.copy(file, part, 2))
      say(httpd.copy(nil, part))
      file:seek('set')
      say(file:read('a'))
    end`;
  assert.equal(await textOf(text), '2\ne1\non\n2\no\nlines7\ntw\n');
});

test('A part of a request that has ended cannot be used, nor can its iterator', async () => {
  const harness = await ScriptHarness.load(`local httpd = require 'httpd'
    httpd.register_handler('/keep', function() parts = httpd.multipart() part = parts() httpd.write(nil, 'kept') end)
    httpd.register_handler('/use', function()
      httpd.write(nil, tostring(select(2, pcall(httpd.read, part))) .. '\\n' .. tostring(select(2, pcall(parts))))
    end)`);
  await harness.request('/keep', { fields: MULTIPART, body: TWO });
  const { text } = await harness.request('/use', { fields: MULTIPART, body: TWO });
  await harness.close();
  assert.match(text, /the request of the part has ended\n.*the parts belong to another request$/);
});

test('In a loop a malformed form is 400, one that is too large 413, and another type 415; the log stays quiet', async () => {
  const loop = `for part in httpd.multipart { parts = 1 } do httpd.read(part, 'a') end httpd.write(nil, 'not reached')`;
  for (const [sent, expected] of [
    [{ body: TWO.slice(0, 80) }, 400],
    [{ body: '' }, 400],
    [{ body: TWO }, 413],
    [{ fields: URLENCODED }, 415],
    [{ fields: [] }, 415],
  ] as const) {
    const { status, text, log } = await answerOf(
      `local ended <close> = setmetatable({}, { __close = function() closed = true end }) ${loop}`,
      sent,
    );
    assert.equal(status, expected, text);
    assert.doesNotMatch(log, /^(error|warn)/m);
  }
});

test('In a loop a malformed form cuts a response whose head is sent', async () => {
  const { broken, text } = await answerOf(
    `httpd.write(nil, 'begun') httpd.sleep(0) for _ in httpd.multipart() do end httpd.write(nil, 'not reached')`,
    { body: 'nothing' },
  );
  assert.deepEqual([broken, text], [true, 'begun']);
});

test('Called by hand the iterator gives nil, message, code', async () => {
  const text = `local parts = httpd.multipart { parts = 1 } local part, message, code, status = parts()
    while part do part, message, code, status = parts() end say(part, message, code) say(status, select('#', parts()))`;
  assert.match(await textOf(text), /^nil The form is too large: .* limit\n413 4\n$/);
  assert.match(
    await textOf(text, { body: TWO.slice(0, 40) }),
    /^nil The form is malformed: .* invalid\n400 4\n$/,
  );
  assert.match(
    await textOf(text, { fields: URLENCODED }),
    /^nil The request holds no multipart.* invalid\n415 4\n$/,
  );
});

test('Reads of a part that breaks off or is too long say so', async () => {
  const broken = part('name="a"; filename="f"', 'x'.repeat(1000)).slice(0, -3);
  const text = (call: string): string =>
    `local parts = httpd.multipart { field = 10 } local part = parts() say(${call}) say(select(3, part:read('a')))`;
  assert.match(
    await textOf(text(`httpd.copy(io.tmpfile(), part)`), { body: broken }),
    /^nil .*last boundary invalid\ninvalid\n$/,
  );
  assert.match(
    await textOf(text(`#part:read(10), part:read()`), { body: TWO.replace('one', 'x'.repeat(11)) }),
    /^10 nil .*10 \("field"\) limit\nlimit\n$/,
  );
});

test('A form that others read from, too, is an error', async () => {
  assert.match(
    await textOf(
      `local parts = httpd.multipart() parts() httpd.read(nil, 1) say(select(3, parts())) say(pcall(function() for _ in parts do end end))`,
    ),
    /^closed 500\nfalse .*the request body was read otherwise\n$/,
  );
});

test('A task that waits for a part gets an error when the next part is asked for, and only one waits for the next part', async () => {
  const harness = await ScriptHarness.run(`local parts = httpd.multipart()
    local part = parts()
    local reader = httpd.spawn(function() return httpd.read(part, 'a') end)
    local first = httpd.spawn(function() return parts().name end)
    httpd.sleep(0)
    say(pcall(parts))
    say(select(3, httpd.wait(reader)))
    say(select(3, httpd.wait(first)))`);
  const exchange = harness.begin('/run', { fields: MULTIPART, body: 'open' });
  exchange.body.supply(part('name="a"', 'begun').slice(0, -2));
  for (let i = 0; i < 20; i++) await turn();
  exchange.body.supply(`\r\n${part('name="b"', '')}--b--`);
  exchange.body.finish();
  await exchange.closed;
  await harness.close();
  assert.match(
    exchange.text,
    /^false .*another task waits for the next part\nnil Cannot read the part: the next one was asked for closed\nb\n$/,
  );
});

test('Where Lua cannot wait, parts that have arrived can be read, and others are an error', async () => {
  const harness = await ScriptHarness.run(`local parts = httpd.multipart()
    local out = {}
    httpd.sleep(0)
    table.sort({ 1, 2 }, function() out[1] = parts().name out[2] = select(2, pcall(parts)) return false end)
    say(out[1], out[2])`);
  const exchange = harness.begin('/run', { fields: MULTIPART, body: 'open' });
  exchange.body.supply(part('name="a"', 'x').slice(0, -3));
  await exchange.closed;
  await harness.close();
  assert.match(exchange.text, /^a .*cannot wait for a part here: a yield cannot cross this call\n/);
});

test('Responses of httpd.fetch have the functions of streams as methods', async () => {
  const upstream = await plainUpstream((_request, response) => response.end('body'));
  try {
    const text = `local r = assert(httpd.fetch('${upstream.url}/')) local file <close> = io.tmpfile()
      say(r:read(2), r.status, httpd.copy(file, r), pcall(r.write, r, 'x')) say(r:close(), pcall(r.read, r))`;
    assert.match(
      await outputOf(text),
      /^bo 200 2 false .*cannot write to a .*\ntrue false .*closed stream\n$/,
    );
  } finally {
    await upstream.close();
  }
});

// ---- the real program ----

const BIG_BYTES = 3 * 1024 * 1024 + 17;
const big = randomBytes(BIG_BYTES);
const api = readFileSync(join(PACKAGE_ROOT, 'docs/api.md'), 'utf8');

/** The example of a function in docs/api.md: the words of curl, the code, and what it answers. */
function example(heading: string): { words: string; code: string; answer: string } {
  const section = api.slice(api.indexOf(`\n## ${heading}`));
  const [, block = ''] = /```lua\n(.*?)```/s.exec(section) ?? [];
  const [, words = ''] = /^-- curl (.*)$/m.exec(block) ?? [];
  const answer = [...block.matchAll(/^--> (.*)$/gm)].map(([, line]) => line).join('\n');
  assert.ok(words !== '' && answer !== '', `${heading} has an example`);
  return { words, code: block, answer };
}

let gateway: TestGateway;

before(async () => {
  const code = (heading: string): string => example(heading).code.replace("'upload'", "'$FOLDER/upload'");
  gateway = await TestGateway.start(
    {
      '/': `local httpd = require 'httpd'
      httpd.register_handler('/form', function() ${code('httpd.form(')} end)
      httpd.register_handler('/multipart', function() ${code('httpd.multipart(')} end)
      httpd.register_handler('/store', function()
        local out = {}
        for part in httpd.multipart() do
          local file <close> = assert(io.open('$FOLDER/stored-' .. #out + 1, 'wb'))
          out[#out + 1] = part.name .. ' ' .. (part.filename or '-') .. ' ' .. part.type
          local bytes, message, code = httpd.copy(file, part)
          if not bytes then return httpd.exit(code == 'limit' and 413 or 400, message) end
          out[#out] = out[#out] .. ' ' .. bytes
          assert(httpd.close(file))
        end
        httpd.write(nil, table.concat(out, '\\n'))
      end)
      httpd.register_handler('/slow', function()
        for part in httpd.multipart() do
          local bytes = 0
          for piece in function() return part:read(1000) end do bytes = bytes + #piece end
          httpd.write(nil, bytes .. '\\n')
        end
      end)`,
    },
    {
      words: ['--max-body', '4000000'],
      prepare: (folder) => {
        writeFileSync(folder.file('big.bin'), big);
        writeFileSync(folder.file('photo.jpg'), Buffer.alloc(100_000, 7));
        writeFileSync(folder.file('a "b\\c.txt'), 'odd name');
      },
    },
  );
});

after(() => gateway.stop());

async function curl(words: string): Promise<string> {
  const { path } = gateway.folder;
  const { stdout } = await runShell(
    `curl -s --cacert cert.pem ${words}`.replace('cert.pem', gateway.folder.certificate),
    path,
  );
  return stdout.toString('latin1');
}

for (const [heading, path] of [
  ['httpd.form(', '/form'],
  ['httpd.multipart(', '/multipart'],
] as const) {
  test(`The example of ${heading}) in docs/api.md answers as it says there`, async () => {
    const { words, answer } = example(heading);
    assert.equal((await curl(`${words} ${gateway.url}${path}`)).trimEnd(), answer);
  });
}

for (const version of ['--http1.1', '--http2']) {
  test(`What curl -F sends is stored as it was (${version})`, async () => {
    const text = await curl(
      `${version} -F 'text=<photo.jpg' -F big=@big.bin -F 'odd=@"a \\"b\\\\c.txt";type=text/x-odd' -F empty= ${gateway.url}/store`,
    );
    const lines = text.split('\n');
    assert.match(lines[0] ?? '', /^text - \S+ 100000$/);
    assert.equal(lines[1], `big big.bin application/octet-stream ${BIG_BYTES}`);
    // curl writes a quotation mark as %22 or with a backslash, by its version
    assert.match(lines[2] ?? '', /^odd a (?:"|%22)b\\+c\.txt text\/x-odd 8$/);
    assert.equal(lines[3], 'empty - text/plain 0');
    assert.ok(readFileSync(gateway.folder.file('stored-2')).equals(big));
    assert.equal(await curl(`${version} -F big=@big.bin -F end=x ${gateway.url}/slow`), `${BIG_BYTES}\n1\n`);
  });
}

for (const protocol of PROTOCOLS) {
  test(`A form is refused with a status that says why (${protocol})`, async () => {
    const headers = { 'content-type': 'multipart/form-data; boundary=b' };
    const malformed = await gateway.ask(protocol, '/store', { method: 'POST', headers, body: 'nothing' });
    assert.equal(malformed.status, 400);
    const other = await gateway.ask(protocol, '/store', { method: 'POST', body: 'nothing' });
    assert.equal(other.status, 415);
    const long = `${part('name="a"', 'x'.repeat(1024 * 1024 + 1))}--b--`;
    assert.equal(
      (await gateway.ask(protocol, '/store', { method: 'POST', headers, body: long })).status,
      413,
    );
    const beyond = `${part('name="a"; filename="f"', 'x'.repeat(4_000_000))}--b--`;
    assert.equal(
      (await gateway.ask(protocol, '/store', { method: 'POST', headers, body: beyond, chunked: true }))
        .status,
      413,
    );
  });
}
