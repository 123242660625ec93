/** Errors of exchanges that the client, not the gateway, has ended. */
import { GatewayError } from '../../base/errors.ts';

export function clientGone(): GatewayError {
  return new GatewayError('LGW_CLIENT_GONE', 'Client has gone', { luaCode: 'closed' });
}

export function bodyTooLarge(bytesMax: number): GatewayError {
  const message = `Request body is larger than the limit of ${bytesMax} bytes`;
  return new GatewayError('LGW_BODY_TOO_LARGE', message, { status: 413, luaCode: 'limit' });
}
