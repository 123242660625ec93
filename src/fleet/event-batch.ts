/** How messages of `httpd.publish` go over a store: those of a turn together, behind the sender's id. */
import { CHANNEL_BYTES_MAX, MESSAGE_BYTES_MAX } from '../events/event-limits.ts';

/** Of the format; a gateway leaves what begins otherwise to those who know it. */
const VERSION = '1';
/** Hexadecimal digits of an id. */
export const ID_DIGITS = 16;
const HEAD_BYTES: number = VERSION.length + ID_DIGITS;
/** Before each message: a byte for the length of its channel, four for that of its text. */
export const LENGTH_BYTES = 5;

/** `items`: channels and texts in turn, as strings of bytes. */
export function encodeBatch(sender: string, items: readonly string[]): string {
  let batch = VERSION + sender;
  for (let i = 0; i < items.length; i += 2) {
    const channel = items[i] as string;
    const text = items[i + 1] as string;
    const { length } = text;
    batch +=
      String.fromCharCode(
        channel.length,
        length >>> 24,
        (length >>> 16) & 255,
        (length >>> 8) & 255,
        length & 255,
      ) +
      channel +
      text;
  }
  return batch;
}

/** Who has sent it, before anything else is read; undefined: it is none, or of another version. */
export function senderOf(bytes: Buffer): string | undefined {
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION.charCodeAt(0)) return undefined;
  return bytes.toString('latin1', VERSION.length, HEAD_BYTES);
}

/** Undefined where a length says what cannot be: nothing of it counts then. */
export function decodeItems(bytes: Buffer): readonly string[] | undefined {
  const items: string[] = [];
  let at = HEAD_BYTES;
  while (at < bytes.length) {
    if (at + LENGTH_BYTES > bytes.length) return undefined;
    const channelLength = bytes[at] as number;
    const textLength = bytes.readUInt32BE(at + 1);
    const from = at + LENGTH_BYTES;
    const end = from + channelLength + textLength;
    if (channelLength === 0 || channelLength > CHANNEL_BYTES_MAX || textLength > MESSAGE_BYTES_MAX)
      return undefined;
    if (end > bytes.length) return undefined;
    items.push(
      bytes.toString('latin1', from, from + channelLength),
      bytes.toString('latin1', from + channelLength, end),
    );
    at = end;
  }
  return items;
}
