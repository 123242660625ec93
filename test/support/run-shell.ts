/** Runs a command line in a shell, as a reader of the documents would type it. */
import { spawn } from 'node:child_process';

const RUN_MAX_MS = 60_000;

export interface ShellResult {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Resolves when the command has ended, with any exit status. `signal` ends the command and its child processes. */
export function runShell(command: string, cwd: string, signal?: AbortSignal): Promise<ShellResult> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', command], { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const stdout: Buffer[] = [];
    let stderr = '';
    const end = (): void => {
      // ends the whole process group, because the shell may have started the command as a child
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    };
    const limit = setTimeout(end, RUN_MAX_MS);
    signal?.addEventListener('abort', end);
    child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(limit);
      signal?.removeEventListener('abort', end);
      resolve({ code, stdout: Buffer.concat(stdout), stderr });
    });
  });
}
