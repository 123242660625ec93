/** `npm run lint:lua`: checks the Lua code of the repository with luacheck and the rules of .luacheckrc. */
import { spawnSync } from 'node:child_process';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';
import { installTools } from './support/install-tools.ts';

const FOLDERS = ['src', 'handlers', 'examples', 'bench'];

installTools({ luacheck: 'lua-check' }, 'the check of Lua code');
const { status, error } = spawnSync('luacheck', ['--quiet', '--no-color', ...FOLDERS], {
  cwd: PACKAGE_ROOT,
  stdio: 'inherit',
});
if (error !== undefined) console.error(`luacheck does not run: ${error.message}`);
process.exit(status ?? 1);
