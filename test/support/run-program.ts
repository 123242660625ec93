/** Runs a program of the system (curl, nghttp, h2load, openssl) to its end and collects its output. */
import { strictEqual } from 'node:assert/strict';
import { spawn } from 'node:child_process';

/** Against programs that hang: on a machine with a load of twenty, npm packs for longer than a minute. */
const RUN_MAX_MS = 300_000;

export interface ProgramResult {
  /** Null when the program was ended because it ran too long. */
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly text: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly cwd?: string;
  /** Environment variables in addition to those of the test. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Written to standard input, which then stays open until the program ends. Undefined: the program has no standard input. */
  readonly input?: string;
}

/** Runs a program; fails unless its exit status is 0. */
export async function runSuccessfully(program: string, ...words: string[]): Promise<ProgramResult> {
  const result = await runProgram(program, words);
  strictEqual(result.code, 0, `${program} ${words.join(' ')}: ${result.stderr}`);
  return result;
}

export function runProgram(
  program: string,
  words: readonly string[],
  { cwd, environment, input }: ProgramOptions = {},
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      cwd,
      env: { ...process.env, ...environment },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const limit = setTimeout(() => child.kill('SIGKILL'), RUN_MAX_MS);
    child.stdin?.on('error', () => undefined);
    child.stdin?.write(input ?? '');
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(limit);
      const bytes = Buffer.concat(stdout);
      resolve({
        code,
        stdout: bytes,
        text: bytes.toString('latin1'),
        stderr: Buffer.concat(stderr).toString('latin1'),
      });
    });
  });
}
