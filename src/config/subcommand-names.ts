/** The words that may stand first on a command line and do something else than serve. */

export type SubcommandName = 'check' | 'schema' | 'init' | 'routes' | 'cert' | 'reload' | 'upgrade' | 'drain';

export interface SubcommandFacts {
  readonly name: SubcommandName;
  /** What follows the word. */
  readonly usage: string;
  /** One line. */
  readonly help: string;
}

/** Which gateway is meant. */
const RUNNING = '[--admin ADDRESS | --pid-file FILE | --config FILE] [--admin-token-file FILE]';

export const SUBCOMMANDS: readonly SubcommandFacts[] = [
  {
    name: 'check',
    usage: '[--run] [--config FILE | SCRIPT] [OPTION]...',
    help: 'look at configuration, certificate and scripts as a start would, without serving; --run also loads the scripts; exit code 0, or 2 with all faults',
  },
  { name: 'schema', usage: '', help: 'print a JSON Schema of the configuration file, for editors' },
  {
    name: 'init',
    usage: '[DIRECTORY]',
    help: 'write a starter project: lgateway.toml, app.lua and .gitignore; files that are there stay',
  },
  {
    name: 'routes',
    usage: '[--run] [--config FILE | SCRIPT] [OPTION]...',
    help: 'list what is mapped where; --run loads the scripts, and lists the handlers that they register',
  },
  {
    name: 'cert',
    usage: '[new] [NAME]... | show [FILE]... | show OPTION...',
    help: 'new: write cert.pem and key.pem, a self-signed certificate for NAMEs and addresses (default: localhost), valid for a year; files that are there stay; show: print what certificates say, those of files or of a configuration',
  },
  {
    name: 'reload',
    usage: RUNNING,
    help: 'let the running gateway read configuration, scripts and certificate again; exit code 0, 1 with all that was wrong, or 2 for this command line',
  },
  {
    name: 'upgrade',
    usage: RUNNING,
    help: 'let a new process take the place of the running gateway without a lost connection; exit code 0, 1 with the reason, or 2 for this command line',
  },
  { name: 'drain', usage: RUNNING, help: 'let the running gateway finish what it serves, and end' },
];

export function subcommandOf(word: string | undefined): SubcommandName | undefined {
  return SUBCOMMANDS.find(({ name }) => name === word)?.name;
}
