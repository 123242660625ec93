/** All 256 byte values pass unchanged: bodies both ways, fields, targets, files and pipes. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local function readAll()
    local parts = {}
    while true do
        local part = httpd.read(nil, 777)
        if not part then return table.concat(parts) end
        parts[#parts + 1] = part
    end
end
httpd.register_handler('/echo', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'application/octet-stream'}
    while true do
        local part = httpd.read(nil, 1000)
        if not part then break end
        httpd.write(nil, part)
    end
end)
httpd.register_handler('/check', function()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    all = table.concat(all)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, tostring(readAll() == all) .. ' ')
    httpd.write(nil, all)
end)
httpd.register_handler('/field', function(env, header)
    httpd.header{[':status'] = '200', ['x-bytes'] = header['x-bytes'], ['x-length'] = #header['x-bytes']}
end)
httpd.register_handler('/query', function(env)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, env.QUERY_INFO)
end)
httpd.register_handler('/file', function()
    local body = readAll()
    local file <close> = assert(io.open('$FOLDER/bytes.bin', 'w+b'))
    assert(httpd.write(file, body) == #body)
    file:seek('set')
    local again = httpd.read(file, #body)
    file:seek('set')
    assert(file:read('a') == again)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, again)
end)
httpd.register_handler('/pipe', function()
    local body = readAll()
    local name = os.tmpname()
    local out = assert(io.popen('cat > ' .. name, 'w'))
    assert(httpd.write(out, body) == #body)
    assert(out:close())
    local back <close> = assert(io.popen('cat ' .. name))
    httpd.header{[':status'] = '200'}
    httpd.write(nil, httpd.read(back, #body + 1))
    os.remove(name)
end)`;

/** Every value, then every pair of neighbours in another order; longer than one buffer of the way. */
const ALL = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const MANY = Buffer.concat(
  Array.from({ length: 300 }, (_, i) => Buffer.from(ALL.map((byte) => (byte * (2 * i + 1)) & 255))),
);

const WAYS = [
  { way: 'HTTP/1.1 with a length', protocol: 'h1', chunked: false },
  { way: 'HTTP/1.1 in chunks', protocol: 'h1', chunked: true },
  { way: 'HTTP/2', protocol: 'h2', chunked: false },
] as const;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { keeps: true });
});
after(() => gateway.stop());

for (const { way, protocol, chunked } of WAYS) {
  test(`All byte values come back from a body, a file and a pipe (${way})`, async () => {
    for (const path of ['/echo', '/file', '/pipe'])
      for (const body of [ALL, MANY]) {
        const answer = await gateway.ask(protocol, path, { method: 'POST', body, chunked });
        assert.equal(answer.status, 200, `${path}: ${gateway.log}`);
        assert.equal(digest(answer.body), digest(body), path);
        if (path === '/file')
          assert.equal(digest(readFileSync(gateway.folder.file('bytes.bin'))), digest(body));
      }
    const checked = await gateway.ask(protocol, '/check', { method: 'POST', body: ALL, chunked });
    assert.ok(checked.body.equals(Buffer.concat([Buffer.from('true '), ALL])), 'Lua sees the same bytes');
    await gateway.untilIdle();
  });
}

test('Every legal byte of a field value passes both ways', async () => {
  // RFC 9110 §5.5: visible characters, blanks inside, and the upper half as opaque bytes
  const legal = [
    9,
    ...Array.from({ length: 95 }, (_, i) => 32 + i),
    ...Array.from({ length: 128 }, (_, i) => 128 + i),
  ];
  const value = `<${Buffer.from(legal).toString('latin1')}>`;
  for (const protocol of PROTOCOLS) {
    const answer = await gateway.ask(protocol, '/field', { headers: { 'x-bytes': value } });
    assert.equal(answer.headers['x-length'], String(value.length), protocol);
    assert.equal(answer.headers['x-bytes'], value, protocol);
  }
});

test('Queries pass undecoded', async () => {
  for (const protocol of PROTOCOLS) {
    const query = "!$&'()*+,-./0:;=?@A_a~%00%0a%ff%zz|^`{}";
    assert.equal((await gateway.ask(protocol, `/query?${query}`)).text, query, protocol);
  }
});

function digest(bytes: Buffer): string {
  return `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`;
}
