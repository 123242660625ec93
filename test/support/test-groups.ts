/** Which test files share a process: starting one, and loading what every test needs, costs more than most files do. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { GroupFile } from './run-group.ts';

/** Files that have a process of their own, without `.test.js`, and why: all that is not named here shares one with its room. */
export const ALONE: Readonly<Record<string, string>> = {
  'attack/http1-attack': 'looks at the memory of its process',
  'bench/run': 'long, and measures',
  'chaos/chaos': 'long, and measures',
  'embed/server': 'long',
  'examples/readme': 'long, and changes the working folder',
  'file/pipe-file': 'counts the processes it has started',
  'fleet-nets/fleet-nets': 'long, though it mostly waits, and signals processes',
  'gateway/held-memory': 'long',
  'handlers/browser': 'long',
  'hostile/hostile': 'long, and measures',
  'http/front/descriptors-used-up': 'uses up descriptors',
  'http/h1/fuzz': 'long',
  'http/h1/strictness': 'long',
  'http/h2/attacks': 'looks at the memory of its process',
  'http/h2/fuzz': 'long',
  'httpd/fetch': 'long, and looks at the memory of its process',
  'native/node-internals': 'looks at what Node has inside',
  'script/function-costs': 'long, and measures',
  'script/fuzz': 'long',
  'supervisor/process': 'long',
  'supervisor/socket-activation': 'long',
  'supervisor/supervisor': 'long',
  'supervisor/upgrade': 'long, and looks at the processes it has started',
};

/** A room with fewer files that can share a process shares it with other small rooms. */
const SMALL_ROOM_FILES = 6;
const SMALL_ROOMS = 'small rooms';
/** A larger group would be alone at the end, and nobody would see for long where it stands. */
const GROUP_FILES_MAX = 10;
/** The rooms of HTTP are as large as others' top folders. */
const DEEP_ROOMS = /^http\/(?:h2\/conformance|[^/]+)(?=\/)/;

/** What one process runs. */
export interface TestUnit {
  /** What Node runs: a file that runs them all. */
  readonly path: string;
  readonly files: readonly string[];
}

/** Makes units of files, whose names are paths below `testRoot`; files that run groups are written to `folder`. */
export function groupFiles(names: readonly string[], testRoot: string, folder: string): TestUnit[] {
  const rooms = new Map<string, string[]>();
  for (const name of names) {
    const room = isAlone(name) ? name : roomOf(name);
    rooms.set(room, [...(rooms.get(room) ?? []), name]);
  }
  const small = [...rooms].filter(
    ([room, files]) => !names.includes(room) && files.length < SMALL_ROOM_FILES,
  );
  for (const [room] of small) rooms.delete(room);
  if (small.length > 0)
    rooms.set(
      SMALL_ROOMS,
      small.flatMap(([, files]) => files),
    );
  return [...rooms].flatMap(([room, files]) => {
    const parts = Math.ceil(files.length / GROUP_FILES_MAX);
    const size = Math.ceil(files.length / parts);
    return Array.from({ length: parts }, (_, part) => {
      const name = `${room.replaceAll(/[ /]/g, '-')}${parts === 1 ? '' : `-${part + 1}`}`;
      return makeUnit(files.slice(part * size, (part + 1) * size), testRoot, join(folder, `${name}.mjs`));
    });
  });
}

function makeUnit(files: readonly string[], testRoot: string, groupPath: string): TestUnit {
  writeGroup(
    groupPath,
    files.map((file) => ({ name: file, path: join(testRoot, file) })),
  );
  return { path: groupPath, files };
}

function isAlone(name: string): boolean {
  return Object.hasOwn(ALONE, name.replace(/\.test\.js$/, ''));
}

function roomOf(name: string): string {
  return DEEP_ROOMS.exec(name)?.[0] ?? name.split('/')[0] ?? name;
}

function writeGroup(path: string, files: readonly GroupFile[]): void {
  const runner = pathToFileURL(fileURLToPath(new URL('run-group.js', import.meta.url))).href;
  const lines = [
    `import { runGroup } from ${JSON.stringify(runner)};`,
    `await runGroup(${JSON.stringify(files)});`,
  ];
  writeFileSync(path, `${lines.join('\n')}\n`);
}
