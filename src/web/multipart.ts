/** The parts of a multipart form for TypeScript handlers: one after the other, each read as the client sends it. */
import type { ByteSource } from '../base/byte-stream.ts';
import { GatewayError } from '../base/errors.ts';
import { FormBody } from '../forms/form-body.ts';
import { wrongType } from '../forms/form-errors.ts';
import { MULTIPART_LIMITS, type MultipartLimits } from '../forms/form-limits.ts';
import { readFormType } from '../forms/form-type.ts';
import { type Advance, MultipartReader, type Part } from '../forms/multipart-reader.ts';
import { bodyStream, bodyUsedError, readWholeBody } from './body-stream.ts';
import { StreamSource } from './stream-source.ts';

/** What bounds a form; `Infinity` for no limit of `field` and `size`. */
export interface MultipartOptions {
  /** Parts; default 100. */
  readonly parts?: number;
  /** Bytes of the head of a part; default 8 KiB. */
  readonly head?: number;
  /** Bytes of a part that is no file; default 1 MiB. */
  readonly field?: number;
  /** Bytes of the whole body; default: what the server admits. */
  readonly size?: number;
}

/** A field or file of a form. It is read before the next part is asked for, which passes over what is left. */
export interface FormPart {
  readonly name: string;
  /** As the client sends it, perhaps with folders; undefined: the part is no file. */
  readonly filename: string | undefined;
  /** The media type; `text/plain` where the client gives none. */
  readonly type: string;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array>;
  readonly bodyUsed: boolean;
  /** All of it, at most 64 MiB. */
  bytes(): Promise<Uint8Array<ArrayBuffer>>;
  /** All of it, at most 64 MiB, as UTF-8. */
  text(): Promise<string>;
}

/** The most that the option "parts" may say. */
const PARTS_OPTION_MAX = 10_000;
/** The most that the option "head" may say: a head is gathered before it is read. */
const HEAD_OPTION_BYTES_MAX: number = 64 * 1024;

/**
 * ```ts
 * for await (const part of multipart(request)) await store(part.filename ?? part.name, part.body);
 * ```
 *
 * The loop throws a GatewayError with the status that the client then gets: LGW_FORM_TYPE (415), LGW_FORM_MALFORMED (400) or
 * LGW_FORM_LIMIT (413). Throws RangeError for options that cannot be, TypeError for a body that was read.
 */
export function multipart(
  request: Request,
  options: MultipartOptions = {},
): AsyncGenerator<FormPart, void, undefined> {
  const limits = readOptions(options);
  if (request.bodyUsed || request.body?.locked === true) throw bodyUsedError();
  return readParts(request.headers.get('content-type') ?? undefined, () => request.body, limits);
}

/** As `multipart`, of a body that is asked for when it is needed. */
export async function* readParts(
  contentType: string | undefined,
  body: () => ReadableStream<Uint8Array> | null,
  limits: MultipartLimits,
): AsyncGenerator<FormPart, void, undefined> {
  const type = readFormType(contentType);
  if (type?.kind !== 'multipart') throw wrongType('multipart/form-data with a boundary', contentType);
  const source = new StreamSource(body());
  const reader = new MultipartReader(new FormBody(source), type.boundary, limits);
  try {
    for (;;) {
      const result: Advance = reader.advance();
      if (result === 'end') return;
      if (result instanceof GatewayError) throw result;
      if (result === 'more') await new Promise<void>((resolve) => reader.whenMore(resolve));
      else yield new StreamedPart(result);
    }
  } finally {
    source.close();
  }
}

class StreamedPart implements FormPart {
  readonly name: string;
  readonly filename: string | undefined;
  readonly type: string;
  readonly #source: ByteSource;
  readonly #fields: readonly string[];
  #headers: Headers | undefined;
  #stream: ReadableStream<Uint8Array> | undefined;
  #used = false;

  constructor({ name, filename, type, fields, body }: Part) {
    this.name = textOf(name);
    this.filename = filename === undefined ? undefined : textOf(filename);
    this.type = type;
    this.#fields = fields;
    this.#source = body;
  }

  get headers(): Headers {
    if (this.#headers === undefined) {
      this.#headers = new Headers();
      for (let i = 0; i < this.#fields.length; i += 2)
        this.#headers.append(this.#fields[i] as string, this.#fields[i + 1] as string);
    }
    return this.#headers;
  }

  get body(): ReadableStream<Uint8Array> {
    if (this.#stream === undefined) {
      if (this.#used) throw bodyUsedError();
      this.#used = true;
      this.#stream = bodyStream(this.#source, () => undefined);
    }
    return this.#stream;
  }

  get bodyUsed(): boolean {
    return this.#used;
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#used) throw bodyUsedError();
    this.#used = true;
    return await readWholeBody(this.#source, () => undefined);
  }

  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }
}

/** How browsers write what cannot stand in a name (https://html.spec.whatwg.org/#multipart-form-data). */
const ESCAPED = /%(?:0A|0D|22)/g;

/** The characters of a byte string in UTF-8. */
function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8').replace(ESCAPED, decodeURIComponent);
}

function readOptions(options: MultipartOptions): MultipartLimits {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTION_MAX, name)) throw new RangeError(`multipart has no option "${name}"`);
    const max = OPTION_MAX[name as keyof MultipartOptions];
    const isCount = Number.isInteger(value) || value === Number.POSITIVE_INFINITY;
    if (value !== undefined && !(isCount && value >= 0 && value <= max))
      throw new RangeError(
        `Option "${name}" of multipart is ${value} and not a whole number from 0 to ${max}`,
      );
  }
  const { parts, headBytes, fieldBytes, bytes } = MULTIPART_LIMITS;
  return {
    parts: options.parts ?? parts,
    headBytes: options.head ?? headBytes,
    fieldBytes: options.field ?? fieldBytes,
    bytes: options.size ?? bytes,
  };
}

const OPTION_MAX: Readonly<Record<keyof MultipartOptions, number>> = {
  parts: PARTS_OPTION_MAX,
  head: HEAD_OPTION_BYTES_MAX,
  field: Number.POSITIVE_INFINITY,
  size: Number.POSITIVE_INFINITY,
};
