/** The head of a response as its exchange makes it, for the wire to read: a handler's, or that of an error page. */
import { checkFields, type Fields } from '../semantics/fields.ts';
import { isBodyless } from '../semantics/status.ts';
import type { ResponseHead } from './exchange-wire.ts';
import { readFraming } from './response-framing.ts';

/** Informational heads of one exchange, which nothing holds back when the client does not read: a thousand small ones. */
const INFORMATIONAL_BYTES_MAX = 256 * 1024;
/** What each of them counts beside its fields. */
const INFORMATIONAL_BYTES_MIN = 64;

export class OutgoingHead implements ResponseHead {
  status = 0;
  reason: string | undefined;
  responseFields: Fields = NO_FIELDS;
  /** Of the body as its handler has declared it. */
  declaredLength: number | undefined;
  contentLength: number | undefined;
  hasDate = false;
  closes = false;
  mayHaveTrailers = false;
  bodyless = false;
  #informationalBytes = 0;

  /** Checks an informational head that goes before it. */
  inform(status: number, fields: Fields): void {
    if (status < 100 || status > 199 || status === 101) {
      throw new RangeError(`Status ${status} is not informational`);
    }
    checkFields(fields);
    for (const part of fields) this.#informationalBytes += part.length;
    this.#informationalBytes += INFORMATIONAL_BYTES_MIN;
    if (this.#informationalBytes > INFORMATIONAL_BYTES_MAX)
      throw new RangeError(
        `Informational heads of one exchange have more than the limit of ${INFORMATIONAL_BYTES_MAX} bytes`,
      );
  }

  /** Takes a handler's. Throws where that cannot be sent, and changes nothing then. */
  give(status: number, fields: Fields, isHead: boolean): void {
    checkStatus(status);
    const framing = readFraming(fields);
    if (this.reason !== undefined) checkFields(['reason', this.reason]);
    this.contentLength = framing.contentLength;
    this.hasDate = framing.hasDate;
    if (framing.hasTrailer) this.mayHaveTrailers = true;
    if (framing.closes) this.closes = true;
    this.status = status;
    this.responseFields = fields;
    this.bodyless = isHead || isBodyless(status);
    if (this.bodyless) this.mayHaveTrailers = false;
    if (status === 204) this.contentLength = undefined;
    else if (status === 205) this.contentLength = 0;
    this.declaredLength = this.contentLength;
  }

  /** The body is sent in another form, whose length is not known. */
  code(fields: Fields): void {
    this.responseFields = fields;
    this.contentLength = undefined;
  }

  /** The wire has answered by changing over to another protocol. */
  changeOver(connectProtocol: string | undefined): void {
    this.status = connectProtocol === undefined ? SWITCHING_PROTOCOLS : CONNECTED;
  }

  /** Takes that of a page of ours in its place. */
  replace(status: number, fields: Fields, contentLength: number, isHead: boolean): void {
    this.status = status;
    this.reason = undefined;
    this.responseFields = fields;
    this.contentLength = contentLength;
    this.declaredLength = contentLength;
    this.hasDate = false;
    this.mayHaveTrailers = false;
    this.bodyless = isHead || isBodyless(status);
    if (isBodyless(status)) this.contentLength = status === 205 ? 0 : undefined;
  }

  /** The part of `bytes` that the declared length leaves room for behind `bytesBefore`. */
  within(bytes: Uint8Array, bytesBefore: number): Uint8Array {
    if (this.declaredLength === undefined || this.bodyless) return bytes;
    const room = this.declaredLength - bytesBefore;
    return bytes.length <= room ? bytes : bytes.subarray(0, room);
  }

  /** The whole body is known before anything was sent: its length can be announced. */
  completeLength(length: number): void {
    if (!this.bodyless) this.contentLength = length;
    // A HEAD handler that wrote a body gets the length its GET would have; one that wrote none claims nothing.
    else if (length > 0 && !isBodyless(this.status)) this.contentLength = length;
  }
}

/** Throws where a handler's final head cannot be sent. */
export function checkHead(status: number, fields: Fields): void {
  checkStatus(status);
  readFraming(fields);
}

function checkStatus(status: number): void {
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new RangeError(`Status ${status} is not a final status between 200 and 599`);
}

const NO_FIELDS: Fields = [];
const SWITCHING_PROTOCOLS = 101;
/** RFC 8441 §5. */
const CONNECTED = 200;
