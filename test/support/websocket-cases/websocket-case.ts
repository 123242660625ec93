/** What a case of the WebSocket list is: the bytes a client sends, and what has to come back. */
import { close, OPCODE, text } from '../websocket-frames.ts';

export interface Message {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** What a client asks for as permessage-deflate (RFC 7692), and what is to be agreed. */
export interface Compression {
  /** The value of Sec-WebSocket-Extensions. */
  readonly offer: string;
  /** Parameters that the answer has to have; undefined: the extension must not be in the answer. */
  readonly agreed: readonly string[] | undefined;
}

/** Where the echo of a case runs: each is a handler of the test's script. */
export type EchoPath = '/echo' | '/deflate' | '/limit' | '/deflate-limit';

/** The most bytes of a message on each path. */
export const MESSAGE_BYTES_MAX: Readonly<Record<EchoPath, number>> = {
  '/echo': 5 * 1024 * 1024,
  '/deflate': 5 * 1024 * 1024,
  '/limit': 4096,
  '/deflate-limit': 4096,
};

export interface WebSocketCase {
  /** The section of the public suite, and a number. */
  readonly id: string;
  readonly what: string;
  /** Sent at once, or one after the other, or cut further. */
  readonly pieces: readonly Buffer[];
  /** The messages that come back. */
  readonly echoes: readonly Message[];
  /** The payloads of the pongs that come back. */
  readonly pongs: readonly Buffer[];
  /** The code of the server's close frame; several: what the RFC leaves open; `none`: a close frame without a code. */
  readonly closes: readonly (number | 'none')[];
  /** A fault ends the connection at once: the last of the echoes may be lost. */
  readonly mayLackEchoes?: boolean;
  readonly path: EchoPath;
  readonly compression?: Compression;
}

/** A case without its number. */
export type CaseDraft = Omit<WebSocketCase, 'id'>;

export const NORMAL = 1000;
export const PROTOCOL_ERROR = 1002;
export const INVALID_DATA = 1007;
export const TOO_BIG = 1009;

export const asText = (payload: Buffer | string): Message => ({
  opcode: OPCODE.text,
  payload: Buffer.from(payload as string),
});
export const asBinary = (payload: Buffer | string): Message => ({
  opcode: OPCODE.binary,
  payload: Buffer.from(payload as string),
});

/** What the client sends behind a fault: it must have no effect. */
const BEHIND = text('behind a fault');

type Further = Partial<Pick<CaseDraft, 'echoes' | 'path' | 'compression'>> & {
  readonly pongs?: readonly (Buffer | string)[];
};

/** Frames that a server takes; the client closes behind them. */
export function good(what: string, pieces: readonly Buffer[], further: Further = {}): CaseDraft {
  return draft(what, [...pieces, close(NORMAL)], [NORMAL], further);
}

/** Frames that end the connection with one of these codes. */
export function bad(
  what: string,
  pieces: readonly Buffer[],
  code: number | readonly number[],
  further: Further = {},
): CaseDraft {
  return { ...draft(what, [...pieces, BEHIND], [code].flat(), further), mayLackEchoes: true };
}

/** Frames that say themselves how the connection ends. */
export function draft(
  what: string,
  pieces: readonly Buffer[],
  closes: CaseDraft['closes'],
  { echoes = [], pongs = [], path = '/echo', compression }: Further,
): CaseDraft {
  return {
    what,
    pieces,
    closes,
    echoes,
    path,
    pongs: pongs.map((payload) => Buffer.from(payload as string)),
    ...(compression && { compression }),
  };
}

/** Numbers the cases of a section. */
export function section(number: string, drafts: readonly CaseDraft[]): WebSocketCase[] {
  return drafts.map((one, i) => ({ id: `${number}.${i + 1}`, ...one }));
}
