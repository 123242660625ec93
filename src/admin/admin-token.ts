/** The token of the admin listener: read from a file, or made for this run and written to a file that only its owner can read. */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';

/** Characters of a token: less can be guessed, more has no use. */
const TOKEN_MIN = 16;
const TOKEN_MAX = 1024;
const TOKEN = new RegExp(`^[\\x21-\\x7e]{${TOKEN_MIN},${TOKEN_MAX}}$`);
const RANDOM_BYTES = 32;

/** The token in a file of the operator, without blanks around it. Errors: LGW_ADMIN_TOKEN. */
export function readToken(path: string): string {
  let text: string;
  try {
    const { size } = statSync(path);
    if (size > 2 * TOKEN_MAX) throw new Error(`it has ${size} bytes and a token at most ${TOKEN_MAX}`);
    text = readFileSync(path, 'latin1').trim();
  } catch (error) {
    throw tokenError(
      `Cannot read the token of the admin listener from "${path}": ${messageOf(error)}`,
      error,
    );
  }
  if (!TOKEN.test(text))
    throw tokenError(
      `The file "${path}" holds no token of the admin listener: it wants ${TOKEN_MIN} to ${TOKEN_MAX} printable characters without blanks`,
    );
  return text;
}

/** A token that is new with each run. */
export class TokenFile {
  readonly path: string;
  readonly token: string = randomBytes(RANDOM_BYTES).toString('base64url');

  /** Writes it, in place of one that an earlier run has left. Errors: LGW_ADMIN_TOKEN. */
  constructor(path: string) {
    this.path = path;
    try {
      if (!this.#create()) {
        // never written through: it may be a link, or the file of somebody else
        rmSync(path);
        if (!this.#create()) throw new Error('somebody else has made it just now');
      }
    } catch (error) {
      throw tokenError(
        `Cannot write the token of the admin listener to "${path}": ${messageOf(error)}; --admin-token-file takes a token of your own`,
        error,
      );
    }
  }

  /** Removes the file if it still holds this token. */
  remove(): void {
    try {
      if (readFileSync(this.path, 'latin1').trim() === this.token) rmSync(this.path);
    } catch (error) {
      // after `-u` the folder may be out of reach; the next start writes the file anew
      if (!['ENOENT', 'EACCES', 'EPERM'].includes(systemCodeOf(error) ?? '')) throw error;
    }
  }

  #create(): boolean {
    try {
      writeFileSync(this.path, `${this.token}\n`, { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if (systemCodeOf(error) === 'EEXIST') return false;
      throw error;
    }
  }
}

function tokenError(message: string, cause?: unknown): GatewayError {
  return new GatewayError('LGW_ADMIN_TOKEN', message, { cause });
}
