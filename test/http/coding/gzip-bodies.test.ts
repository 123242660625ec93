/** Coders of whole bodies that are used again. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { GzipBodies, type GzipBody } from '../../../src/http/coding/gzip-bodies.ts';

const ROOM_BYTES = 128 * 1024;

/** What the coder makes of a body, which it gets in its room. */
function code(coder: GzipBody, body: Uint8Array): Promise<Buffer> {
  coder.room.set(body);
  const pieces: Buffer[] = [];
  return new Promise((resolve, reject) =>
    coder.code(
      coder.room.subarray(0, body.length),
      (bytes) => pieces.push(bytes),
      (error) => (error === undefined ? resolve(Buffer.concat(pieces)) : reject(error)),
    ),
  );
}

test('A coder that is used again makes of each body what a new one makes', async () => {
  const bodies = new GzipBodies(ROOM_BYTES);
  const first = bodies.take(4);
  bodies.give(first);
  // bytes that cannot be compressed take more than one buffer of the coder
  const long = randomBytes(ROOM_BYTES);
  const results: Buffer[] = [];
  for (const body of [long, Buffer.from('a'.repeat(5000)), Buffer.alloc(0), long.subarray(7), long]) {
    const coder = bodies.take(4);
    assert.equal(coder, first);
    const coded = await code(coder, body);
    bodies.give(coder);
    assert.deepEqual(gunzipSync(coded), body);
    assert.deepEqual(coded, await code(new GzipBodies(ROOM_BYTES).take(4), body));
    results.push(coded);
  }
  // what was made stays as it was
  assert.deepEqual(gunzipSync(results[0] as Buffer), long);
});

test('Coders wait for their level, and the two that were used last are kept', async () => {
  const bodies = new GzipBodies(ROOM_BYTES);
  const coders = [1, 2, 3].map((level) => bodies.take(level));
  for (const coder of coders) bodies.give(coder);
  const [oldest, ...kept] = coders as [GzipBody, ...GzipBody[]];
  assert.notEqual(bodies.take(1), oldest);
  await assert.rejects(code(oldest, Buffer.from('a')), { code: 'ERR_STREAM_DESTROYED' });
  assert.deepEqual([bodies.take(2), bodies.take(3)], kept);
  assert.notEqual(bodies.take(3), kept[1]);
});
