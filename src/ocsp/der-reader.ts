/** Reads DER as slices of its bytes, so that what was signed is at hand as it came. Only what OCSP and certificates need. */

/** One value: what is inside of it, and all of it with its head. */
export interface DerValue {
  /** The first byte: class, form and number. */
  readonly tag: number;
  readonly content: Buffer;
  readonly raw: Buffer;
}

export const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  enumerated: 0x0a,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** Values inside of one. */
const VALUES_MAX = 1000;
const LENGTH_BYTES_MAX = 4;

/** Of `[number]`: what holds other values, or bytes. */
export function contextTag(number: number, holdsValues: boolean): number {
  return 0x80 | (holdsValues ? 0x20 : 0) | number;
}

/** The values that follow one another. Throws RangeError for what is no DER. */
export function readValues(bytes: Buffer): DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (values.length >= VALUES_MAX) throw new RangeError(`more than ${VALUES_MAX} values in one`);
    const value = readValue(bytes.subarray(at));
    values.push(value);
    at += value.raw.length;
  }
  return values;
}

/** The values inside of one with this tag. Throws RangeError. */
export function inside(value: DerValue | undefined, tag: number = TAG.sequence): DerValue[] {
  return readValues(contentOf(value, tag));
}

/** Throws RangeError where the value is missing, or of another kind. */
export function contentOf(value: DerValue | undefined, tag: number): Buffer {
  if (value?.tag !== tag)
    throw new RangeError(`0x${tag.toString(16)} is expected, not 0x${value?.tag.toString(16)}`);
  return value.content;
}

/** The bytes of a BIT STRING, which are whole ones. Throws RangeError. */
export function bytesOf(value: DerValue | undefined): Buffer {
  const content = contentOf(value, TAG.bitString);
  if (content[0] !== 0) throw new RangeError('a part of a byte');
  return content.subarray(1);
}

/** The first value; others may follow. Throws RangeError. */
export function readValue(bytes: Buffer): DerValue {
  const tag = bytes.readUInt8(0);
  const first = bytes.readUInt8(1);
  let head = 2;
  let length = first;
  if (first >= 0x80) {
    const size = first & 0x7f;
    if (size === 0 || size > LENGTH_BYTES_MAX) throw new RangeError(`a length of ${size} bytes`);
    length = bytes.readUIntBE(2, size);
    head += size;
  }
  if (bytes.length < head + length)
    throw new RangeError(`${head + length} bytes are announced, and ${bytes.length} are there`);
  return { tag, content: bytes.subarray(head, head + length), raw: bytes.subarray(0, head + length) };
}
