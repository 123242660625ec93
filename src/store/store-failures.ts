/** What calls on a store may come to, as errors with the code that scripts see. */

import type { LuaCode } from '../base/error-codes.ts';
import { GatewayError } from '../base/errors.ts';
import { type Reply, ReplyError } from './resp-reply.ts';

function failure(message: string, luaCode: LuaCode): GatewayError {
  return new GatewayError('LGW_STORE', message, { luaCode });
}

/** Nothing was done. */
export function refusedError(place: string, reason: string): GatewayError {
  return failure(`Store ${place} does not answer: ${reason}`, 'refused');
}

/** The step may have been done. */
export function timeoutError(place: string, timeoutMs: number): GatewayError {
  return failure(
    `Store ${place} has not answered within ${timeoutMs} ms; the step may have been done`,
    'timeout',
  );
}

/** The step may have been done. */
export function lostError(place: string, reason: string): GatewayError {
  return failure(
    `Store ${place} was lost before its answer: ${reason}; the step may have been done`,
    'timeout',
  );
}

export function crowdedError(place: string, what: string): GatewayError {
  return failure(`Cannot ask store ${place}: ${what}`, 'limit');
}

export function closedError(place: string): GatewayError {
  return failure(`Store ${place} is closed, as its gateway ends`, 'closed');
}

/** By the first word of a refusal; others are no fault of the script's, and nothing was done. */
const CODES: Readonly<Record<string, LuaCode>> = {
  OOM: 'limit',
  NOPERM: 'denied',
  NOAUTH: 'denied',
  WRONGTYPE: 'invalid',
  LOADING: 'refused',
  READONLY: 'refused',
  MASTERDOWN: 'refused',
  CLUSTERDOWN: 'refused',
  TRYAGAIN: 'refused',
  MISCONF: 'refused',
  NOREPLICAS: 'refused',
  BUSY: 'refused',
  MAXCLIENTS: 'refused',
};

export function replyFailure(place: string, { code, message }: ReplyError): GatewayError {
  const text = message.length > 200 ? `${message.slice(0, 200)}…` : message;
  return failure(`Store ${place} says: ${text}`, CODES[code] ?? 'io');
}

/** Resolves to the reply of the call that `ask` begins. Rejects with GatewayError: the store has not answered, or has refused. */
export function promisedReply(
  place: string,
  ask: (done: (outcome: Reply | GatewayError) => void) => void,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    ask((outcome) => {
      if (outcome instanceof GatewayError) reject(outcome);
      else if (outcome instanceof ReplyError) reject(replyFailure(place, outcome));
      else resolve(outcome);
    });
  });
}
