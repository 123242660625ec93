/** The one error class for everything that may go wrong outside the gateway's own code. */

import type { ErrorCode, LuaCode } from './error-codes.ts';

/** What may be known of a failure. */
export interface GatewayErrorOptions {
  /** HTTP status that describes the failure, where one fits. */
  readonly status?: number;
  /** The short word a Lua script sees as third result. */
  readonly luaCode?: LuaCode;
  readonly cause?: unknown;
}

/** An operating failure: sentence-case message without a full stop, the value quoted, the limit and the actual. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  readonly status: number | undefined;
  readonly luaCode: LuaCode;
  constructor(code: ErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.luaCode = options.luaCode ?? 'io';
  }
}

/**
 * A thread of the gateway runs a bundle, and the programs it loads import the package: the errors of either's copy of this
 * module are those of the other.
 */
Object.defineProperty(GatewayError, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this as typeof GatewayError, value)) return true;
    if (this !== GatewayError || !(value instanceof Error) || !('code' in value)) return false;
    return typeof value.code === 'string' && value.code.startsWith('LGW_');
  },
});

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The `code` property of a Node system error ("ENOENT"), or undefined. */
export function systemCodeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
