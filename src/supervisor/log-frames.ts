/** What receivers get of a line or record of a log: bytes that one message cannot forge a second one with. */
import { FIELD_SEPARATOR, syslogHead, syslogHost } from '../base/message-form.ts';

/** Makes the bytes of a line or record, without its line end. */
export type Frame = (record: string) => Buffer;

/** Receivers cut longer messages (rsyslog's default is 8 KiB). */
const SYSLOG_BYTES_MAX = 8000;
/** A datagram has to fit in the buffer of a socket, which has 208 KiB on Linux. */
const JOURNAL_BYTES_MAX = 160 * 1024;
const INFORMATIONAL = 6;
const LINE_FEED = '\n';
const SIZE_BYTES = 8;

/** Of a line of the access log: RFC 5424 §6, without structured data. */
export function syslogFrame(line: string): Buffer {
  return syslogRecord(syslogHead(INFORMATIONAL, new Date(), syslogHost(), 'access') + line);
}

/** Of a message that has its head already. */
export function syslogRecord(message: string): Buffer {
  return cutText(Buffer.from(message), SYSLOG_BYTES_MAX);
}

/** For streams: the size in decimal and a blank go before the message, which may have line ends (RFC 6587 §3.4.1). */
export function counted(frame: Frame): Frame {
  return (record) => {
    const message = frame(record);
    return Buffer.concat([Buffer.from(`${message.length} `), message]);
  };
}

/** The native protocol of journald (systemd.io/JOURNAL_NATIVE_PROTOCOL). Fields beyond the room of a datagram are left out, and one that does not fit is cut. */
export function journaldFrame(record: string): Buffer {
  const pieces: Buffer[] = [];
  let left = JOURNAL_BYTES_MAX;
  for (const field of record.split(FIELD_SEPARATOR)) {
    const piece = journalField(field, left);
    if (piece === undefined) break;
    pieces.push(piece);
    left -= piece.length;
  }
  return Buffer.concat(pieces);
}

/** `NAME=value`, or for a value with line ends the name, the size as 64 bits and the value. Undefined: there is no room. */
function journalField(field: string, bytesMax: number): Buffer | undefined {
  const equals = field.indexOf('=');
  const name = field.slice(0, equals);
  const room = bytesMax - name.length - SIZE_BYTES - 2 * LINE_FEED.length;
  if (room <= 0) return undefined;
  const value = cutText(Buffer.from(field.slice(equals + 1)), room);
  if (!value.includes(LINE_FEED))
    return Buffer.concat([Buffer.from(`${name}=`), value, Buffer.from(LINE_FEED)]);
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeBigUInt64LE(BigInt(value.length));
  return Buffer.concat([Buffer.from(name + LINE_FEED), size, value, Buffer.from(LINE_FEED)]);
}

/** At most so many bytes of UTF-8, and no part of a character. */
function cutText(text: Buffer, bytesMax: number): Buffer {
  if (text.length <= bytesMax) return text;
  let end = bytesMax;
  while (end > 0 && ((text[end] as number) & 0xc0) === 0x80) end -= 1;
  return text.subarray(0, end);
}

/** The lines of some bytes, without their ends and without those that are empty. */
export function linesOf(bytes: Uint8Array): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  return text.split('\n').filter((line) => line !== '');
}
