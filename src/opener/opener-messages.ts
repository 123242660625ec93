/** What the gateway and its opener tell each other: messages of fixed form over a socket that keeps their bounds. */
import type { FileFacts, OpenKind } from '../base/open-file.ts';

/** Two files for each of 1000 certificates, and all others. */
export const FILES_MAX = 4096;
/** As many as Linux takes in a name (PATH_MAX). */
export const PATH_BYTES_MAX = 4096;
export const REQUEST_BYTES = 12;
/** A head and the reason of a refusal, which names a path. */
export const REPLY_BYTES_MAX = 1024;
/** `result` of a reply: the opener refuses, and the text says why. Other numbers are of errno, and 0 is success. */
export const REFUSED = -1;

const REPLY_HEAD_BYTES = 8;
const FACT_BYTES = 8;
const KIND_BYTES: Readonly<Record<OpenKind, number>> = { read: 114, append: 97 };

/** A file that may be opened, by its absolute name. */
export interface NamedFile {
  readonly path: string;
  readonly kind: OpenKind;
}

export const ACTIONS = { open: 1, look: 2 } as const;
export type Action = keyof typeof ACTIONS;

/** The only thing that crosses from the side without rights: no path, and nothing of another length. */
export interface OpenerRequest {
  readonly action: Action;
  /** Of the file, in the list of the start. */
  readonly number: number;
  /** The reply has the same. */
  readonly serial: number;
}

export interface OpenerReply {
  readonly serial: number;
  readonly result: number;
  readonly text: string;
  readonly facts: FileFacts | undefined;
}

// ---- before the rights are given up: whose rights are weaker, the files in their order, the end of the list ----

export function userMessage(uid: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(uid);
  return bytes;
}

export function readUser(bytes: Buffer): number | undefined {
  return bytes.length === 4 ? bytes.readUInt32LE() : undefined;
}

export function fileMessage({ path, kind }: NamedFile): Buffer {
  return Buffer.concat([Buffer.of(KIND_BYTES[kind]), Buffer.from(path)]);
}

/** Undefined: it is none. */
export function readFileMessage(bytes: Buffer): NamedFile | undefined {
  const kind = bytes[0] === KIND_BYTES.read ? 'read' : bytes[0] === KIND_BYTES.append ? 'append' : undefined;
  const path = bytes.toString('utf8', 1);
  return kind === undefined || !path.startsWith('/') || path.includes('\0') ? undefined : { path, kind };
}

export const LIST_END: Buffer = Buffer.from('.');

// ---- after that ----

export function requestMessage({ action, number, serial }: OpenerRequest): Buffer {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  bytes.writeUInt32LE(ACTIONS[action], 0);
  bytes.writeUInt32LE(number, 4);
  bytes.writeUInt32LE(serial, 8);
  return bytes;
}

/** Undefined for whatever is no request for one of `fileCount` files. */
export function readRequest(bytes: Buffer, fileCount: number): OpenerRequest | undefined {
  if (bytes.length !== REQUEST_BYTES) return undefined;
  const code = bytes.readUInt32LE(0);
  const action = code === ACTIONS.open ? 'open' : code === ACTIONS.look ? 'look' : undefined;
  const number = bytes.readUInt32LE(4);
  if (action === undefined || number >= fileCount) return undefined;
  return { action, number, serial: bytes.readUInt32LE(8) };
}

export function replyMessage({ serial, result, text, facts }: OpenerReply): Buffer {
  const head = Buffer.alloc(REPLY_HEAD_BYTES);
  head.writeUInt32LE(serial, 0);
  head.writeInt32LE(result, 4);
  if (facts === undefined) return Buffer.concat([head, Buffer.from(text)]).subarray(0, REPLY_BYTES_MAX);
  const values = [facts.dev, facts.ino, facts.size, facts.mtimeNs, facts.ctimeNs];
  const body = Buffer.alloc(values.length * FACT_BYTES);
  for (const [i, value] of values.entries()) body.writeBigInt64LE(BigInt.asIntN(64, value), i * FACT_BYTES);
  return Buffer.concat([head, body]);
}

/** Undefined: it is none. */
export function readReply(bytes: Buffer, action: Action): OpenerReply | undefined {
  if (bytes.length < REPLY_HEAD_BYTES) return undefined;
  const serial = bytes.readUInt32LE(0);
  const result = bytes.readInt32LE(4);
  const text = result === 0 ? '' : bytes.toString('utf8', REPLY_HEAD_BYTES);
  if (result !== 0 || action === 'open') return { serial, result, text, facts: undefined };
  if (bytes.length !== REPLY_HEAD_BYTES + 5 * FACT_BYTES) return undefined;
  const fact = (i: number): bigint => bytes.readBigInt64LE(REPLY_HEAD_BYTES + i * FACT_BYTES);
  const facts = { dev: fact(0), ino: fact(1), size: fact(2), mtimeNs: fact(3), ctimeNs: fact(4) };
  return { serial, result, text, facts };
}
