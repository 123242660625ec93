/** Answers a request for a WebSocket: opens it, or tells the client why not. */
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { respondWithError } from '../http/exchange/error-response.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Fields } from '../http/semantics/fields.ts';
import type { Share } from '../mapping/shares.ts';
import { type HandshakeOptions, readHandshake, webSocketParts } from './handshake.ts';
import { ServerWebSocket, type WebSocketSettings } from './server-websocket.ts';
import { DEFLATED_MAX, MESSAGE_BYTES_DEFAULT, PING_MS_DEFAULT } from './websocket-limits.ts';

export type WebSocketOptions = HandshakeOptions & WebSocketSettings;

export const WEBSOCKET_DEFAULTS: WebSocketOptions = {
  protocols: [],
  // browsers send cookies whatever page opens a WebSocket
  origins: 'same',
  deflate: false,
  messageBytesMax: MESSAGE_BYTES_DEFAULT,
  pingMs: PING_MS_DEFAULT,
};

/** WebSockets of this thread whose messages are compressed. */
let deflated = 0;

/** Opens it; where that is not possible the client has got an answer that says so. */
export function openWebSocket(
  exchange: Exchange,
  options: WebSocketOptions,
  share: Share,
): ServerWebSocket | GatewayError {
  const missing = whyNotLoaded();
  if (missing !== undefined) {
    respondWithError(exchange, 503, RETRY);
    return limitError(missing);
  }
  const deflate = options.deflate && deflated < DEFLATED_MAX;
  const handshake = readHandshake(exchange, { ...options, deflate });
  if ('error' in handshake) {
    respondWithError(exchange, handshake.status, handshake.fields);
    return handshake.error;
  }
  const refused = share.take('websockets');
  if (refused !== undefined) {
    respondWithError(exchange, 503, RETRY);
    return limitError(refused);
  }
  if (!exchange.openTunnel('websocket', handshake.fields)) {
    share.give('websockets');
    if (!exchange.headGiven) respondWithError(exchange, 400);
    const message = 'Cannot open a WebSocket: the request has a body, or its client has gone';
    return new GatewayError('LGW_WEBSOCKET_HANDSHAKE', message, { status: 400, luaCode: 'invalid' });
  }
  const isDeflated = handshake.deflate !== undefined;
  if (isDeflated) deflated += 1;
  const socket = new ServerWebSocket(exchange, handshake, options);
  socket.onGone = () => {
    share.give('websockets');
    if (isDeflated) deflated -= 1;
  };
  return socket;
}

/** The first WebSocket of a thread loads what it is made of, which takes a descriptor; undefined: it is there. */
function whyNotLoaded(): string | undefined {
  try {
    webSocketParts();
    return undefined;
  } catch (error) {
    return `its code cannot be loaded (${systemCodeOf(error) ?? messageOf(error)})`;
  }
}

function limitError(reason: string): GatewayError {
  const message = `Cannot open a WebSocket: ${reason}`;
  return new GatewayError('LGW_WEBSOCKET_LIMIT', message, { status: 503, luaCode: 'limit' });
}

/** Seconds: many come back at once. */
const RETRY: Fields = Object.freeze(['retry-after', '5']);
