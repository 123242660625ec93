/** Replies of Redis come out whole however they are cut, and what is no reply, or too large, ends the connection. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtocolError, RespParser } from '../../src/store/resp-parser.ts';
import { type Reply, ReplyError } from '../../src/store/resp-reply.ts';

/** Replies as plain values, pushes in a list of their own. */
function parse(...chunks: readonly Buffer[]): { replies: unknown[]; pushes: unknown[] } {
  const [replies, pushes]: [unknown[], unknown[]] = [[], []];
  const parser = new RespParser({
    reply: (reply) => replies.push(plain(reply)),
    push: (values) => pushes.push(values.map(plain)),
  });
  for (const chunk of chunks) {
    // what is read next overwrites what was read before
    const lent = Buffer.from(chunk);
    parser.take(lent);
    lent.fill(0);
  }
  return { replies, pushes };
}

function plain(reply: Reply): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString('latin1');
  if (reply instanceof ReplyError) return { error: reply.code, message: reply.message };
  return Array.isArray(reply) ? (reply as readonly Reply[]).map(plain) : reply;
}

const CASES: readonly (readonly [name: string, text: string, expected: unknown])[] = [
  ['a status', '+OK\r\n', 'OK'],
  ['an error', '-MOVED 3999 127.0.0.1:6381\r\n', { error: 'MOVED', message: 'MOVED 3999 127.0.0.1:6381' }],
  ['an integer', ':-42\r\n', -42],
  ['an integer beyond 2^53', ':9223372036854775807\r\n', 9223372036854775807n],
  ['a long integer that a number holds', ':0000000000000000007\r\n', 7],
  ['a string', '$5\r\na\r\nb\0\r\n', 'a\r\nb\0'],
  ['an empty string', '$0\r\n\r\n', ''],
  ['no string (RESP2)', '$-1\r\n', null],
  ['no array (RESP2)', '*-1\r\n', null],
  ['nothing', '_\r\n', null],
  ['true', '#t\r\n', true],
  ['false', '#f\r\n', false],
  ['a double', ',-1.5e3\r\n', -1500],
  ['infinity', ',-inf\r\n', Number.NEGATIVE_INFINITY],
  ['a big number', '(12345678901234567890\r\n', 12345678901234567890n],
  ['a text to be shown', '=8\r\ntxt:news\r\n', 'news'],
  ['an error with a length', '!9\r\nERR wrong\r\n', { error: 'ERR', message: 'ERR wrong' }],
  ['an array', '*3\r\n:1\r\n$1\r\nx\r\n*1\r\n+OK\r\n', [1, 'x', ['OK']]],
  ['an empty array', '*0\r\n', []],
  ['a set', '~2\r\n:1\r\n:2\r\n', [1, 2]],
  ['a map', '%1\r\n$1\r\nk\r\n:1\r\n', ['k', 1]],
  ['attributes before a value', '|1\r\n+ttl\r\n:3600\r\n:7\r\n', 7],
];

for (const [name, text, expected] of CASES) {
  test(`${name}, whole and cut at every byte`, () => {
    const bytes = Buffer.from(`${text}:99\r\n`, 'latin1');
    assert.deepEqual(parse(bytes).replies, [expected, 99]);
    for (let at = 1; at < bytes.length; at++)
      assert.deepEqual(
        parse(bytes.subarray(0, at), bytes.subarray(at)).replies,
        [expected, 99],
        `cut at ${at}`,
      );
    assert.deepEqual(parse(...[...bytes].map((byte) => Buffer.from([byte]))).replies, [expected, 99]);
  });
}

test('What nobody has asked for comes apart from replies', () => {
  const { replies, pushes } = parse(Buffer.from('+a\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n+b\r\n'));
  assert.deepEqual([replies, pushes], [['a', 'b'], [['invalidate', ['k']]]]);
});

test('A long string is gathered without being looked at for each piece', () => {
  const size = 4 * 1024 * 1024;
  const bytes = Buffer.concat([
    Buffer.from(`$${size}\r\n`),
    Buffer.alloc(size, 'x'),
    Buffer.from('\r\n+end\r\n'),
  ]);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 1000) chunks.push(bytes.subarray(at, at + 1000));
  const { replies } = parse(...chunks);
  assert.equal((replies[0] as string).length, size);
  assert.equal(replies[1], 'end');
});

const WRONG: readonly (readonly [name: string, text: string])[] = [
  ['an answer of HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ['a length beyond the limit', '$16777217\r\n'],
  ['a negative length', '$-2\r\n'],
  ['a length that is no number', '$1x\r\n'],
  ['an array beyond the limit', '*1048577\r\n'],
  ['an array in arrays without end', '*1\r\n'.repeat(20)],
  ['a line feed alone', '+OK\n'],
  ['a string that goes on', '$1\r\nxy\r\n'],
  ['a line without an end', `+${'x'.repeat(70_000)}`],
  ['an integer that is none', ':12-3\r\n'],
  [
    'strings of an array beyond the limit together',
    `*40\r\n${`$524288\r\n${'x'.repeat(524_288)}\r\n`.repeat(35)}`,
  ],
];

for (const [name, text] of WRONG) {
  test(`${name} is refused`, () => {
    const bytes = Buffer.from(text, 'latin1');
    assert.throws(() => {
      const parser = new RespParser({ reply: () => undefined, push: () => undefined });
      for (let at = 0; at < bytes.length; at += 65_536) parser.take(bytes.subarray(at, at + 65_536));
    }, ProtocolError);
  });
}
