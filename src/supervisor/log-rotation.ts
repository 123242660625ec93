/** Renames a log file and those of before: FILE.1 is the youngest, and the oldest is written over. */
import { rename } from 'node:fs/promises';
import { systemCodeOf } from '../base/errors.ts';

/** `count`: how many old files are kept. Rejects when the file itself cannot be renamed, or one of before. */
export async function rotateFiles(file: string, count: number): Promise<void> {
  for (let i = count - 1; i >= 1; i--) await renameIfThere(`${file}.${i}`, `${file}.${i + 1}`);
  await renameIfThere(file, `${file}.1`);
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
  }
}
