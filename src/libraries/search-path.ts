/** Looks for the file of a module along a path of templates, as Lua does. */
import type { FileSystem } from '../file/file-system.ts';
import type { Guard } from '../lua/guard.ts';
import { LuaError } from '../lua/lua-error.ts';

/** Templates of a path: each is looked for on the disk. */
const TEMPLATES_MAX = 100;
/** No file has a longer name (PATH_MAX of Linux). */
const FILE_NAME_BYTES_MAX = 4095;
/** To look for one file (20 µs). */
export const UNITS_PER_LOOK = 4000;

/** As package.searchpath: the first template whose file can be read, or a text that names all that were tried. */
export function searchPath(
  fileSystem: FileSystem,
  guard: Guard,
  name: string,
  templates: string,
  separator: string,
  replacement: string,
): { readonly file: string | undefined; readonly tried: string } {
  const place = separator === '' ? name : name.split(separator).join(replacement);
  const parts = templates.split(';');
  if (parts.length > TEMPLATES_MAX)
    throw new LuaError(`the path has ${parts.length} templates and the limit is ${TEMPLATES_MAX}`);
  const tried: string[] = [];
  for (const template of parts) {
    guard.pay(UNITS_PER_LOOK);
    const file = fileOf(template, place);
    if (isReadable(fileSystem, file)) return { file, tried: '' };
    tried.push(`no file '${file ?? template}'`);
  }
  return { file: undefined, tried: tried.join('\n\t') };
}

/** The file that a template names for a module; undefined: its name would be longer than any may be. */
export function fileOf(template: string, place: string): string | undefined {
  const pieces = template.split('?');
  const size = template.length + (pieces.length - 1) * (place.length - 1);
  return size <= FILE_NAME_BYTES_MAX ? pieces.join(place) : undefined;
}

export function isReadable(fileSystem: FileSystem, name: string | undefined): boolean {
  if (name === undefined || name === '') return false;
  try {
    return !fileSystem.statSync(name).isDirectory;
  } catch {
    // what cannot be looked at is not there, as for C's searcher
    return false;
  }
}
