/** Sends bytes that need not be kept, as far as the wire takes them at once. */
import { CHUNK_BYTES_MAX } from './chunk-pool.ts';
import type { ExchangeWire } from './exchange-wire.ts';

/** Sends the full chunks of `bytes` that the wire takes now: how many bytes that were. */
export function sendCopies(wire: ExchangeWire, bytes: Uint8Array): number {
  let sent = 0;
  for (let end = CHUNK_BYTES_MAX; end <= bytes.length; end += CHUNK_BYTES_MAX) {
    const chunk = end === bytes.length && sent === 0 ? bytes : bytes.subarray(sent, end);
    if (wire.sendCopy?.(chunk) !== true) break;
    sent = end;
  }
  return sent;
}
