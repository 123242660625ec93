/** Reads a small file whole, pipes included, and stops at a limit. */
import { closeSync, readSync } from 'node:fs';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { openFile, RefusedOpenError } from '../base/open-file.ts';

/** A chain of ten certificates has 20 KiB; a device or a wrong file name must not fill the memory. */
const FILE_BYTES_MAX = 1024 * 1024;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
};

/** The bytes of `file`, which the message calls a `role` file. Throws GatewayError LGW_CERTIFICATE_READ. */
export function readPemFile(file: string, role: 'certificate' | 'key'): Buffer {
  const buffer = Buffer.alloc(FILE_BYTES_MAX + 1);
  let length = 0;
  try {
    const descriptor = openFile(file, 'read');
    try {
      for (let n = 1; n > 0 && length <= FILE_BYTES_MAX; length += n)
        n = readSync(descriptor, buffer, length, buffer.length - length, null);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const code = systemCodeOf(error) ?? '';
    const refusal = code === 'EACCES' && error instanceof RefusedOpenError ? `, and ${error.message}` : '';
    const reason = (REASONS[code] ?? messageOf(error)) + refusal;
    throw new GatewayError('LGW_CERTIFICATE_READ', `Cannot read the ${role} file "${file}": ${reason}`, {
      cause: error,
    });
  }
  if (length > FILE_BYTES_MAX)
    throw new GatewayError(
      'LGW_CERTIFICATE_READ',
      `Cannot read the ${role} file "${file}": it is longer than ${FILE_BYTES_MAX} bytes`,
    );
  return Buffer.from(buffer.subarray(0, length));
}
