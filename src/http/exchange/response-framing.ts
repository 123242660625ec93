/** What the fields of a response say about how it is sent: its length, and whether the connection lives on. */
import { GatewayError } from '../../base/errors.ts';
import { checkFields, type Fields, hasListMember, isNamed, parseContentLength } from '../semantics/fields.ts';
import { FixedFields } from '../semantics/fixed-fields.ts';

export interface ResponseFraming {
  /** Content-Length; undefined when it is not declared. */
  readonly contentLength: number | undefined;
  readonly hasDate: boolean;
  /** Trailer fields are announced. */
  readonly hasTrailer: boolean;
  /** `Connection: close`. */
  readonly closes: boolean;
}

const known = new FixedFields<ResponseFraming>();

/** Checks the fields and reads them. Throws a GatewayError `LGW_FIELD_INVALID` that names what is illegal. */
export function readFraming(fields: Fields): ResponseFraming {
  const before = known.get(fields);
  if (before !== undefined) return before;
  checkFields(fields);
  const framing = read(fields);
  known.set(fields, framing);
  return framing;
}

function read(fields: Fields): ResponseFraming {
  let contentLength: number | undefined;
  let hasDate = false;
  let hasTrailer = false;
  let closes = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (isNamed(name, 'date')) hasDate = true;
    else if (isNamed(name, 'trailer')) hasTrailer = true;
    else if (isNamed(name, 'connection')) closes ||= hasListMember(value, 'close');
    else if (isNamed(name, 'content-length')) {
      const length = parseContentLength(value);
      if (length === undefined || (contentLength !== undefined && contentLength !== length))
        throw new GatewayError('LGW_FIELD_INVALID', `Value "${value}" of field "${name}" is not a length`, {
          luaCode: 'invalid',
        });
      contentLength = length;
    }
  }
  return { contentLength, hasDate, hasTrailer, closes };
}
