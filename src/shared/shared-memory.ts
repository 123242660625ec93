/** The memory of all dictionaries: the supervisor makes it once, gives it to every thread, and breaks the locks of ended threads. */
import { randomFillSync } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import {
  SHARED_BYTES_DEFAULT,
  SHARED_BYTES_MAX,
  SHARED_BYTES_MIN,
  SHARED_NAME,
  type SharedSize,
} from '../base/shared-size.ts';
import { HEADER, type Views, viewsOf } from './layout.ts';
import { breakLock } from './lock.ts';
import { type RepairOutcome, repair } from './repair.ts';

/** Spare dictionaries, for names that were not declared. */
export const UNDECLARED_MAX = 16;
/** Their memory, in one piece of 256 MiB: only address space until a script writes it. Pieces of 16 MiB are that for the first maker in a
 * process only: what the C library gets back of them it hands out again, and has to fill with zeros then. */
const SPARE_BYTES: number = UNDECLARED_MAX * SHARED_BYTES_DEFAULT;

/** The memory as worker threads get it. */
export interface SharedMemory {
  readonly declared: readonly { readonly name: string; readonly buffer: SharedArrayBuffer }[];
  /** Dictionaries for names that were not declared, one behind the other in the order of `directory`. */
  readonly spare: SharedArrayBuffer;
  /** Names of the spare dictionaries in use, and how many. */
  readonly directory: SharedArrayBuffer;
}

/** What a thread needs to use the dictionaries. */
export interface SharedAccess {
  readonly memory: SharedMemory;
  /** The number of the thread: 1 or more, and never used twice. */
  readonly owner: number;
}

/** A dictionary that an ended thread has left in the middle of a change. */
export interface RepairReport {
  readonly name: string;
  readonly outcome: RepairOutcome;
}

/** Words of the directory. */
export const DIRECTORY = { lock: 0, count: 16 } as const;
/** Bytes of one name in the directory: a byte with the length, then the name. */
export const DIRECTORY_NAMES_AT = 128;
export const DIRECTORY_NAME_BYTES = 64;

/** Makes the memory. Throws GatewayError for an invalid name or size, and when there is no memory. */
export function createSharedMemory(sizes: readonly SharedSize[]): SharedMemory {
  const names = new Set<string>();
  for (const { name, bytes } of sizes) {
    if (!SHARED_NAME.test(name)) throw new GatewayError('LGW_SHARED', `"${name}" is no name of a dictionary`);
    if (!Number.isInteger(bytes) || bytes < SHARED_BYTES_MIN || bytes > SHARED_BYTES_MAX)
      throw new GatewayError(
        'LGW_SHARED',
        `Size ${bytes} of dictionary "${name}" is not from ${SHARED_BYTES_MIN} to ${SHARED_BYTES_MAX} bytes`,
      );
    if (names.has(name)) throw new GatewayError('LGW_SHARED', `Dictionary "${name}" is declared twice`);
    names.add(name);
  }
  return {
    declared: sizes.map(({ name, bytes }) => {
      const buffer = allocate(name, bytes);
      makeDictionary(viewsOf(buffer));
      return { name, buffer };
    }),
    spare: allocate('(undeclared)', SPARE_BYTES),
    directory: new SharedArrayBuffer(DIRECTORY_NAMES_AT + UNDECLARED_MAX * DIRECTORY_NAME_BYTES),
  };
}

/** Makes a dictionary of memory of zeros, which lacks only the secret of its hash. */
export function makeDictionary({ words }: Views): void {
  const [seed0 = 0, seed1 = 0] = randomFillSync(new Int32Array(2));
  words[HEADER.seed0] = seed0;
  words[HEADER.seed1] = seed1;
}

function allocate(name: string, bytes: number): SharedArrayBuffer {
  try {
    // the size has to be a multiple of 8, for the views of 8 bytes
    return new SharedArrayBuffer(Math.floor(bytes / 8) * 8);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new GatewayError('LGW_SHARED', `Cannot get ${bytes} bytes for dictionary "${name}"`, {
      cause: error,
    });
  }
}

/** Breaks the locks of a thread that has ended, and repairs the dictionaries that it was changing; returns what was repaired. */
export function releaseOwner(memory: SharedMemory, owner: number): RepairReport[] {
  const reports: RepairReport[] = [];
  const release = (name: string, views: Views): void => {
    breakLock(views.lock, HEADER.lock, owner, () => {
      if (views.words[HEADER.dirty] !== 0) reports.push({ name, outcome: repair(views) });
    });
  };
  // a name of which only a part was written does not count yet
  breakLock(new Int32Array(memory.directory), DIRECTORY.lock, owner, () => undefined);
  for (const { name, views } of dictionariesOf(memory)) release(name, views);
  return reports;
}

/** All dictionaries that are declared or in use. */
export function dictionariesOf(memory: SharedMemory): { readonly name: string; readonly views: Views }[] {
  return [
    ...memory.declared.map(({ name, buffer }) => ({ name, views: viewsOf(buffer) })),
    ...undeclaredNames(memory).map((name, i) => ({ name, views: spareViews(memory, i) })),
  ];
}

/** The spare dictionary at `index`, below UNDECLARED_MAX. */
export function spareViews({ spare }: SharedMemory, index: number): Views {
  return viewsOf(spare, index * SHARED_BYTES_DEFAULT, SHARED_BYTES_DEFAULT);
}

/** Returns the names of the spare dictionaries in use, in the order of `spare`. */
export function undeclaredNames({ directory }: SharedMemory): string[] {
  const count = Atomics.load(new Int32Array(directory), DIRECTORY.count);
  return Array.from({ length: count }, (_, i) => {
    const at = DIRECTORY_NAMES_AT + i * DIRECTORY_NAME_BYTES;
    const slot = new Uint8Array(directory, at, DIRECTORY_NAME_BYTES);
    return String.fromCharCode(...slot.subarray(1, 1 + (slot[0] as number)));
  });
}
