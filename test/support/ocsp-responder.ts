/** The OCSP responder of openssl, for certificates of one authority, and responses that it makes of a request. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { CertificateFolder } from '../tls/openssl.ts';

/** The index that openssl looks into: states by the hexadecimal number of a certificate. */
export function writeIndex(folder: CertificateFolder, states: Readonly<Record<string, 'V' | 'R'>>): void {
  const lines = Object.entries(states).map(([serial, state]) => {
    const revokedAt = state === 'R' ? '260101000000Z' : '';
    return `${state}\t491231235959Z\t${revokedAt}\t${serial}\tunknown\t/CN=${serial}\n`;
  });
  writeFileSync(folder.file('index.txt'), lines.join(''));
}

export interface AnswerOptions {
  /** Names of the files of authority and responder, without their endings. */
  readonly authority?: string;
  readonly signer?: string;
  /** Further words of openssl. */
  readonly more?: string;
}

/** What the authority answers to a request, both in DER. */
export function answerOf(
  folder: CertificateFolder,
  request: Uint8Array,
  { authority = 'ca', signer = authority, more = '-ndays 1' }: AnswerOptions = {},
): Buffer {
  writeFileSync(folder.file('request.der'), request);
  folder.openssl(
    `ocsp -index @index.txt -CA @${authority}.pem -rsigner @${signer}.pem -rkey @${signer}.key -reqin @request.der -respout @response.der ${more}`.trimEnd(),
  );
  return readFileSync(folder.file('response.der'));
}

export class OcspResponder {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    [this.#process, this.port] = [child, port];
  }

  static async start(folder: CertificateFolder): Promise<OcspResponder> {
    const words = [
      '-index',
      'index.txt',
      '-CA',
      'ca.pem',
      '-rsigner',
      'ca.pem',
      '-rkey',
      'ca.key',
      '-ndays',
      '1',
    ];
    const child = spawn('openssl', ['ocsp', '-port', '0', ...words], {
      cwd: folder.path,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const port = await new Promise<number>((resolve, reject) => {
      let text = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (bytes: Buffer) => {
          text += bytes.toString();
          const found = /ACCEPT .*:(\d+) PID/.exec(text)?.[1];
          if (found !== undefined) resolve(Number(found));
        });
      child.once('exit', () => reject(new Error(`openssl ocsp has ended: ${text}`)));
    });
    return new OcspResponder(child, port);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}
