/** Part of the build: removes outputs whose source was moved or removed, so that no old test runs and no old module is packed. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = fileURLToPath(new URL('..', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Folders that the compiler writes; nothing else in dist/ is touched. */
const FOLDERS = ['src', 'test', 'bench', 'examples', 'tools'];
const OUTPUT = /(?:\.js|\.js\.map|\.d\.ts)$/;

for (const folder of FOLDERS.filter((name) => existsSync(join(dist, name)))) {
  for (const name of readdirSync(join(dist, folder), { recursive: true, encoding: 'utf8' })) {
    const output = `${folder}/${name}`;
    if (!OUTPUT.test(output)) continue;
    if (existsSync(join(root, output.replace(OUTPUT, '.ts')))) continue;
    rmSync(join(dist, output));
    console.log(`Removed dist/${output}: it has no source any more`);
  }
}
