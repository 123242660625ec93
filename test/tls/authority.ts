/** Makes certificates that an authority of its own has issued, for tests of names, clients and responses. */
import { writeFileSync } from 'node:fs';
import { type CertificateFolder, EC_KEY } from './openssl.ts';

export interface IssueOptions {
  /** As in `openssl req -newkey`; default: an EC key. */
  readonly key?: string;
  /** Lines of an extension file, beside the names. */
  readonly extensions?: readonly string[];
  /** Default 60; below 0 it has expired. */
  readonly days?: number;
  /** Default `/CN=NAME`. */
  readonly subject?: string;
}

export class Authority {
  readonly folder: CertificateFolder;
  readonly name: string;
  #serial = 100;

  /** Makes `NAME.pem` and `NAME.key`. */
  constructor(folder: CertificateFolder, name: string) {
    [this.folder, this.name] = [folder, name];
    folder.openssl(
      `req -x509 -newkey ${EC_KEY} -nodes -keyout @${name}.key -out @${name}.pem -days 60 -subj /CN=${name}` +
        ' -addext basicConstraints=critical,CA:true',
    );
  }

  /** Makes `NAME.pem` and `NAME.key`, for these alternative names (`DNS:a.test,DNS:b.test`). */
  issue(name: string, names: string, options: IssueOptions = {}): void {
    const { key = EC_KEY, extensions = [], days = 60, subject = `/CN=${name}` } = options;
    writeFileSync(
      this.folder.file(`${name}.ext`),
      [...(names === '' ? [] : [`subjectAltName=${names}`]), ...extensions, ''].join('\n'),
    );
    this.folder.openssl(
      `req -new -newkey ${key} -nodes -keyout @${name}.key -out @${name}.csr -subj ${subject}`,
    );
    this.#serial += 1;
    this.folder.openssl(
      `x509 -req -in @${name}.csr -CA @${this.name}.pem -CAkey @${this.name}.key -set_serial ${this.#serial}` +
        ` -days ${days} -extfile @${name}.ext -out @${name}.pem`,
    );
  }

  /** The names of the files, as the configuration has them. */
  files(name: string): { readonly certificate: string; readonly key: string } {
    return { certificate: this.folder.file(`${name}.pem`), key: this.folder.file(`${name}.key`) };
  }
}
