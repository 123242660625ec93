/** RFC 7541: what a decoder has to accept, refuse and keep, and what the encoder of a server may send. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import hpack from 'hpack.js';
import { expectUnreached, rule, serveRules } from '../../../support/conformance.ts';
import {
  block,
  CODE,
  headersFrame,
  hpackInteger,
  indexed,
  literal,
  literalIndexed,
  literalNever,
  requestFields,
  SETTING,
  settingsFrame,
  tableSizeUpdate,
} from '../../../support/h2-bytes.ts';
import type { StrictPeer } from '../../../support/strict-peer.ts';
import { FRAME } from '../../../support/wire-client.ts';

serveRules();

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const fields = block(requestFields('/fields'));

/** Declares a rule that a block is a COMPRESSION_ERROR. */
function undecodable(name: string, ...parts: readonly Uint8Array[]): void {
  rule(name, async (peer) => {
    peer.send(headersFrame(1, Buffer.concat(parts)));
    await peer.expectGoaway(CODE.compressionError);
    expectUnreached('/fields');
  });
}

async function ask(peer: StrictPeer, stream: number, ...parts: readonly Uint8Array[]): Promise<string[]> {
  peer.send(headersFrame(stream, Buffer.concat([fields, ...parts])));
  return (JSON.parse((await peer.expectResponse(stream)).body) as string[]).slice(4);
}

/** Like `ask`, with representations that are legal only at the beginning of a block. */
async function askAfter(
  peer: StrictPeer,
  stream: number,
  before: Uint8Array,
  ...parts: readonly Uint8Array[]
): Promise<string[]> {
  peer.send(headersFrame(stream, Buffer.concat([before, fields, ...parts])));
  return (JSON.parse((await peer.expectResponse(stream)).body) as string[]).slice(4);
}

// ---- §2.3, §6.1 tables ----

rule('RFC 7541 §2.3.1: the static table has the fields of appendix A', async (peer) => {
  // :method GET, :path /, :scheme https; then literals of :authority and :path by the index of their names
  peer.send(
    headersFrame(1, Buffer.concat([hex('82 87'), literalNever(1, 'localhost'), literalNever(4, '/fields')])),
  );
  deepStrictEqual(JSON.parse((await peer.expectResponse(1)).body), ['GET', 'https', 'localhost', '/fields']);
  deepStrictEqual(await ask(peer, 3, indexed(16), indexed(61), indexed(15)), [
    'accept-encoding',
    'gzip, deflate',
    'www-authenticate',
    '',
    'accept-charset',
    '',
  ]);
});

undecodable('RFC 7541 §6.1: index 0 is a COMPRESSION_ERROR', fields, hex('80'));
undecodable(
  'RFC 7541 §2.3.3: index 62 of an empty dynamic table is a COMPRESSION_ERROR',
  fields,
  indexed(62),
);
undecodable('RFC 7541 §2.3.3: a huge index is a COMPRESSION_ERROR', fields, indexed(100_000));
for (const [name, pattern, bits] of [
  ['§6.2.1: a literal that is indexed', 0x40, 6],
  ['§6.2.2: a literal that is not indexed', 0x00, 4],
  ['§6.2.3: a literal that is never indexed', 0x10, 4],
] as const)
  undecodable(
    `RFC 7541 ${name} with a name beyond the tables is a COMPRESSION_ERROR`,
    fields,
    hpackInteger(70, bits, pattern),
    hex('0161'),
  );

rule('RFC 7541 §6.2.1: a literal with indexing is added to the dynamic table', async (peer) => {
  deepStrictEqual(await ask(peer, 1, literalIndexed('x-one', '1'), literalIndexed('x-two', '2')), [
    'x-one',
    '1',
    'x-two',
    '2',
  ]);
  // the newest entry has the lowest index
  deepStrictEqual(await ask(peer, 3, indexed(62), indexed(63)), ['x-two', '2', 'x-one', '1']);
});

rule('RFC 7541 §6.2.1: a name of the dynamic table can be used with another value', async (peer) => {
  deepStrictEqual(await ask(peer, 1, literalIndexed('x-one', '1')), ['x-one', '1']);
  deepStrictEqual(await ask(peer, 3, literalIndexed(62, '2'), indexed(63), indexed(62)), [
    'x-one',
    '2',
    'x-one',
    '1',
    'x-one',
    '2',
  ]);
});

for (const [name, make] of [
  ['§6.2.2: a literal without indexing', literal(['x-own', '1'])],
  ['§6.2.3: a literal never indexed', literalNever('x-own', '1')],
] as const)
  rule(`RFC 7541 ${name} is not added to the dynamic table`, async (peer) => {
    deepStrictEqual(await ask(peer, 1, make), ['x-own', '1']);
    peer.send(headersFrame(3, Buffer.concat([fields, indexed(62)])));
    await peer.expectGoaway(CODE.compressionError);
  });

rule('RFC 7541 §2.3.2: the dynamic table may hold duplicates', async (peer) => {
  await ask(peer, 1, literalIndexed('x-a', '1'), literalIndexed('x-a', '1'));
  deepStrictEqual(await ask(peer, 3, indexed(62), indexed(63)), ['x-a', '1', 'x-a', '1']);
});

// ---- §4 the size of the table ----

rule('RFC 7541 §4.4: the oldest entries make room for a new one', async (peer) => {
  const value = 'v'.repeat(1_000);
  const names = ['x-a', 'x-b', 'x-c', 'x-d'];
  await ask(peer, 1, ...names.map((name) => literalIndexed(name, value)));
  // 4 × (3 + 1,000 + 32) > 4,096: the first entry is evicted
  deepStrictEqual(await ask(peer, 3, indexed(62), indexed(63), indexed(64)), [
    'x-d',
    value,
    'x-c',
    value,
    'x-b',
    value,
  ]);
  peer.send(headersFrame(5, Buffer.concat([fields, indexed(65)])));
  await peer.expectGoaway(CODE.compressionError);
});

rule('RFC 7541 §4.4: an entry as large as the table fits, one octet more empties it', async (peer) => {
  const room = 4096 - 32 - 'x-a'.length;
  await ask(peer, 1, literalIndexed('x-a', 'v'.repeat(room)));
  strictEqual((await ask(peer, 3, indexed(62)))[1]?.length, room);
  deepStrictEqual((await ask(peer, 5, literalIndexed('x-a', 'w'.repeat(room + 1))))[1]?.length, room + 1);
  peer.send(headersFrame(7, Buffer.concat([fields, indexed(62)])));
  await peer.expectGoaway(CODE.compressionError);
});

rule('RFC 7541 §4.4: a new entry may take its name from the one it evicts', async (peer) => {
  await ask(peer, 1, literalIndexed('x-long', 'v'.repeat(3_900)));
  const value = 'w'.repeat(3_900);
  deepStrictEqual(await ask(peer, 3, literalIndexed(62, value)), ['x-long', value]);
  deepStrictEqual(await ask(peer, 5, indexed(62)), ['x-long', value]);
});

rule('RFC 7541 §4.3: a table of size 0 is empty and stays so', async (peer) => {
  await ask(peer, 1, literalIndexed('x-a', '1'));
  deepStrictEqual(await askAfter(peer, 3, tableSizeUpdate(0), literalIndexed('x-b', '2')), ['x-b', '2']);
  peer.send(headersFrame(5, Buffer.concat([fields, indexed(62)])));
  await peer.expectGoaway(CODE.compressionError);
});

rule('RFC 7541 §4.3: a smaller table evicts, a larger one holds again', async (peer) => {
  await ask(peer, 1, literalIndexed('x-a', '1'), literalIndexed('x-b', '2'));
  // one entry has 36 octets
  deepStrictEqual(await askAfter(peer, 3, tableSizeUpdate(40), indexed(62)), ['x-b', '2']);
  await askAfter(peer, 5, tableSizeUpdate(4096), literalIndexed('x-c', '3'));
  deepStrictEqual(await ask(peer, 7, indexed(62), indexed(63)), ['x-c', '3', 'x-b', '2']);
});

rule('RFC 7541 §4.2: two updates of the size may begin a block', async (peer) => {
  await ask(peer, 1, literalIndexed('x-a', '1'));
  const updates = Buffer.concat([tableSizeUpdate(0), tableSizeUpdate(4096)]);
  await askAfter(peer, 3, updates, literalIndexed('x-b', '2'));
  deepStrictEqual(await ask(peer, 5, indexed(62)), ['x-b', '2']);
});

rule('RFC 7541 §6.3: a size above SETTINGS_HEADER_TABLE_SIZE is a COMPRESSION_ERROR', async (peer) => {
  await peer.settled();
  const most = peer.checker.settings.get(SETTING.headerTableSize) ?? 4096;
  peer.send(headersFrame(1, Buffer.concat([tableSizeUpdate(most), fields])));
  await peer.expectResponse(1);
  peer.send(headersFrame(3, Buffer.concat([tableSizeUpdate(most + 1), fields])));
  await peer.expectGoaway(CODE.compressionError);
});

undecodable('RFC 7541 §6.3: a huge size is a COMPRESSION_ERROR', tableSizeUpdate(2 ** 32), fields);
undecodable(
  'RFC 7541 §4.2: an update of the size after a field is a COMPRESSION_ERROR',
  hex('82'),
  tableSizeUpdate(100),
  fields,
);
undecodable(
  'RFC 7541 §4.2: an update of the size at the end of a block is a COMPRESSION_ERROR',
  fields,
  tableSizeUpdate(100),
);

// ---- §5.1 integers ----

rule('RFC 7541 §5.1: integers of several octets are read', async (peer) => {
  const value = 'v'.repeat(1_337);
  deepStrictEqual(await ask(peer, 1, literal(['x-long', value])), ['x-long', value]);
});

rule('RFC 7541 §5.1: an integer may end with an octet of zeros', async (peer) => {
  // the length 127 + 0 + 0 × 128
  deepStrictEqual(await ask(peer, 1, hex('00 7f8000'), Buffer.alloc(127, 'n'), hex('01 31')), [
    'n'.repeat(127),
    '1',
  ]);
});

undecodable('RFC 7541 §5.1: an integer without end is a COMPRESSION_ERROR', fields, hex('ff 80 80'));
undecodable(
  'RFC 7541 §5.1: an integer above all limits is a COMPRESSION_ERROR',
  fields,
  hex('ff ff ff ff ff ff ff ff ff 7f'),
);
undecodable(
  'RFC 7541 §5.1: an integer of endless zeros is a COMPRESSION_ERROR',
  fields,
  hex('ff'),
  Buffer.alloc(100, 0x80),
  hex('01'),
);
undecodable(
  'RFC 7541 §5.1: an index of 2^32 + 2 is not the index 2',
  fields,
  hpackInteger(2 ** 32 + 2, 7, 0x80),
);

// ---- §5.2 strings ----

rule('RFC 7541 §5.2: Huffman-coded strings are read', async (peer) => {
  // www.example.com of appendix C.4.1; custom-key and custom-value of C.4.3
  const value = hex('8c f1e3c2e5f23a6ba0ab90f4ff');
  const custom = hex('00 88 25a849e95ba97d7f 89 25a849e95bb8e8b4bf');
  deepStrictEqual(await ask(peer, 1, hex('00 03 782d61'), value, custom), [
    'x-a',
    'www.example.com',
    'custom-key',
    'custom-value',
  ]);
});

rule('RFC 7541 §5.2: every visible character has a Huffman code', async (peer) => {
  const value = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).join('');
  const compressor = hpack.compressor.create({ table: { maxSize: 4096 } });
  compressor.write([{ name: 'x-all', value }]);
  const parts: Buffer[] = [];
  for (let part = compressor.read(); part !== null; part = compressor.read()) parts.push(part);
  deepStrictEqual(await ask(peer, 1, ...parts), ['x-all', value]);
});

rule('RFC 7541 §5.2: Huffman-coded and plain strings are the same in the table', async (peer) => {
  await ask(peer, 1, hex('40 03 782d61'), hex('8c f1e3c2e5f23a6ba0ab90f4ff'));
  deepStrictEqual(await ask(peer, 3, indexed(62)), ['x-a', 'www.example.com']);
});

rule('RFC 7541 §5.2: strings may be empty, Huffman-coded too', async (peer) => {
  deepStrictEqual(await ask(peer, 1, hex('00 03 782d61 80'), hex('00 03 782d62 00')), ['x-a', '', 'x-b', '']);
});

undecodable(
  'RFC 7541 §5.2: a string longer than its block is a COMPRESSION_ERROR',
  fields,
  hex('00 03 782d61 7e 61'),
);
undecodable('RFC 7541 §5.2: a name longer than its block is a COMPRESSION_ERROR', fields, hex('00 05 7861'));
undecodable('RFC 7541 §5.2: a literal without value is a COMPRESSION_ERROR', fields, hex('00 03 782d61'));
undecodable('RFC 7541 §5.2: a literal without name is a COMPRESSION_ERROR', fields, hex('40'));
undecodable(
  'RFC 7541 §5.2: a string of 2^31 octets is a COMPRESSION_ERROR',
  fields,
  hex('00 03 782d61'),
  hpackInteger(2 ** 31, 7, 0),
);
// 'a' has the five bits 00011
undecodable('RFC 7541 §5.2: padding of zeros is a COMPRESSION_ERROR', fields, hex('00 03 782d61 81 18'));
undecodable(
  'RFC 7541 §5.2: padding that is not all ones is a COMPRESSION_ERROR',
  fields,
  hex('00 03 782d61 81 1d'),
);
undecodable(
  'RFC 7541 §5.2: padding of eight bits is a COMPRESSION_ERROR',
  fields,
  hex('00 03 782d61 82 1fff'),
);
undecodable('RFC 7541 §5.2: padding of 16 bits is a COMPRESSION_ERROR', fields, hex('00 03 782d61 82 ffff'));
undecodable('RFC 7541 §5.2: the symbol EOS is a COMPRESSION_ERROR', fields, hex('00 03 782d61 84 fffffffc'));
undecodable('RFC 7541 §5.2: EOS and padding is a COMPRESSION_ERROR', fields, hex('00 03 782d61 84 ffffffff'));
undecodable(
  'RFC 7541 §5.2: a code that is cut off is a COMPRESSION_ERROR',
  fields,
  hex('00 03 782d61 81 fe'),
);

// ---- the encoder of the server ----

rule(
  'RFC 7541 §4.2: a smaller SETTINGS_HEADER_TABLE_SIZE is told at the beginning of the next block',
  async (peer) => {
    await peer.expectServes(1);
    await peer.expectServes(3);
    peer.send(settingsFrame([SETTING.headerTableSize, 0]));
    await peer.settled();
    await peer.expectServes(5);
    const head = peer.frames.find(({ type, stream }) => type === FRAME.headers && stream === 5);
    strictEqual(head?.payload[0], 0x20, 'a dynamic table size update to 0');
    await peer.expectServes(7);
  },
);

rule('RFC 7541 §4.2: a table that was 0 between two blocks is empty', async (peer) => {
  await peer.expectServes(1);
  peer.send(settingsFrame([SETTING.headerTableSize, 0]), settingsFrame([SETTING.headerTableSize, 4096]));
  await peer.settled();
  await peer.expectServes(3);
  const head = peer.frames.find(({ type, stream }) => type === FRAME.headers && stream === 3);
  strictEqual(head?.payload[0], 0x20, 'a dynamic table size update to 0');
});

rule(
  'RFC 7541 §4.2: a client without table gets answers it can decode',
  async (peer) => {
    for (let stream = 1; stream < 20; stream += 2) await peer.expectServes(stream);
  },
  { settings: [[SETTING.headerTableSize, 0]] },
);

rule('RFC 7541 §4.2: SETTINGS_HEADER_TABLE_SIZE may change at any time', async (peer) => {
  let stream = 1;
  for (const size of [4096, 100, 50, 0, 10, 4096, 64]) {
    peer.send(settingsFrame([SETTING.headerTableSize, size]));
    await peer.expectServes(stream);
    await peer.expectServes(stream + 2);
    peer.get(stream + 4, '/wide');
    ok((await peer.expectResponse(stream + 4)).fields.has('x-wide'));
    stream += 6;
  }
});

rule('RFC 7541 §2.2: both directions have tables of their own', async (peer) => {
  await peer.expectServes(1);
  await ask(peer, 3, literalIndexed('x-a', '1'));
  await peer.expectServes(5);
  deepStrictEqual(await ask(peer, 7, indexed(62)), ['x-a', '1']);
});
