/** Sends datagrams to unix sockets, which Node cannot, through koffi: the system's log and systemd take nothing else. Linux only. */
import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { GatewayError, messageOf } from '../base/errors.ts';

/** Numbers of Linux (bits/socket.h). */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const FAMILY_BYTES = 2;
/** Of the path in an address, with the zero behind it. */
const PATH_BYTES_MAX = 108;

export class UnixDatagrams {
  readonly #descriptor: number;
  readonly #address: Buffer;
  readonly #send: (bytes: Uint8Array) => number;
  readonly #errno: () => number;

  /** `path`: of the socket that gets all of them; `@NAME` is one that has no file. Nobody has to be there yet. Errors: LGW_NATIVE_UNAVAILABLE, LGW_DESCRIPTOR. */
  constructor(path: string) {
    const name = Buffer.from(path);
    // a name without a file begins with a zero and ends without one
    const isAbstract = path.startsWith('@');
    const size = Math.min(name.length, PATH_BYTES_MAX - 1) + (isAbstract ? 0 : 1);
    if (isAbstract) name[0] = 0;
    this.#address = Buffer.alloc(FAMILY_BYTES + size);
    this.#address.writeUInt16LE(AF_UNIX, 0);
    name.copy(this.#address, FAMILY_BYTES, 0, PATH_BYTES_MAX - 1);
    const koffi = loadKoffi();
    const library = koffi.load(null);
    const socket = library.func('int socket(int domain, int type, int protocol)');
    const sendto = library.func(
      'intptr_t sendto(int socket, const uint8_t *bytes, size_t length, int flags, const uint8_t *address, uint32_t size)',
    );
    this.#errno = () => koffi.errno();
    this.#descriptor = Number(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (this.#descriptor < 0)
      throw new GatewayError('LGW_DESCRIPTOR', `Cannot open a socket for "${path}": ${this.#reason()}`);
    this.#send = (bytes) =>
      Number(
        sendto(
          this.#descriptor,
          bytes,
          bytes.length,
          MSG_DONTWAIT | MSG_NOSIGNAL,
          this.#address,
          this.#address.length,
        ),
      );
  }

  /** Never waits. Why it could not be sent (`EAGAIN`: the receiver has no room); undefined: it was. */
  send(bytes: Uint8Array): string | undefined {
    return this.#send(bytes) < 0 ? this.#reason() : undefined;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #reason(): string {
    const errno = this.#errno();
    return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
  }
}

function loadKoffi(): typeof import('koffi') {
  if (process.platform !== 'linux')
    throw new GatewayError(
      'LGW_NATIVE_UNAVAILABLE',
      `Datagrams cannot be sent to unix sockets on ${process.platform}`,
    );
  try {
    return createRequire(import.meta.url)(`@koromix/koffi-${process.platform}-${process.arch}`);
  } catch (cause) {
    const message = `Datagrams cannot be sent to unix sockets, for koffi does not load (${messageOf(cause)})`;
    throw new GatewayError('LGW_NATIVE_UNAVAILABLE', message, { cause });
  }
}
