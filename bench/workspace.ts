/** The temporary folder of one run: certificate, key, payload, and the filled-in templates of the peers. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';
import { makeCertificate } from '../src/tls/make-certificate.ts';
import type { Peer, PeerFiles } from './peers/peers.ts';

const TEMPLATES = join(PACKAGE_ROOT, 'bench', 'templates');
export const BODY = 'Hello from the bench';
/** Random bytes, which no layer can compress; the block is repeated, because random bytes are slow to make. */
const PAYLOAD_BLOCK_BYTES = 1024 * 1024;
/** The small files: their folder, number and size. */
const SMALL_FOLDER = 'small';
const SMALL_FILES = 10_000;
const SMALL_FILE_BYTES = 1024;
/** The files of static mappings: their folder, and the size of each. */
const STATIC_FOLDER = 'static';
/** Nobody listens there (RFC 863): for servers that pass nothing on. */
const NO_UPSTREAM_PORT = 9;
export const STATIC_FILES: Readonly<Record<'10k' | '1m', number>> = { '10k': 10 * 1024, '1m': 1024 * 1024 };
const DAY_MS = 86_400_000;
/** Mode of a folder that other users may traverse but not list. */
const TRAVERSABLE = 0o711;

export interface PeerPorts {
  readonly tls: number;
  readonly plain: number;
}

export class Workspace {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'lgateway-bench-'));
  readonly certificate: string;
  readonly #payloads = new Map<number, string>();

  constructor() {
    // a server may read its script as a user with fewer rights; the keys stay readable for their owner only
    chmodSync(this.folder, TRAVERSABLE);
    const now = Date.now();
    const made = makeCertificate({
      hostNames: ['localhost'],
      addresses: [Uint8Array.of(127, 0, 0, 1)],
      organization: 'lgateway bench',
      notBefore: new Date(now - DAY_MS),
      notAfter: new Date(now + DAY_MS),
    });
    this.certificate = made.certificate;
    writeFileSync(this.path('certificate.pem'), made.certificate);
    writeFileSync(this.path('key.pem'), made.key, { mode: 0o600 });
    this.#makeStaticFiles();
    writeFileSync(this.path('combined.pem'), made.certificate + made.key, { mode: 0o600 });
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Makes a file of this size at the first call; returns its path. */
  payload(bytes: number): string {
    const known = this.#payloads.get(bytes);
    if (known !== undefined) return known;
    const path = this.path(`payload-${bytes}`);
    const block = randomBytes(PAYLOAD_BLOCK_BYTES);
    const file = openSync(path, 'w');
    for (let at = 0; at < bytes; at += block.length)
      writeSync(file, block, 0, Math.min(block.length, bytes - at));
    closeSync(file);
    this.#payloads.set(bytes, path);
    return path;
  }

  /** A file of this size that takes no room on the disk; its bytes are zeros. */
  sparse(bytes: number): string {
    const path = this.path(`sparse-${bytes}`);
    closeSync(openSync(path, 'a'));
    truncateSync(path, bytes);
    return path;
  }

  /** Makes the small files at the first call. */
  makeSmallFiles(): void {
    const folder = this.path(SMALL_FOLDER);
    if (existsSync(folder)) return;
    mkdirSync(folder);
    for (let i = 0; i < SMALL_FILES; i++)
      writeFileSync(join(folder, String(i)), randomBytes(SMALL_FILE_BYTES));
  }

  /** What the folder of static mappings has: a server refuses to start without the folder. */
  #makeStaticFiles(): void {
    const folder = this.path(STATIC_FOLDER);
    // nginx's worker may be another user
    mkdirSync(folder, { mode: 0o755 });
    // text, so that the check of an answer can count characters
    for (const [name, bytes] of Object.entries(STATIC_FILES))
      writeFileSync(join(folder, name), randomBytes(bytes).toString('base64').slice(0, bytes));
  }

  /** Writes the filled-in templates of the peer to a folder of its own. */
  prepare(
    peer: Peer,
    ports: PeerPorts,
    payloadBytes: number,
    upstreamPort: number = NO_UPSTREAM_PORT,
  ): PeerFiles {
    const folder = this.path(`${peer.name}-${ports.tls}`);
    mkdirSync(folder);
    const files: PeerFiles = {
      FOLDER: folder,
      PORT: String(ports.tls),
      PLAINPORT: String(ports.plain),
      CERTIFICATE: this.path('certificate.pem'),
      KEY: this.path('key.pem'),
      COMBINED: this.path('combined.pem'),
      BODY,
      PAYLOAD: this.payload(payloadBytes),
      STORE: join(folder, 'stored'),
      SMALL: this.path(SMALL_FOLDER),
      STATIC: this.path(STATIC_FOLDER),
      UPSTREAM: String(upstreamPort),
    };
    for (const name of peer.templates)
      writeFileSync(join(folder, name), fillIn(readFileSync(join(TEMPLATES, name), 'utf8'), files));
    return files;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function fillIn(template: string, files: PeerFiles): string {
  return template.replaceAll(
    /\{\{([A-Z]+)\}\}/g,
    (whole, key: string) => files[key as keyof PeerFiles] ?? whole,
  );
}
