/** Runs a client program and waits for its end, within a timeout. */
import { execFile } from 'node:child_process';

const OUTPUT_BYTES_MAX = 1024 * 1024;

export interface ToolRun {
  readonly status: number;
  readonly output: string;
}

/** Rejects when the program is missing or runs longer than `timeoutMs`. The caller checks the exit status. */
export function runTool(program: string, words: readonly string[], timeoutMs: number): Promise<ToolRun> {
  return new Promise((resolve, reject) => {
    execFile(program, words, { timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) => {
      if (error === null) resolve({ status: 0, output: stdout + stderr });
      else if (typeof error.code === 'number') resolve({ status: error.code, output: stdout + stderr });
      else if (error.killed === true) reject(new Error(`${program} took longer than ${timeoutMs} ms`));
      else reject(new Error(`Cannot run ${program}: ${error.message}`, { cause: error }));
    });
  });
}
