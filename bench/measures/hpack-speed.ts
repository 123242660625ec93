/**
 * Measures HPACK in this process: repeated request heads, the request heads of a browser that loads a page, and response heads.
 */
import hpack from 'hpack.js';
import type { ResponseHead } from '../../src/http/exchange/exchange-wire.ts';
import { HeadCodec } from '../../src/http/h2/head-codec.ts';
import { HpackDecoder } from '../../src/http/h2/hpack-decoder.ts';
import { HpackEncoder } from '../../src/http/h2/hpack-encoder.ts';
import { parseRequestHead } from '../../src/http/h2/parse-request-head.ts';
import type { Measure } from './measure.ts';

const LIMITS = { tableBytesMax: 4096, listBytesMax: 65_536, fieldsMax: 100 };
const NS_PER_MS = 1e6;
/** Heads in one sample; a sample takes some ten milliseconds. */
const SAME_HEADS = 200_000;
const PAGE_HEADS = 20_000;
/** Images of a page, each with its own path: more than the head cache of any decoder holds. */
const PATHS = 500;

/** The fields that Chromium sends when it requests an image. */
function browserFields(path: string): readonly string[] {
  return [
    ...[':method', 'GET', ':authority', 'localhost:8443', ':scheme', 'https', ':path', path],
    ...['sec-ch-ua', '"Chromium";v="128", "Not;A=Brand";v="24"', 'sec-ch-ua-mobile', '?0'],
    ...['sec-ch-ua-platform', '"Linux"', 'user-agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36'],
    ...['accept', 'image/avif,image/webp,image/apng,image/*,*/*;q=0.8', 'sec-fetch-site', 'same-origin'],
    ...['sec-fetch-mode', 'no-cors', 'sec-fetch-dest', 'image', 'referer', 'https://localhost:8443/app/page'],
    ...[
      'accept-encoding',
      'gzip, deflate, br, zstd',
      'accept-language',
      'en-US,en;q=0.9',
      'priority',
      'u=2, i',
    ],
  ];
}

export const hpackSpeed: Measure = async () => {
  const blocks = encodePage();
  const decoder = new HpackDecoder(LIMITS);
  const oracle = hpack.decompressor.create({ table: { maxSize: LIMITS.tableBytesMax } });
  const read = (block: Buffer): void => {
    const parsed = parseRequestHead(decoder.decode(block, 0, block.length));
    if (typeof parsed === 'string') throw new Error(parsed);
  };
  const readByOracle = (block: Buffer): void => {
    oracle.write(block);
    oracle.execute();
    while (oracle.read() !== null);
  };
  for (const block of blocks) {
    read(block);
    readByOracle(block);
  }
  // the first block adds the fields to the dynamic table; later blocks only refer to it
  const page = blocks.slice(1);
  const same = page[0] as Buffer;
  const codec = new HeadCodec(LIMITS.listBytesMax);
  const responseFields = Object.freeze(['content-type', 'text/plain', 'cache-control', 'no-cache']);
  const measure = (): Record<string, number> => {
    const otherPathNs = nsOf(PAGE_HEADS, (i) => read(page[i % page.length] as Buffer));
    const oracleNs = nsOf(PATHS, (i) => readByOracle(page[i % page.length] as Buffer));
    return {
      sameNs: nsOf(SAME_HEADS, () => decoder.decode(same, 0, same.length)),
      otherPathNs,
      timesHpackJs: otherPathNs / oracleNs,
      responseNs: nsOf(SAME_HEADS, (i) => codec.encodeHead(responseHead(responseFields, i))),
    };
  };
  // the first run warms up V8's compiler and is not counted
  measure();
  measure();
  return { sample: async () => measure(), close: async () => undefined };
};

function encodePage(): Buffer[] {
  const encoder = new HpackEncoder();
  const blocks: Buffer[] = [];
  for (let i = 0; i < PATHS; i++) {
    const fields = browserFields(`/app/images/tile-${i}.png`);
    encoder.begin();
    for (let at = 0; at < fields.length; at += 2)
      encoder.field(fields[at] as string, fields[at + 1] as string);
    blocks.push(Buffer.from(encoder.bytes.subarray(0, encoder.size)));
  }
  return blocks;
}

function responseHead(responseFields: readonly string[], contentLength: number): ResponseHead {
  return {
    status: 200,
    reason: undefined,
    responseFields,
    contentLength,
    hasDate: false,
    closes: false,
    mayHaveTrailers: false,
    bodyless: false,
  };
}

function nsOf(times: number, act: (i: number) => void): number {
  const start = performance.now();
  for (let i = 0; i < times; i++) act(i);
  return ((performance.now() - start) * NS_PER_MS) / times;
}
