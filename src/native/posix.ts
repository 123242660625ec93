/** The system calls that Node lacks, through koffi: so far, to duplicate a descriptor. Nobody else calls koffi. */
import { closeSync } from 'node:fs';
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

interface SystemCalls {
  duplicate(descriptor: number): number;
  errno(): number;
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
    const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
    // null is the program itself, which has the C library in it already
    const fcntl = koffi.load(null).func('int fcntl(int descriptor, int command, ...)');
    return {
      duplicate: (descriptor) => Number(fcntl(descriptor, command, 'int', LOWEST_DESCRIPTOR)),
      errno: () => koffi.errno(),
    };
  } catch (cause) {
    const message = `Descriptors cannot be duplicated, for koffi does not load (${messageOf(cause)})`;
    return new GatewayError('LGW_NATIVE_UNAVAILABLE', message, { cause });
  }
}

function descriptorError(verb: string, descriptor: number, reason: string): GatewayError {
  return new GatewayError('LGW_DESCRIPTOR', `Cannot ${verb} descriptor ${descriptor}: ${reason}`);
}

/** `EBADF` for 9. */
function errnoName(errno: number): string {
  return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}
