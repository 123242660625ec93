/** A value on its way into a dictionary or out of it. Callers use one object for many values, so that nothing is allocated. */

export const VALUE_TYPE = { none: 0, no: 1, yes: 2, integer: 3, float: 4, string: 5 } as const;
export type ValueType = (typeof VALUE_TYPE)[keyof typeof VALUE_TYPE];

const NO_BYTES = new Uint8Array(0);

/** Makes `value.bytes` and `value.at` a place for `value.size` bytes. Runs inside the lock: it must not run Lua. */
export type MakeRoom = (value: Value) => void;

export class Value {
  type: ValueType = VALUE_TYPE.none;
  integer = 0n;
  float = 0;
  /** Of a string: where its bytes are. */
  bytes: Uint8Array = NO_BYTES;
  at = 0;
  /** Size of a string; 0 for other types. */
  size = 0;
  readonly makeRoom: MakeRoom;

  constructor(makeRoom: MakeRoom = allocate) {
    this.makeRoom = makeRoom;
  }

  setBoolean(value: boolean): void {
    this.type = value ? VALUE_TYPE.yes : VALUE_TYPE.no;
    this.size = 0;
  }

  /** An integer of 64 bits, signed. */
  setInteger(value: bigint): void {
    this.type = VALUE_TYPE.integer;
    this.integer = value;
    this.size = 0;
  }

  setFloat(value: number): void {
    this.type = VALUE_TYPE.float;
    this.float = value;
    this.size = 0;
  }

  setString(bytes: Uint8Array, at: number, size: number): void {
    this.type = VALUE_TYPE.string;
    this.bytes = bytes;
    this.at = at;
    this.size = size;
  }

  /** Forgets the bytes, which may be many. */
  clear(): void {
    this.type = VALUE_TYPE.none;
    this.bytes = NO_BYTES;
    this.size = 0;
  }
}

function allocate(value: Value): void {
  value.bytes = Buffer.allocUnsafe(value.size);
  value.at = 0;
}

/** Makes the number what `least` is where it is less; both are numbers. */
export function raiseTo(value: Value, least: Value): void {
  const areIntegers = value.type === VALUE_TYPE.integer && least.type === VALUE_TYPE.integer;
  if (areIntegers ? value.integer >= least.integer : !(numberOf(value) < numberOf(least))) return;
  if (least.type === VALUE_TYPE.integer) value.setInteger(least.integer);
  else value.setFloat(least.float);
}

function numberOf(value: Value): number {
  return value.type === VALUE_TYPE.integer ? Number(value.integer) : value.float;
}

/**
 * Adds `other` to `value`, both numbers, as Lua does: integers stay integers. False, without a change, if the sum of integers
 * does not fit into 64 bits.
 */
export function addTo(value: Value, other: Value): boolean {
  if (value.type === VALUE_TYPE.integer && other.type === VALUE_TYPE.integer) {
    const sum = value.integer + other.integer;
    if (BigInt.asIntN(64, sum) !== sum) return false;
    value.integer = sum;
    return true;
  }
  value.setFloat(numberOf(value) + numberOf(other));
  return true;
}
