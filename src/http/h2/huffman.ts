/** Encodes and decodes HPACK's Huffman code (RFC 7541 §5.2 and Appendix B) with tables. */

/** The length in bits of the code of each octet, and of EOS, as letters (`a` is 5): codes of one length follow the order of symbols. */
const LENGTHS =
  'isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdcdioijbkabababbbac' +
  'cbbbabcbaabccccckgjixprpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrsvvporsruvvvwwvtuoqvwwv' +
  'wtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwvz';
const SHORTEST = 5;
const LETTER_A = 97;
const EOS = 256;

const codeLengths = Uint8Array.from(LENGTHS, (letter) => letter.charCodeAt(0) - LETTER_A + SHORTEST);
const codes = assignCodes();

// ---- encoding ----

/** Returns how many bytes the code of a byte string takes. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += codeLengths[text.charCodeAt(i)] as number;
  return (bits + 7) >>> 3;
}

/** Writes the code of a byte string, padded with ones, and returns where it ends. */
export function huffmanEncode(text: string, target: Uint8Array, offset: number): number {
  let at = offset;
  // the lowest `bits` bits are still to be written, at most 7 between characters; the bits above them have been written
  let pending = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i);
    let length = codeLengths[octet] as number;
    const code = codes[octet] as number;
    if (length > PART_BITS) {
      // 7 and 30 bits do not fit into 32: the upper bits of the code go first
      length -= PART_BITS;
      pending = (pending << length) | (code >>> PART_BITS);
      for (bits += length; bits >= 8; target[at++] = pending >>> bits) bits -= 8;
      length = PART_BITS;
    }
    pending = (pending << length) | (code & PART_MASK);
    for (bits += length; bits >= 8; target[at++] = pending >>> bits) bits -= 8;
  }
  if (bits > 0) target[at++] = (pending << (8 - bits)) | ((1 << (8 - bits)) - 1);
  return at;
}

const PART_BITS = 24;
const PART_MASK = 0xffffff;

// ---- decoding ----

// One step takes four bits. Its entry holds the state after them, the octet whose code ends in them, and flags.
const STATE_MASK = 0x1ff;
const OCTET_SHIFT = 9;
const HAS_OCTET = 1 << 17;
/** The string has EOS in it, which is an error (RFC 7541 §5.2). */
const FAILED = 1 << 18;
/** States in which a string may end: at most seven bits, all ones, follow the last octet. */
const accepting = new Uint8Array(257);
const steps = makeSteps();

/** Returns the most octets that so many bytes of code can stand for: no code is shorter than five bits. */
export function huffmanDecodedMax(size: number): number {
  return Math.floor((size * 8) / SHORTEST);
}

/** Decodes `source[start, end)` into `target`, which has room. Returns the number of octets, or -1 for an invalid code. */
export function huffmanDecode(source: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let state = 0;
  let size = 0;
  for (let i = start; i < end; i++) {
    const octet = source[i] as number;
    let step = steps[(state << 4) | (octet >>> 4)] as number;
    if ((step & HAS_OCTET) !== 0) target[size++] = step >>> OCTET_SHIFT;
    let failed = step;
    step = steps[((step & STATE_MASK) << 4) | (octet & 15)] as number;
    if ((step & HAS_OCTET) !== 0) target[size++] = step >>> OCTET_SHIFT;
    failed |= step;
    if ((failed & FAILED) !== 0) return -1;
    state = step & STATE_MASK;
  }
  return accepting[state] === 1 ? size : -1;
}

/** Assigns the codes, which are canonical: ordered by length and then by symbol, each is one more than the one before. */
function assignCodes(): Uint32Array {
  const assigned = new Uint32Array(codeLengths.length);
  let code = 0;
  for (let length = SHORTEST; length <= 30; length++) {
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (codeLengths[symbol] !== length) continue;
      assigned[symbol] = code;
      code += 1;
    }
    code *= 2;
  }
  return assigned;
}

function makeSteps(): Uint32Array {
  // the inner nodes of the tree of codes: a child is the number of a node, or -1 - symbol
  const children: [number, number][] = [[0, 0]];
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let node = 0;
    const length = codeLengths[symbol] as number;
    for (let bit = length - 1; bit >= 0; bit--) {
      const branch = (((codes[symbol] as number) >>> bit) & 1) as 0 | 1;
      const pair = children[node] as [number, number];
      if (bit === 0) pair[branch] = -1 - symbol;
      else {
        if (pair[branch] === 0) pair[branch] = children.push([0, 0]) - 1;
        node = pair[branch];
      }
    }
  }
  for (let node = 0, ones = 0; ones < 8; ones++) {
    accepting[node] = 1;
    node = (children[node] as [number, number])[1];
  }
  const made = new Uint32Array(children.length << 4);
  for (let state = 0; state < children.length; state++)
    for (let bits = 0; bits < 16; bits++) made[(state << 4) | bits] = makeStep(children, state, bits);
  return made;
}

function makeStep(children: readonly (readonly [number, number])[], state: number, bits: number): number {
  let node = state;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = (children[node] as readonly [number, number])[((bits >>> bit) & 1) as 0 | 1];
    if (next === -1 - EOS) return FAILED;
    if (next < 0) emitted = HAS_OCTET | ((-1 - next) << OCTET_SHIFT);
    node = next < 0 ? 0 : next;
  }
  return emitted | node;
}
