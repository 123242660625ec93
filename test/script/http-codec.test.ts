import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HarnessOptions, outputOf } from '../support/script-harness.ts';

/** Lua code for the tests: shows items as lines, and runs a decoder or encoder over whole and split input. */
const SUPPORT = `
local http = require 'codecs/http'
local http_codec = require 'http-codec'

local function show(item)
  if type(item) == 'string' then return item == '' and 'end' or 'body ' .. ('%q'):format(item) end
  local out = { item.method and item.method .. ' ' .. item.path or item.code .. ' ' .. item.reason,
    item.version, tostring(item.keepAlive) }
  for i = 1, #item do out[#out + 1] = item[i][1] .. '=' .. item[i][2] end
  return table.concat(out, ' ')
end

-- joins adjacent strings, because how a body is cut does not matter
local function decode(codec, pieces)
  local items, at = {}, 0
  local function read() at = at + 1 return pieces[at] end
  local function write(item)
    if item == nil then items[#items + 1] = 'nil' return end
    local last = items[#items]
    if type(item) == 'string' and item ~= '' and type(last) == 'table' then last[1] = last[1] .. item
    elseif type(item) == 'string' and item ~= '' then items[#items + 1] = { item }
    else items[#items + 1] = show(item) end
  end
  codec(read, write)
  for i, item in ipairs(items) do if type(item) == 'table' then items[i] = show(item[1]) end end
  return table.concat(items, '\\n')
end

local function decoded(codec, bytes)
  local whole = decode(codec, { bytes })
  for i = 1, #bytes - 1 do
    local split = decode(codec, { bytes:sub(1, i), bytes:sub(i + 1) })
    if split ~= whole then error('split at ' .. i .. ':\\n' .. split .. '\\nwhole:\\n' .. whole) end
  end
  local bits = {}
  for i = 1, #bytes do bits[i] = bytes:sub(i, i) end
  assert(decode(codec, bits) == whole, 'byte by byte')
  return whole
end

local function encode(codec, items)
  local out, at = {}, 0
  codec(function() at = at + 1 return items[at] end, function(bytes) if bytes then out[#out + 1] = bytes end end)
  return table.concat(out)
end
`;

const output = async (body: string, options: HarnessOptions = {}): Promise<string> =>
  (await outputOf(`${SUPPORT}\n${body}`, options)).trimEnd();

for (const [what, side, input, expected] of [
  [
    'a GET',
    'server',
    'GET /path HTTP/1.1\r\nUser-Agent: Luvit-Test\r\n\r\n',
    ['GET /path 1.1 true User-Agent=Luvit-Test', 'end'],
  ],
  [
    'a GET with lines that end with LF',
    'server',
    'GET /path HTTP/1.1\nUser-Agent: Luvit-Test\n\n',
    ['GET /path 1.1 true User-Agent=Luvit-Test', 'end'],
  ],
  [
    'two pipelined requests of HTTP/1.0 that keep the connection',
    'server',
    'GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /b HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n',
    ['GET /a 1 true Connection=Keep-Alive', 'end', 'GET /b 1 true Connection=Keep-Alive', 'end'],
  ],
  [
    'an empty value',
    'server',
    'GET / HTTP/1.1\r\nX-Empty-Value:\r\n\r\n',
    ['GET / 1.1 true X-Empty-Value=', 'end'],
  ],
  [
    'a body with a length, and a request behind it',
    'server',
    'POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\nHello World\nDELETE / HTTP/1.1\r\n\r\n',
    ['POST / 1.1 true Content-Length=12', 'body "Hello World\\\n"', 'end', 'DELETE / 1.1 true', 'end'],
  ],
  [
    'a body of a GET, which is no request of its own',
    'server',
    'GET / HTTP/1.1\r\nContent-Length: 18\r\n\r\nGET /x HTTP/1.1\r\n\r\n'.slice(0, -1),
    ['GET / 1.1 true Content-Length=18', 'body "GET /x HTTP/1.1\\13\\\n\\13"', 'end'],
  ],
  [
    'a chunked body',
    'server',
    'PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n5\r\npedia\r\ne\r\n in\r\n\r\nchunks.\r\n0\r\n\r\n',
    ['PUT / 1.1 true Transfer-Encoding=chunked', 'body "Wikipedia in\\13\\\n\\13\\\nchunks."', 'end'],
  ],
  [
    'chunks with extensions and trailers',
    'server',
    'PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n',
    ['PUT / 1.1 true Transfer-Encoding=chunked', 'body "ab"', 'end', 'GET / 1.1 true', 'end'],
  ],
  [
    'a request of HTTP/1.0 without length, which has no body',
    'server',
    'POST / HTTP/1.0\r\n\r\n',
    ['POST / 1 false', 'end'],
  ],
  [
    'a response that ends with its connection',
    'client',
    'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nabc',
    ['200 OK 1 false Content-Type=text/plain', 'body "abc"', 'end'],
  ],
  [
    'responses with and without bodies',
    'client',
    'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    ['204 No Content 1.1 true', 'end', '200 OK 1.1 true Content-Length=2', 'body "ok"', 'end'],
  ],
] as const) {
  test(`V4: the ${side}'s decoder reads ${what}, split anywhere`, async () => {
    const text = await output(`say(decoded(http.${side}.decoder, ${JSON.stringify(input)}))`);
    const lines = [...expected, 'nil'].join('\n').replaceAll(/ 1 (true|false)/g, ' 1.0 $1');
    assert.equal(text, lines);
  });
}

test('V4: chunks that come in one piece are one item each, and the decoder gives event and rest', async () => {
  const text = await output(`
    local decode = http_codec.decoder()
    local rest = 'PUT / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n4\\r\\nWiki\\r\\n5\\r\\npedia\\r\\n'
      .. 'e\\r\\n in\\r\\n\\r\\nchunks.\\r\\n0\\r\\n\\r\\nGET'
    local item
    while true do
      item, rest = decode(rest)
      if item == nil then break end
      say(type(item) == 'table' and item.method or ('%q'):format(item))
    end
    say(rest)`);
  assert.equal(text, 'PUT\n"Wiki"\n"pedia"\n" in\\13\\\n\\13\\\nchunks."\n""\nGET');
});

for (const [what, input, message] of [
  [
    'a head of more than 8 KiB',
    `'GET / HTTP/1.1\\r\\nX: ' .. ('x'):rep(8192) .. '\\r\\n\\r\\n'`,
    'entity too large',
  ],
  ['a head that does not end', `'GET / HTTP/1.1\\r\\nX: ' .. ('x'):rep(8192)`, 'entity too large'],
  ['a line that is no request', `'BAD\\r\\n\\r\\n'`, 'expected HTTP data'],
  ['a method in small letters', `'get / HTTP/1.1\\r\\n\\r\\n'`, 'expected HTTP data'],
  ['a field without a colon', `'GET / HTTP/1.1\\r\\nbad\\r\\n\\r\\n'`, 'expected HTTP data'],
  [
    'a size of more than 16 digits',
    `'PUT / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n00000000000000001\\r\\n'`,
    'chunk-size field too large',
  ],
  [
    'a size that is negative as an integer',
    `'PUT / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nffffffffffffffff\\r\\n'`,
    'chunk-size field too large',
  ],
  [
    'a chunk that is longer than its size',
    `'PUT / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n1\\r\\nab\\r\\n'`,
    'expected HTTP data',
  ],
  [
    'a length and chunks',
    `'PUT / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\nContent-Length: 1\\r\\n\\r\\n'`,
    'expected HTTP data',
  ],
  [
    'two lengths',
    `'PUT / HTTP/1.1\\r\\nContent-Length: 2\\r\\nContent-Length: 1\\r\\n\\r\\n'`,
    'expected HTTP data',
  ],
] as const) {
  test(`V4: the decoder refuses ${what}`, async () => {
    assert.equal(await output(`say(select(2, pcall(decode, http.server.decoder, { ${input} })))`), message);
    const bits = `local bytes, bits = ${input}, {} for i = 1, #bytes do bits[i] = bytes:sub(i, i) end`;
    assert.equal(await output(`${bits} say(select(2, pcall(decode, http.server.decoder, bits)))`), message);
  });
}

for (const [what, items, expected] of [
  ['a head with its reason', `{ code = 200 }`, 'HTTP/1.1 200 OK\r\n\r\n'],
  [
    'luvit’s own reasons',
    `{ code = 302 }, { code = 408 }`,
    'HTTP/1.1 302 Moved Temporarily\r\n\r\nHTTP/1.1 408 Request Time-out\r\n\r\n',
  ],
  ['a code nobody knows', `{ code = 299 }`, 'HTTP/1.1 299 Unknown reason\r\n\r\n'],
  [
    'a reason and a version of its own',
    `{ code = 200, reason = 'Fine', version = 1.0 }`,
    'HTTP/1.0 200 Fine\r\n\r\n',
  ],
  [
    'values that are no strings, and values with line feeds',
    `{ code = 200, { 'A', 1 }, { 'B', 'x\\r\\n\\r\\ny' } }, 'raw', '', 'more'`,
    'HTTP/1.1 200 OK\r\nA: 1\r\nB: x y\r\n\r\nrawmore',
  ],
  [
    'chunks ended by an empty string',
    `{ code = 200, { 'Transfer-Encoding', 'chunked' } }, 'Hello', ' World!!!', ''`,
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n9\r\n World!!!\r\n0\r\n\r\n',
  ],
  [
    'chunks ended by the end',
    `{ code = 200, { 'Transfer-Encoding', 'chunked' } }, 'Hello'`,
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n',
  ],
  [
    'chunks ended by the next head',
    `{ code = 200, { 'Transfer-Encoding', 'chunked' } }, 'Hello', { code = 304 }`,
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n',
  ],
  [
    'a request',
    `{ method = 'GET', path = '/my-resource', { 'Host', 'a' } }`,
    'GET /my-resource HTTP/1.1\r\nHost: a\r\n\r\n',
  ],
] as const) {
  test(`V4: the encoder writes ${what}`, async () => {
    for (const side of ['server', 'client'])
      assert.equal(
        await output(`say(('%q'):format(encode(http.${side}.encoder, { ${items} })))`),
        `"${expected.replaceAll('\r', '\\13').replaceAll('\n', '\\\n')}"`,
      );
  });
}

test('V4: chain joins decoder, app and encoder, and every answer is out before the next input is read', async () => {
  const text = await output(`
    local codec = require 'codec'
    local inputs, out = { 'GET /1 HTTP/1.1\\r\\n\\r', '\\nGET /2 HTTP/1.1\\r\\n\\r\\nGET /3 HTTP/1.1\\r\\n\\r\\n' }, {}
    local function read()
      out[#out + 1] = '<'
      httpd.sleep(0)
      return table.remove(inputs, 1)
    end
    local function write(bytes) out[#out + 1] = bytes and bytes:match('^HTTP') or bytes or 'nil' end
    local function app(read, write)
      for req in read do
        if req ~= '' then
          write({ code = 200, { 'Content-Length', #req.path } })
          httpd.sleep(0)
          write(req.path)
        end
      end
      write()
    end
    codec.chain(http.server.decoder, app, http.server.encoder)(read, write)
    say(table.concat(out, ' '))`);
  assert.equal(text, '< < HTTP /1 HTTP /2 HTTP /3 < nil');
});

test('V4: an error in a link is the chain’s, and a link that ends early does not hold the others', async () => {
  const text = await output(`
    local codec = require 'codec'
    say(pcall(codec.chain(function(read) read() error('broken', 0) end, function(read) read() end), function() end, print))
    local n = 0
    codec.chain(function(_, write) for i = 1, 10 do write(i) end end, function(read) n = read() end)()
    say(n)
    local sum = 0
    codec.chain(
      function(_, write) for i = 1, 10 do write(i) end end,
      function(read, write) for i in read do write(i * 2) write(1) end end,
      function(read) for i in read do sum = sum + i end end)()
    say(sum)`);
  assert.equal(text, 'false broken\n1\n120');
});

test('V4: wrapStream makes read and write of a socket with callbacks', async () => {
  const text = await output(`
    local codec = require 'codec'
    local log, on_read = {}
    local socket = {
      read_start = function(_, callback) log[#log + 1] = 'start' on_read = callback end,
      read_stop = function() log[#log + 1] = 'stop' end,
      write = function(_, bytes) log[#log + 1] = 'write ' .. bytes end,
      shutdown = function(_, done) log[#log + 1] = 'shutdown' done() end,
      close = function() log[#log + 1] = 'close' end,
    }
    local read, write = codec.wrapStream(socket)
    local thread = coroutine.wrap(function()
      for bytes in read do write(bytes:upper()) end
      write()
    end)
    thread()
    on_read(nil, 'a')
    on_read(nil, 'b')
    on_read(nil, nil)
    say(table.concat(log, ', '))`);
  assert.equal(text, 'start, write A, write B, shutdown, close');
});

test('V4: wrapEmitter makes read and write of an emitter', async () => {
  const text = await output(`
    local codec = require 'codec'
    local handlers, log = {}, {}
    local emitter = { on = function(_, name, handler) handlers[name] = handler end }
    function emitter:write(item) log[#log + 1] = 'write ' .. item end
    function emitter:shutdown() log[#log + 1] = 'shutdown' end
    local read, write = codec.wrapEmitter(emitter)
    handlers.data('early')
    local thread = coroutine.wrap(function()
      for item in read do write(item) end
      write()
    end)
    thread()
    handlers.data('late')
    handlers['end']()
    say(table.concat(log, ', '))`);
  assert.equal(text, 'write early, write late, shutdown');
});

test('V4: modules of the script come before those of the package, which are found under a root as well', async () => {
  const files = { 'codec.lua': `return { name = 'own' }` };
  for (const rooted of [false, true]) {
    assert.equal(await output(`say(require 'codec'.name)`, { files, rooted }), 'own');
    assert.equal(
      await output(`say(type(require 'codec'.chain), require 'http-codec' == http_codec)`, { rooted }),
      'function true',
    );
  }
  assert.match(
    await output(`say(select(2, pcall(require, 'missing')))`),
    /no module 'missing' in the package/,
  );
});
