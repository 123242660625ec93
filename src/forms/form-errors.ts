/** What may be wrong with a form: its type, its shape, its size, or that somebody else has read it. */
import { GatewayError } from '../base/errors.ts';

/** The request is of another type than was asked for. */
export function wrongType(expected: string, actual: string | undefined): GatewayError {
  const text = actual === undefined ? 'it has no content-type' : `its content-type is ${quote(actual)}`;
  return new GatewayError('LGW_FORM_TYPE', `The request holds no ${expected}: ${text}`, {
    status: 415,
    luaCode: 'invalid',
  });
}

export function malformed(text: string): GatewayError {
  return new GatewayError('LGW_FORM_MALFORMED', `The form is malformed: ${text}`, {
    status: 400,
    luaCode: 'invalid',
  });
}

/** `what`: what is too much, with the limit. */
export function beyondLimit(what: string): GatewayError {
  return new GatewayError('LGW_FORM_LIMIT', `The form is too large: ${what}`, {
    status: 413,
    luaCode: 'limit',
  });
}

export function readByOthers(): GatewayError {
  return new GatewayError('LGW_FORM_READ', 'Cannot read the form: the request body was read otherwise', {
    status: 500,
    luaCode: 'closed',
  });
}

/** The longest piece of what a client has sent that a message repeats. */
const QUOTED_CHARACTERS_MAX = 64;

export function quote(text: string): string {
  return JSON.stringify(
    text.length > QUOTED_CHARACTERS_MAX ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text,
  );
}
