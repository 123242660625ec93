/** Serves a copy of handlers/ in a temporary folder, so that test uploads do not mix with a developer's files. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { readyMadeMappings } from '../../src/config/ready-made-mappings.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { runShell, type ShellResult } from '../support/run-shell.ts';

/** Behind each answer of `askAll`; no answer has it. */
const ANSWER_END = '--end of answer--';

/** Copies files of the repository only: data/ of a checkout may hold many others. */
export function copyHandlers(folder: string): void {
  cpSync(join(PACKAGE_ROOT, 'handlers'), folder, {
    recursive: true,
    filter: (name) => !/[\\/]data[\\/].*\.(?:data|index|part)$/.test(name),
  });
}

export class HandlersGateway {
  readonly folder: GatewayFolder = new GatewayFolder();
  readonly handlers: string = this.folder.file('handlers');
  readonly process: GatewayProcess;

  constructor(workers: number) {
    copyHandlers(this.handlers);
    const mappings = readyMadeMappings(this.handlers).flatMap(({ prefix, script }) => ['-l', prefix, script]);
    const rest = [...this.folder.adminWords(), '-a', '127.0.0.1', '-p', '0', '-w', String(workers)];
    this.process = new GatewayProcess(
      this.folder,
      [...mappings, ...rest, '-c', this.folder.certificate, '-k', this.folder.key],
      { cwd: this.folder.path },
    );
  }

  get url(): string {
    return `https://localhost:${this.process.port}`;
  }

  /** Runs curl with these words; the URL is `path` of this gateway. */
  curl(words: string, path: string): Promise<ShellResult> {
    const line = `curl -sS --cacert ${this.folder.certificate} ${words} '${this.url}${path}'`;
    return runShell(line, this.folder.path);
  }

  /** Resolves with what curl prints. */
  async text(words: string, path: string): Promise<string> {
    const { stdout, stderr } = await this.curl(words, path);
    return stdout.toString('utf8') || stderr;
  }

  /** Words and path of each; one curl asks them all in this order, because its start costs more than most answers. */
  async askAll(
    asked: readonly (readonly [words: string, path: string])[],
  ): Promise<readonly { readonly status: number; readonly text: string }[]> {
    const each = asked.map(
      ([words, path]) =>
        `-sS --cacert ${this.folder.certificate} -w '\\n%{http_code}${ANSWER_END}' ${words} '${this.url}${path}'`,
    );
    const { stdout } = await runShell(`curl ${each.join(' --next ')}`, this.folder.path);
    const answers = stdout.toString('utf8').split(ANSWER_END).slice(0, -1);
    return answers.map((answer) => {
      const end = answer.lastIndexOf('\n');
      return { status: Number(answer.slice(end + 1)), text: answer.slice(0, end) };
    });
  }

  async stop(): Promise<void> {
    await this.process.stop();
    this.folder.remove();
  }
}
