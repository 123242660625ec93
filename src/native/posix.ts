/** The system calls that Node lacks, through koffi: to duplicate a descriptor, to look at a socket, and to end at once. Only files of this room call koffi. */
import { closeSync, fstatSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';

/** fcntl's "duplicate, and close the copy on exec", so that no program started by a script holds the listener open. */
const F_DUPFD_CLOEXEC: Readonly<Partial<Record<NodeJS.Platform, number>>> = {
  linux: 1030,
  darwin: 67,
  freebsd: 17,
  openbsd: 10,
};
/** Never to land on standard input, output or error. */
const LOWEST_DESCRIPTOR = 3;

/** Numbers of Linux (asm-generic/socket.h, bits/socket.h), for getsockopt. */
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const SOCK_STREAM = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const INT_BYTES = 4;

interface SystemCalls {
  duplicate(descriptor: number): number;
  /** The value of an option of type int; -1 when there is none. */
  socketOption(descriptor: number, option: number): number;
  errno(): number;
  exit(code: number): void;
  /** Undefined where the C library has no such call. */
  trim: (() => boolean) | undefined;
}

let systemCalls: SystemCalls | GatewayError | undefined;

/** True when `duplicateDescriptor` works here. Loads koffi at the first call. */
export function isAvailable(): boolean {
  return !(loadSystemCalls() instanceof GatewayError);
}

/** Why `isAvailable()` is false, for the log; undefined when it is true. */
export function unavailableReason(): string | undefined {
  const loaded = loadSystemCalls();
  return loaded instanceof GatewayError ? loaded.message : undefined;
}

/**
 * A second number for the open file or socket behind `descriptor`, closed on exec. The caller owns it and closes it
 * (`closeDescriptor`, or a server that listens on it). Throws GatewayError LGW_NATIVE_UNAVAILABLE or LGW_DESCRIPTOR.
 */
export function duplicateDescriptor(descriptor: number): number {
  const loaded = loadSystemCalls();
  if (loaded instanceof GatewayError) throw loaded;
  const copy = loaded.duplicate(descriptor);
  if (copy < 0) throw descriptorError('duplicate', descriptor, errnoName(loaded.errno()));
  return copy;
}

/**
 * Why no connections can be accepted from `descriptor`, as the end of a sentence ("is not open"); undefined when they
 * can. Beyond Linux it only knows whether it is a socket.
 */
export function whyNotListening(descriptor: number): string | undefined {
  try {
    if (!fstatSync(descriptor).isSocket()) return 'is not a socket';
  } catch (error) {
    return systemCodeOf(error) === 'EBADF' ? 'is not open' : `cannot be looked at: ${messageOf(error)}`;
  }
  const loaded = loadSystemCalls();
  if (loaded instanceof GatewayError || process.platform !== 'linux') return undefined;
  const domain = loaded.socketOption(descriptor, SO_DOMAIN);
  const isTcp = loaded.socketOption(descriptor, SO_TYPE) === SOCK_STREAM;
  if (!isTcp || (domain !== AF_INET && domain !== AF_INET6)) return 'is not a TCP socket';
  return loaded.socketOption(descriptor, SO_ACCEPTCONN) === 1 ? undefined : 'does not listen';
}

/**
 * Ends the process without waiting for its threads, as one of them does not end; nothing that waits to be written is written. By SIGKILL
 * where there is no other way.
 */
export function exitAtOnce(code: number): void {
  const loaded = loadSystemCalls();
  if (loaded instanceof GatewayError) process.kill(process.pid, 'SIGKILL');
  else loaded.exit(code);
}

/**
 * Gives memory back to the system that the C library keeps for later. Takes some milliseconds. False: there was none, or the C library (of
 * another system than GNU) has no call for that.
 */
export function returnFreeMemory(): boolean {
  const loaded = loadSystemCalls();
  return !(loaded instanceof GatewayError) && loaded.trim?.() === true;
}

/** Closes a descriptor that no stream or server owns. Throws GatewayError LGW_DESCRIPTOR. */
export function closeDescriptor(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch (error) {
    throw descriptorError('close', descriptor, systemCodeOf(error) ?? messageOf(error));
  }
}

function loadSystemCalls(): SystemCalls | GatewayError {
  systemCalls ??= openLibrary();
  return systemCalls;
}

function openLibrary(): SystemCalls | GatewayError {
  const command = F_DUPFD_CLOEXEC[process.platform];
  if (command === undefined)
    return new GatewayError(
      'LGW_NATIVE_UNAVAILABLE',
      `Descriptors cannot be duplicated on ${process.platform}`,
    );
  try {
    // the package of this platform and not `koffi`, which would only choose it, and has an install script that nobody needs
    const name = `@koromix/koffi-${process.platform}-${process.arch}`;
    const koffi: typeof import('koffi') = createRequire(import.meta.url)(name);
    // null is the program itself, which has the C library in it already
    const library = koffi.load(null);
    const fcntl = library.func('int fcntl(int descriptor, int command, ...)');
    const getsockopt = library.func(
      'int getsockopt(int socket, int level, int option, _Out_ int *value, _Inout_ uint32_t *size)',
    );
    const exit = library.func('void _exit(int code)');
    return {
      socketOption: (descriptor, option) => {
        const value = [0];
        const failed: unknown = getsockopt(descriptor, SOL_SOCKET, option, value, [INT_BYTES]);
        return failed === 0 ? (value[0] ?? -1) : -1;
      },
      duplicate: (descriptor) => Number(fcntl(descriptor, command, 'int', LOWEST_DESCRIPTOR)),
      errno: () => koffi.errno(),
      exit: (code) => exit(code),
      trim: trimOf(library),
    };
  } catch (cause) {
    const message = `Descriptors cannot be duplicated, for koffi does not load (${messageOf(cause)})`;
    return new GatewayError('LGW_NATIVE_UNAVAILABLE', message, { cause });
  }
}

/** malloc_trim(3) is of GNU's library alone. */
function trimOf(library: { func(declaration: string): (left: number) => unknown }): SystemCalls['trim'] {
  try {
    const trim = library.func('int malloc_trim(size_t left)');
    return () => trim(0) === 1;
  } catch {
    return undefined;
  }
}

function descriptorError(verb: string, descriptor: number, reason: string): GatewayError {
  return new GatewayError('LGW_DESCRIPTOR', `Cannot ${verb} descriptor ${descriptor}: ${reason}`);
}

/** `EBADF` for 9. */
function errnoName(errno: number): string {
  return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}
