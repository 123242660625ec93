/** Which server of a cluster has a key: hash slots (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/). */
import type { Reply } from './resp-reply.ts';

export const SLOTS = 16_384;
/** CRC-16/XMODEM by the polynomial 0x1021. */
const TABLE: Uint16Array = crcTable();

/** The slot of a key; a text stands for its bytes. What is between the first pair of braces alone counts, where there is something. */
export function slotOf(key: string): number {
  let from = 0;
  let to = key.length;
  const open = key.indexOf('{');
  if (open !== -1) {
    const close = key.indexOf('}', open + 1);
    if (close > open + 1) [from, to] = [open + 1, close];
  }
  let crc = 0;
  for (let i = from; i < to; i++)
    crc = ((crc << 8) & 0xffff) ^ (TABLE[(crc >> 8) ^ (key.charCodeAt(i) & 0xff)] as number);
  return crc % SLOTS;
}

export interface SlotRange {
  readonly from: number;
  readonly to: number;
  /** Empty or null where the server does not know it: the host that was asked. */
  readonly host: string | null;
  readonly port: number;
}

/** The masters of the reply to CLUSTER SLOTS; undefined for what is none. */
export function readSlots(reply: Reply): SlotRange[] | undefined {
  if (!Array.isArray(reply)) return undefined;
  const ranges: SlotRange[] = [];
  for (const one of reply as readonly Reply[]) {
    if (!Array.isArray(one)) return undefined;
    const [from, to, master] = one as readonly Reply[];
    if (!isSlot(from) || !isSlot(to) || from > to || !Array.isArray(master)) return undefined;
    const [host, port] = master as readonly Reply[];
    if (typeof port !== 'number' || port < 1 || port > 65_535) return undefined;
    ranges.push({ from, to, host: host === null || host === undefined ? null : String(host), port });
  }
  return ranges;
}

/** `3999 127.0.0.1:6381` behind MOVED or ASK. */
export function readRedirect(message: string): { slot: number; host: string; port: number } | undefined {
  const [, slotText, host, portText] = /^(?:MOVED|ASK) (\d{1,5}) (\S{0,255}):(\d{1,5})$/.exec(message) ?? [];
  const [slot, port] = [Number(slotText), Number(portText)];
  if (host === undefined || !isSlot(slot) || !(port >= 1 && port <= 65_535)) return undefined;
  return { slot, host, port };
}

function isSlot(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < SLOTS;
}

function crcTable(): Uint16Array {
  const table = new Uint16Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
    table[byte] = crc & 0xffff;
  }
  return table;
}
