/** Takes rights away from a process of root for good, through koffi. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Numbers of Linux (linux/prctl.h, linux/capability.h, bits/fcntl.h). */
const PR_SET_DUMPABLE = 4;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const CAPABILITY_VERSION = 0x20080522;
const CAPABILITIES_MAX = 64;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** The rights to read any file and to search any folder, and the right to write any file. */
export const CAP_DAC_READ_SEARCH = 2;
export const CAP_DAC_OVERRIDE = 1;

/**
 * Executes a program in the place of this one, with these capabilities at most, none that a program could gain, and the descriptors up to
 * `lastDescriptor` only. What the system refuses to take away stays. Returns only where the program cannot be executed.
 */
export function executeWithLess(
  words: readonly string[],
  capabilities: readonly number[],
  lastDescriptor: number,
): void {
  const { prctl, capset, fcntl, execv } = load();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  for (let capability = 0; capability < CAPABILITIES_MAX; capability++)
    if (!capabilities.includes(capability)) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  capset(capabilityHead(), withoutInheritable());
  // Node has closed all on exec when it began
  for (const name of readdirSync('/proc/self/fd'))
    fcntl(Number(name), F_SETFD, Number(name) > lastDescriptor ? FD_CLOEXEC : 0);
  execv(words[0] ?? '', [...words, null]);
}

/** No other process of this user reads the memory of this one, and it leaves no core. */
export function forbidDumps(): void {
  load().prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

function capabilityHead(): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(CAPABILITY_VERSION);
  return head;
}

/** Two times effective, permitted and inheritable, the lower halves first. */
function withoutInheritable(): Buffer {
  const status = readFileSync('/proc/self/status', 'latin1');
  const permitted = BigInt(`0x${/^CapPrm:\t([0-9a-f]{16})$/m.exec(status)?.[1] ?? '0'}`);
  const data = Buffer.alloc(24);
  for (const [half, at] of [permitted & 0xffff_ffffn, permitted >> 32n].entries()) {
    data.writeUInt32LE(Number(at), half * 12);
    data.writeUInt32LE(Number(at), half * 12 + 4);
  }
  return data;
}

interface Calls {
  prctl(option: number, a: number, b: number, c: number, d: number): number;
  capset(head: Uint8Array, data: Uint8Array): number;
  fcntl(descriptor: number, command: number, value: number): number;
  execv(path: string, words: readonly (string | null)[]): number;
}

function load(): Calls {
  const koffi: typeof import('koffi') = createRequire(import.meta.url)(
    `@koromix/koffi-${process.platform}-${process.arch}`,
  );
  const library = koffi.load(null);
  const fcntl = library.func('int fcntl(int descriptor, int command, ...)');
  return {
    prctl: library.func(
      'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
    ),
    capset: library.func('int capset(const uint8_t *head, const uint8_t *data)'),
    fcntl: (descriptor, command, value) => Number(fcntl(descriptor, command, 'int', value)),
    execv: library.func('int execv(const char *path, const char **words)'),
  };
}
