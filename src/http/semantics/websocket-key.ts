/** What HTTP/1.1 asks for when a connection becomes a WebSocket, and HTTP/2 does not have (RFC 6455 §4.1, RFC 8441 §5). */
import { createHash, randomBytes } from 'node:crypto';

const KEY_BYTES = 16;
const KEY_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export function newWebSocketKey(): string {
  return randomBytes(KEY_BYTES).toString('base64');
}

/** What the server has to answer (RFC 6455 §4.2.2). */
export function webSocketAccept(key: string): string {
  return createHash('sha1')
    .update(key + KEY_SUFFIX)
    .digest('base64');
}
