/** The gateway's side of the opener: starts it while this process is root, and asks it for files afterwards. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GatewayError } from '../base/errors.ts';
import { type FileFacts, type FileOpener, type OpenKind, RefusedOpenError } from '../base/open-file.ts';
import { closeDescriptor, duplicateDescriptor } from '../native/posix.ts';
import {
  limitWaits,
  openMessagePair,
  receiveMessage,
  sendMessage,
  type UnixMessage,
} from '../native/unix-messages.ts';
import {
  type Action,
  FILES_MAX,
  fileMessage,
  LIST_END,
  type NamedFile,
  type OpenerReply,
  PATH_BYTES_MAX,
  REPLY_BYTES_MAX,
  readReply,
  requestMessage,
  userMessage,
} from './opener-messages.ts';

/** A file system that does not answer holds the main thread up no longer. */
const WAIT_SECONDS = 10;
const ENTRY: string = fileURLToPath(new URL('../opener/opener-process.cjs', import.meta.url));
/** It has next to nothing in memory: its heap stays small, and no threads compile or collect for it. */
const NODE_WORDS: readonly string[] = [
  '--max-old-space-size=32',
  '--max-semi-space-size=1',
  '--v8-pool-size=0',
];

export interface OpenerStart {
  /** Absolute names; at most FILES_MAX. */
  readonly files: readonly NamedFile[];
  /** The user that this process becomes, for whom no name may be changed into another. */
  readonly uid: number;
  /** Hears once that the opener has ended before this process; nobody can start it again without root. */
  readonly ended: (reason: string) => void;
}

export class RootOpener implements FileOpener {
  readonly files: readonly NamedFile[];
  readonly #socket: number;
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #ended: (reason: string) => void;
  #serial = 0;
  /** Why nothing is asked any more, or not now. */
  #closed: string | undefined;
  #paused = false;

  private constructor(socket: number, { files, ended }: Omit<OpenerStart, 'uid'>) {
    this.#socket = socket;
    this.files = files;
    this.#ended = ended;
    this.#numbers = new Map(files.map(({ path, kind }, number) => [`${kind} ${path}`, number]));
  }

  /** To be called as root. Errors: LGW_NATIVE_UNAVAILABLE, LGW_DESCRIPTOR, LGW_USER. */
  static start(options: OpenerStart): RootOpener {
    const { files, uid } = options;
    const tooLong = files.find(({ path }) => Buffer.byteLength(path) > PATH_BYTES_MAX);
    if (files.length > FILES_MAX || tooLong !== undefined)
      throw new GatewayError(
        'LGW_USER',
        `${files.length} files are to be opened again, and the limit is ${FILES_MAX}, with names of ${PATH_BYTES_MAX} bytes`,
      );
    const [own, other] = openMessagePair();
    const opener = new RootOpener(own, options);
    try {
      limitWaits(own, WAIT_SECONDS);
      const kind = files.some((file) => file.kind === 'append') ? 'append' : 'read';
      const child = spawn(process.execPath, [...NODE_WORDS, ENTRY, kind], {
        stdio: ['ignore', 'ignore', 'ignore', other],
        env: {},
        cwd: '/',
        detached: true,
      });
      child.unref();
      child.on('error', ({ message }) => opener.#end(`it cannot be started: ${message}`));
      child.on('exit', (code, signal) => opener.#end(`it ended with ${signal ?? `code ${code}`}`));
    } finally {
      closeDescriptor(other);
    }
    opener.#tellList(uid);
    return opener;
  }

  /** Takes over the socket of a predecessor, which lies at `descriptor`. Errors: LGW_NATIVE_UNAVAILABLE, LGW_DESCRIPTOR. */
  static adopt(descriptor: number, files: readonly NamedFile[], ended: (reason: string) => void): RootOpener {
    // this one is closed on exec: no program that a script starts has it
    const socket = duplicateDescriptor(descriptor);
    closeDescriptor(descriptor);
    return new RootOpener(socket, { files, ended });
  }

  /** For a successor; undefined: nobody answers any more. */
  get descriptor(): number | undefined {
    return this.#closed === undefined ? this.#socket : undefined;
  }

  open(path: string, kind: OpenKind): number {
    const { descriptor } = this.#ask('open', path, [kind]);
    if (descriptor === undefined) throw new RefusedOpenError('EACCES', 'the opener has sent no descriptor');
    return descriptor;
  }

  look(path: string): FileFacts {
    const { facts } = this.#ask('look', path, ['read', 'append']).reply;
    if (facts === undefined) throw new RefusedOpenError('EACCES', 'the opener has sent nothing');
    return facts;
  }

  /** Two processes that ask at once would get each other's replies: a predecessor asks nothing while its successor does. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  /** The opener ends when no process has it any more. */
  close(): void {
    if (this.#closed !== undefined) return;
    this.#closed = 'this process has given it up';
    closeDescriptor(this.#socket);
  }

  #tellList(uid: number): void {
    for (const message of [userMessage(uid), ...this.files.map(fileMessage), LIST_END]) {
      const failure = sendMessage(this.#socket, message);
      if (failure === undefined) continue;
      this.#end(`its list cannot be sent: ${failure}`);
      return;
    }
  }

  #ask(
    action: Action,
    path: string,
    kinds: readonly OpenKind[],
  ): { readonly reply: OpenerReply; readonly descriptor: number | undefined } {
    const number = kinds
      .map((kind) => this.#numbers.get(`${kind} ${resolve(path)}`))
      .find((one) => one !== undefined);
    if (number === undefined)
      throw refusal('it was not named when the gateway started as root, and a restart is needed to read it');
    if (this.#paused) throw refusal('an upgrade is under way');
    if (this.#closed !== undefined)
      throw refusal(
        `the process that opens files as root is gone (${this.#closed}), and a restart is needed`,
      );
    this.#serial = (this.#serial + 1) >>> 0;
    const failure = sendMessage(this.#socket, requestMessage({ action, number, serial: this.#serial }));
    if (failure !== undefined) throw this.#gone(failure);
    for (;;) {
      const message = receiveMessage(this.#socket, REPLY_BYTES_MAX);
      if (message === undefined) throw this.#gone('it has ended');
      if (typeof message === 'string')
        throw this.#gone(message === 'EAGAIN' ? `no answer within ${WAIT_SECONDS} s` : message);
      const reply = readReply(message.bytes, action);
      // what a successor that has failed did not wait for
      if (reply === undefined || reply.serial !== this.#serial) dispose(message);
      else if (reply.result === 0) return { reply, descriptor: message.descriptor };
      else {
        dispose(message);
        throw new RefusedOpenError(codeOf(reply.result), reply.text);
      }
    }
  }

  #gone(reason: string): RefusedOpenError {
    this.#end(reason);
    return refusal(`the process that opens files as root is gone (${reason}), and a restart is needed`);
  }

  #end(reason: string): void {
    if (this.#closed !== undefined) return;
    this.close();
    this.#closed = reason;
    this.#ended(reason);
  }
}

/** Refusals of the opener itself count as the system's. */
function codeOf(errno: number): string {
  return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? 'EACCES';
}

function dispose({ descriptor }: UnixMessage): void {
  if (descriptor !== undefined) closeDescriptor(descriptor);
}

function refusal(message: string): RefusedOpenError {
  return new RefusedOpenError('EACCES', message);
}
