/** What @fastify/busboy makes of a multipart body, and the named rules for what the reader of forms makes of it otherwise. */
import { Busboy } from '@fastify/busboy';
import type { ReadForm, ReadPart } from './read-multipart.ts';

/** Bytes that a file of it holds before somebody reads: more than any body here has. */
const FILE_BYTES = 1 << 24;

/** Resolves with what busboy gives until the end, or until its first error, for a body in the pieces between `cuts`. */
export function askBusboy(bytes: string, contentType: string, cuts: readonly number[]): Promise<ReadForm> {
  return new Promise((resolve) => {
    const parts: { name: string; filename: string | undefined; type: string; pieces: string[] }[] = [];
    const done = (failure: string | undefined): void =>
      resolve({
        parts: parts.map(({ pieces, ...head }): ReadPart => ({ ...head, content: pieces.join('') })),
        failure,
      });
    const busboy = new Busboy({
      headers: { 'content-type': contentType },
      fileHwm: FILE_BYTES,
      preservePath: true,
      // fields, too, are given as they were sent
      isPartAFile: () => true,
    });
    busboy.on('file', (name, stream, filename, _encoding, type) => {
      const pieces: string[] = [];
      parts.push({ name: bytesOf(name) ?? '(no name)', filename: bytesOf(filename), type, pieces });
      stream.on('data', (piece: Buffer) => pieces.push(piece.toString('latin1')));
      stream.on('error', (error: unknown) => done(String(error)));
    });
    busboy.on('error', (error: unknown) => done(String(error)));
    busboy.on('finish', () => done(undefined));
    let from = 0;
    for (const to of [...cuts, bytes.length]) {
      busboy.write(Buffer.from(bytes.slice(from, to), 'latin1'));
      from = to;
    }
    busboy.end();
  });
}

/**
 * The body without the blanks between boundaries and their line ends, which RFC 2046 §5.1.1 wants passed over: busboy drops the part
 * behind them.
 */
export function withoutPadding(bytes: string, boundary: string): string {
  const delimiter = boundary.replace(/[^0-9A-Za-z]/g, '\\$&');
  return bytes.replace(new RegExp(`((?:^|\\r\\n)--${delimiter})[ \\t]+(?=\\r\\n)`, 'g'), '$1');
}

/** busboy decodes UTF-8. */
function bytesOf(text: string | undefined): string | undefined {
  return text === undefined ? undefined : Buffer.from(text).toString('latin1');
}

export interface Difference {
  readonly body: string;
  readonly boundary: string;
  readonly own: ReadForm;
  readonly busboy: ReadForm;
}

interface Rule {
  readonly name: string;
  explains(difference: Difference): boolean;
}

/** We refuse the form with this message, and had read no part otherwise than busboy before. */
function stricter(name: string, message: RegExp): Rule {
  return { name, explains: ({ own }) => own.failure !== undefined && message.test(own.failure) };
}

const RULES: readonly Rule[] = [
  // RFC 2046 §5.1.1: a boundary is followed by blanks and a line end, or by two hyphens; busboy takes what follows for content
  stricter('text follows a boundary', / follows a boundary in the same line$/),
  stricter('a line of a head ends with LF alone', /does not end with CR LF$/),
  stricter('a boundary stands in a head', /a part ends before its head does$/),
  stricter('a line of a head is no field', /, which is no field$/),
  // RFC 7578 §4.2 wants them; busboy leaves such parts out
  stricter('a part has no content-disposition', /no content-disposition$/),
  stricter('a part has no name, or two, or is not well-formed', /which is no form-data with a name$/),
  // busboy takes the first, others the last
  stricter('a part is two things', /a part has two content-(disposition|type)$/),
  stricter('the form breaks off', /ends before its last boundary$/),
];

/** The name of the rule that explains why both differ; undefined: they do not; `unexplained`. */
export function explain(difference: Difference): string | undefined {
  const { own, busboy } = difference;
  // both refuse it
  if (own.failure !== undefined && busboy.failure !== undefined) return undefined;
  const left = partsLeft(difference);
  if (left === undefined) return 'unexplained';
  if (own.failure !== undefined)
    return RULES.find((rule) => rule.explains(difference))?.name ?? 'unexplained';
  if (busboy.failure !== undefined || left > 0) return 'unexplained';
  return own.parts.length === busboy.parts.length ? undefined : SHARED_LINE_END;
}

/**
 * RFC 2046 §5.1.1 lets a part without content end with its head: the line end of the blank line is that of the delimiter. busboy drops
 * such a part.
 */
const SHARED_LINE_END = 'an empty part shares its line end with the delimiter';

/** How many parts busboy has beyond ours; undefined where one of ours is not the same. */
function partsLeft({ body, boundary, own, busboy }: Difference): number | undefined {
  const shares = body.includes(`\r\n\r\n--${boundary}`);
  let at = 0;
  for (const part of own.parts) {
    if (isSame(part, busboy.parts[at])) at += 1;
    else if (!shares || part.content !== '') return undefined;
  }
  return busboy.parts.length - at;
}

function isSame(own: ReadPart, other: ReadPart | undefined): boolean {
  if (other === undefined) return false;
  const [type = ''] = own.type.split(';');
  return (
    textOf(own.name) === textOf(other.name) &&
    textOf(own.filename) === textOf(other.filename) &&
    own.content === other.content &&
    // a type that is none is given as it was sent: busboy leaves out what does not fit
    (!MEDIA_TYPE.test(type) || type.toLowerCase() === other.type)
  );
}

const MEDIA_TYPE = /^[\w.+-]+\/[\w.+-]+$/;

/** busboy decodes UTF-8, and replaces what is none. */
function textOf(bytes: string | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes, 'latin1').toString();
}
