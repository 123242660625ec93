/** What operations on a dictionary may refuse, as errors with the code that scripts see. */
import { GatewayError } from '../base/errors.ts';
import { type IncrementOutcome, KEY_BYTES_MAX } from './dictionary.ts';

export function limitError(key: string, keySize: number, valueSize: number): GatewayError {
  const message =
    keySize > KEY_BYTES_MAX
      ? `Cannot store a value: its key has ${keySize} bytes and the limit is ${KEY_BYTES_MAX}`
      : `Cannot store "${key}": a value of ${valueSize} bytes is larger than the dictionary`;
  return new GatewayError('LGW_SHARED', message, { luaCode: 'limit' });
}

export function missingError(key: string): GatewayError {
  return new GatewayError('LGW_SHARED', `There is no entry "${shorten(key)}"`, { luaCode: 'notfound' });
}

export function existsError(key: string): GatewayError {
  return new GatewayError('LGW_SHARED', `There is an entry "${key}" already`, { luaCode: 'refused' });
}

export function incrementError(
  outcome: Exclude<IncrementOutcome, 'stored'>,
  key: string,
  keySize: number,
): GatewayError {
  switch (outcome) {
    case 'missing':
      return missingError(key);
    case 'not a number':
      return new GatewayError('LGW_SHARED', `The value of "${key}" is not a number`, { luaCode: 'invalid' });
    case 'overflow':
      return new GatewayError('LGW_SHARED', `The sum of "${key}" leaves the integers of 64 bits`, {
        luaCode: 'limit',
      });
    case 'limit':
      return limitError(key, keySize, 0);
  }
}

/** A key that was looked for may be of any length. */
function shorten(key: string): string {
  return key.length > KEY_BYTES_MAX ? `${key.slice(0, KEY_BYTES_MAX)}…` : key;
}
