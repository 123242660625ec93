/** What `require` says of C libraries, which the gateway does not load: where one lies, and what a script calls instead of it. */
import type { FileSystem } from '../file/file-system.ts';
import type { Guard } from '../lua/guard.ts';
import { fileOf, isReadable, UNITS_PER_LOOK } from './search-path.ts';

/** First words of names of modules, and what scripts of the gateway use instead. */
const SUBSTITUTES: Readonly<Record<string, string>> = {
  bcrypt: 'httpd.crypto.kdf',
  cjson: 'httpd.json',
  copas: 'httpd.spawn and httpd.sleep',
  cqueues: 'httpd.spawn and httpd.sleep',
  crypto: 'httpd.crypto',
  curl: 'httpd.fetch',
  lcurl: 'httpd.fetch',
  luv: 'httpd.spawn, httpd.sleep and httpd.timer',
  md5: "httpd.crypto.hash('md5', …)",
  mime: 'httpd.encode and httpd.decode',
  openssl: 'httpd.crypto',
  posix: 'io, os and httpd.files',
  rapidjson: 'httpd.json',
  socket: 'httpd.fetch',
  ssl: 'httpd.fetch',
  _openssl: 'httpd.crypto',
};

/** What LuaRocks puts Lua files and C libraries into, of one tree. */
const LUA_TREE = '/share/lua/';
const C_TREE = '/lib/lua/';

/** Lines for a module that was not found along the path `templates`; empty where nothing is known of it. */
export function aboutNativeLibrary(
  fileSystem: FileSystem,
  guard: Guard,
  name: string,
  templates: string,
): string {
  const place = name.replaceAll('.', '/');
  const lines: string[] = [];
  for (const template of templates.split(';')) {
    if (!template.includes(LUA_TREE) || !template.endsWith('/?.lua')) continue;
    const file = fileOf(template.replace(LUA_TREE, C_TREE).replace(/lua$/, 'so'), place);
    guard.pay(UNITS_PER_LOOK);
    if (isReadable(fileSystem, file)) lines.push(`'${file}' is a C library, which the gateway does not load`);
  }
  const substitute = substituteFor(name);
  if (substitute !== undefined) lines.push(`the gateway loads no C libraries; it has ${substitute} instead`);
  return lines.map((line) => `\n\t${line}`).join('');
}

function substituteFor(name: string): string | undefined {
  const [first = ''] = name.split('.', 1);
  return Object.hasOwn(SUBSTITUTES, first) ? SUBSTITUTES[first] : undefined;
}
