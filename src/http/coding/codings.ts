/** The codings that node:zlib knows, and how each is made: at once, or piece by piece. */
import type { Transform } from 'node:stream';
import * as zlib from 'node:zlib';

/** As Content-Encoding names it. */
export type Coding = 'zstd' | 'br' | 'gzip';

/** zlib of Node 22.15 and later, as far as earlier ones do not have it. */
interface WithZstd {
  readonly createZstdCompress?: (options: object) => Transform;
  readonly zstdCompressSync?: (bytes: Uint8Array, options: object) => Buffer;
}

const { createZstdCompress, zstdCompressSync } = zlib as WithZstd;
const hasZstd = createZstdCompress !== undefined && zstdCompressSync !== undefined;

/** Those that are offered. Of those that a client likes equally the first is taken: it makes the smallest text for its time. */
export const CODINGS: readonly Coding[] = hasZstd ? ['zstd', 'br', 'gzip'] : ['br', 'gzip'];

/** A compromise: 128 KiB of text take gzip 2.1 ms of processor time at level 4, and 6.1 ms at level 9. */
const LEVELS: Readonly<Record<Coding, number>> = { zstd: 3, br: 4, gzip: 4 };

/** Largest level that a handler may ask for: gzip has no more. */
export const LEVEL_MAX = 9;
/** The next one has tables of 27 MiB, whose clearing takes 40 ms even for a short body. */
const BR_LEVEL_MAX = 8;
/** Memory rises from here on: 5.8 MiB at 7, 10.9 MiB at 9. */
const ZSTD_LEVEL_MAX = 6;

/**
 * Memory that is counted for one that is under way, with what Node adds (bytes): the growth of a process by 20 of them that had coded
 * 256 KiB of text each, for the levels above and below, was 300 KiB for gzip, 850 to 1180 KiB for br, and 1.4 to 3.2 MiB for zstd.
 */
export const CODER_BYTES: Readonly<Record<Coding, number>> = {
  zstd: 4 * 1024 * 1024,
  br: 1280 * 1024,
  gzip: 320 * 1024,
};

/** 2^18 bytes: the window that back references of br and zstd reach; more costs memory in both ends. */
const WINDOW_BITS = 18;
/** What a coder fills before it makes another buffer: most answers fit in one. */
const OUTPUT_BYTES = 32 * 1024;

const { constants } = zlib;
/** node:zlib of Node 20 does not have these names (zstd.h). */
const ZSTD = { compressionLevel: 100, windowLog: 101, flush: 1, end: 2 } as const;

/** All of a short body, at once. */
export function encodeNow(coding: Coding, level: number | undefined, bytes: Uint8Array): Buffer {
  switch (coding) {
    case 'gzip':
      return zlib.gzipSync(bytes, { level: gzipLevel(level) });
    case 'br':
      return zlib.brotliCompressSync(bytes, { params: brotliParams(level, bytes.length) });
    case 'zstd':
      return (zstdCompressSync as NonNullable<typeof zstdCompressSync>)(bytes, {
        params: zstdParams(level),
      });
  }
}

/**
 * What codes a body piece by piece: all that one `write` gives can be decoded when it is done. `wholeLength`: one `write` gives the
 * whole body, and no `end` follows, which would take another turn in the pool.
 */
export function createEncoder(
  coding: Coding,
  level: number | undefined,
  wholeLength: number | undefined,
): Transform {
  const isWhole = wholeLength !== undefined;
  switch (coding) {
    case 'gzip':
      return zlib.createGzip({
        level: gzipLevel(level),
        flush: isWhole ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
        chunkSize: OUTPUT_BYTES,
      });
    case 'br':
      return zlib.createBrotliCompress({
        params: brotliParams(level, wholeLength),
        flush: isWhole ? constants.BROTLI_OPERATION_FINISH : constants.BROTLI_OPERATION_FLUSH,
        chunkSize: OUTPUT_BYTES,
      });
    case 'zstd':
      return (createZstdCompress as NonNullable<typeof createZstdCompress>)({
        params: zstdParams(level),
        flush: isWhole ? ZSTD.end : ZSTD.flush,
        chunkSize: OUTPUT_BYTES,
      });
  }
}

/** The level of an answer that asks for none, or the one that it asks for. */
export function gzipLevel(level: number | undefined): number {
  return level ?? LEVELS.gzip;
}

export type BodyGzip = zlib.Gzip & zlib.ZlibReset;

/** As `createEncoder` for whole bodies; `reset` makes it ready for the next one. */
export function createBodyGzip(level: number): BodyGzip {
  // the types of Node have `reset` for deflate alone
  return zlib.createGzip({ level, flush: constants.Z_FINISH, chunkSize: OUTPUT_BYTES }) as BodyGzip;
}

function brotliParams(level: number | undefined, sizeHint: number | undefined): Record<number, number> {
  return {
    [constants.BROTLI_PARAM_QUALITY]: Math.min(level ?? LEVELS.br, BR_LEVEL_MAX),
    [constants.BROTLI_PARAM_LGWIN]: WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: sizeHint ?? 0,
  };
}

function zstdParams(level: number | undefined): Record<number, number> {
  return {
    [ZSTD.compressionLevel]: Math.min(level ?? LEVELS.zstd, ZSTD_LEVEL_MAX),
    [ZSTD.windowLog]: WINDOW_BITS,
  };
}
