/** Remembers how long each test file took, so that a run can begin with the longest files. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { inForm } from './test-form.ts';

export const DURATIONS: string = join(
  PACKAGE_ROOT,
  'node_modules/.cache/lgateway',
  inForm('test-ms.json', 'test-long-ms.json'),
);

/** Returns milliseconds for each file; empty before the first run. */
export function rememberedDurations(path: string): ReadonlyMap<string, number> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return new Map(); // without durations only the order of the files is worse
  }
  return new Map(Object.entries(JSON.parse(text) as Record<string, number>));
}

/** Adds the measured durations to the remembered ones. */
export function rememberDurations(path: string, measured: ReadonlyMap<string, number>): void {
  const all = new Map([...rememberedDurations(path), ...measured]);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(Object.fromEntries(all)));
}
