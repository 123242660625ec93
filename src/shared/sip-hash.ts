/**
 * HalfSipHash-1-3 (https://github.com/veorq/SipHash): a hash with a secret. A client that chooses keys cannot choose them so that
 * many fall into one bucket.
 */

/** Returns the hash of `size` bytes from `at` on, as a signed 32-bit number. */
export function sipHash(bytes: Uint8Array, at: number, size: number, seed0: number, seed1: number): number {
  let v0 = seed0;
  let v1 = seed1;
  let v2 = 0x6c796765 ^ seed0;
  let v3 = 0x74656462 ^ seed1;
  const end = at + size;
  const rest = size & 3;
  let i = at;
  // words of four bytes, one with the rest and the length, and three rounds to end with
  for (let phase = 0; phase < 4; ) {
    let word = 0;
    if (phase === 0) {
      if (i < end - rest) {
        word =
          (bytes[i] as number) |
          ((bytes[i + 1] as number) << 8) |
          ((bytes[i + 2] as number) << 16) |
          ((bytes[i + 3] as number) << 24);
        i += 4;
      } else {
        word = size << 24;
        for (let shift = 0; i < end; shift += 8) word |= (bytes[i++] as number) << shift;
        phase = 1;
      }
      v3 ^= word;
    } else phase += 1;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
    if (phase === 1) v2 ^= 0xff;
  }
  return v1 ^ v3;
}
