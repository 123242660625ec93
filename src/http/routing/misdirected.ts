/** Answers a client that sends HTTP without TLS to a TLS port: one sentence, and the address to use. */

import { isAuthority } from '../../base/authority.ts';
import type { Exchange } from '../exchange/exchange.ts';

/** Longer targets are left out of the address. */
const TARGET_LENGTH_MAX = 1024;

export function answerCleartext(exchange: Exchange): void {
  const text = `This port speaks HTTPS only: ask for ${secureUrl(exchange)}\n`;
  exchange.head(400, ['content-type', 'text/plain; charset=utf-8', 'connection', 'close']);
  exchange.write(Buffer.from(text, 'latin1'));
  exchange.end();
}

function secureUrl({ authority, target, connection }: Exchange): string {
  const { localAddress, localPort } = connection;
  const host = localAddress.includes(':') ? `[${localAddress}]` : localAddress;
  const where = isAuthority(authority) ? authority : `${host}:${localPort}`;
  const isPlain = target.length <= TARGET_LENGTH_MAX && PLAIN_TARGET.test(target);
  return `https://${where}${isPlain ? target : '/'}`;
}

const PLAIN_TARGET = /^\/[\x21-\x7e]*$/;
