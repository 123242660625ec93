/** `request.formData()` within bounds: the platform's own would make any number of entries of what a client sends. */
import { beyondLimit, wrongType } from '../forms/form-errors.ts';
import { MULTIPART_LIMITS, type MultipartLimits } from '../forms/form-limits.ts';
import { readFormType } from '../forms/form-type.ts';
import { type GatherLimit, WHOLE_BODY_BYTES_MAX } from './body-stream.ts';
import { readParts } from './multipart.ts';

/** Entries of a form, as many as `httpd.form` takes: a longer one is an attack, not a form. */
export const FORM_ENTRIES_MAX = 1000;
/** Bytes of an urlencoded form: it is taken apart in one go (20 ms for each MiB), while nobody else of the thread is served. */
export const URLENCODED_BYTES_MAX: number = 4 * 1024 * 1024;

const LIMITS: MultipartLimits = {
  ...MULTIPART_LIMITS,
  parts: FORM_ENTRIES_MAX,
  bytes: WHOLE_BODY_BYTES_MAX,
};

const URLENCODED: GatherLimit = {
  bytesMax: URLENCODED_BYTES_MAX,
  tooLarge: () =>
    beyondLimit(`it has more bytes, and the limit of an urlencoded form is ${URLENCODED_BYTES_MAX}`),
};

/** How the body is read, one way or the other. */
export interface FormDataBody {
  stream(): ReadableStream<Uint8Array> | null;
  bytes(limit: GatherLimit): Promise<Uint8Array>;
}

/** Rejects with a GatewayError for what is no form, is malformed, or exceeds the limits. */
export async function readFormData(contentType: string | undefined, body: FormDataBody): Promise<FormData> {
  const type = readFormType(contentType);
  if (type === undefined)
    throw wrongType(
      'form (application/x-www-form-urlencoded, or multipart/form-data with a boundary)',
      contentType,
    );
  if (type.kind === 'urlencoded') return readUrlencoded(await body.bytes(URLENCODED));
  const form = new FormData();
  for await (const part of readParts(contentType, () => body.stream(), LIMITS)) {
    const { name, filename } = part;
    if (filename === undefined) form.append(name, await part.text());
    else form.append(name, new File([await part.bytes()], filename, { type: part.type }));
  }
  return form;
}

function readUrlencoded(bytes: Uint8Array): FormData {
  const form = new FormData();
  let count = 0;
  for (const [name, value] of new URLSearchParams(new TextDecoder().decode(bytes))) {
    count += 1;
    if (count > FORM_ENTRIES_MAX)
      throw beyondLimit(`it has more entries than the limit of ${FORM_ENTRIES_MAX}`);
    form.append(name, value);
  }
  return form;
}
