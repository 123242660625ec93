/**
 * Runs all of the suite, or the named files, and prints how much of the source ran, by room. Counts every process and thread that ends
 * by itself. The gateways of tests count too: for coverage they end by a signal that they handle and not by SIGKILL.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CodeCoverage, type ScriptCoverage } from './support/code-coverage.ts';

const DIST = fileURLToPath(new URL('../src/', import.meta.url));
const PERCENT = 100;

const folder = mkdtempSync(join(tmpdir(), 'lgateway-coverage-'));
try {
  // gateways that run as another user write there too
  chmodSync(folder, 0o777);
  const run = fileURLToPath(new URL('run.js', import.meta.url));
  const { status } = spawnSync(process.execPath, [run, '--all', ...process.argv.slice(2)], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, NODE_V8_COVERAGE: folder, LGATEWAY_TEST_COVERAGE: '1' },
  });
  const coverage = new CodeCoverage();
  const prefix = pathToFileURL(DIST).href;
  for (const name of readdirSync(folder)) {
    const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { result: ScriptCoverage[] };
    for (const script of result) if (script.url.startsWith(prefix)) coverage.add(script);
  }
  for (const name of readdirSync(DIST, { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.js') && !name.endsWith('bundle.js'))
      coverage.expect(pathToFileURL(join(DIST, name)).href);
  console.log(`\n${table(coverage.lines())}`);
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Formats, for each room, the files, the lines and how many of the lines ran. */
function table(files: ReadonlyMap<string, { readonly lines: number; readonly ran: number }>): string {
  const rooms = new Map<string, { files: number; lines: number; ran: number }>();
  for (const [file, { lines, ran }] of files) {
    const parts = file.split('/').slice(0, -1);
    for (const room of new Set([parts.slice(0, 3).join('/'), 'src, all of it'])) {
      const sum = rooms.get(room) ?? { files: 0, lines: 0, ran: 0 };
      rooms.set(room, { files: sum.files + 1, lines: sum.lines + lines, ran: sum.ran + ran });
    }
  }
  const rows = [...rooms].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    'room                      files  lines with code      ran',
    ...rows.map(([room, { files: count, lines, ran }]) => {
      const percent = `${((PERCENT * ran) / Math.max(1, lines)).toFixed(1)} %`;
      return `${room.padEnd(26)}${String(count).padStart(5)}${String(lines).padStart(17)}${percent.padStart(9)}`;
    }),
  ].join('\n');
}
