/** Which test files a run has: those of the parts, all, or those that words name. */

/**
 * Rooms, and files, that try the program as a whole: its processes, its signals, other programs as clients, browsers,
 * attacks, and what the documents tell a reader to type. They cost more than all others together; CI runs them at each change.
 */
export const WHOLE_PROGRAM: readonly string[] = [
  'attack',
  'bench',
  'chaos',
  'command',
  'docs/deployment.test.js',
  'docs/typescript.test.js',
  'embed',
  'examples',
  'fleet-nets',
  'gateway',
  'handlers',
  'hostile',
  'interop',
  'main.test.js',
  'opener',
  'package.test.js',
  'store/failover.test.js',
  'supervisor',
];

export interface TestSelection {
  /** The files whose path has one of the words, whichever room they are in. */
  readonly words: readonly string[];
  /** Without words: all files, and not only those of the parts. */
  readonly all: boolean;
}

/** Chooses of the names of test files, paths below the folder of the tests. */
export function selectTestFiles(names: readonly string[], { words, all }: TestSelection): string[] {
  const chosen = (name: string): boolean => {
    if (words.length > 0) return words.some((word) => name.includes(word));
    return all || !WHOLE_PROGRAM.some((entry) => name === entry || name.startsWith(`${entry}/`));
  };
  return names.filter((name) => name.endsWith('.test.js') && chosen(name)).sort();
}
