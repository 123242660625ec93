/** The words that may stand first on a command line and do something else than serve. */

export type SubcommandName = 'check' | 'schema' | 'init' | 'routes' | 'cert';

export interface SubcommandFacts {
  readonly name: SubcommandName;
  /** What follows the word. */
  readonly usage: string;
  /** One line. */
  readonly help: string;
}

export const SUBCOMMANDS: readonly SubcommandFacts[] = [
  {
    name: 'check',
    usage: '[--config FILE | SCRIPT] [OPTION]...',
    help: 'look at configuration, certificate and scripts as a start would, without serving; exit code 0, or 2 with all faults',
  },
  { name: 'schema', usage: '', help: 'print a JSON Schema of the configuration file, for editors' },
  {
    name: 'init',
    usage: '[DIRECTORY]',
    help: 'write a starter project: lgateway.toml, app.lua and .gitignore; files that are there stay',
  },
  {
    name: 'routes',
    usage: '[--config FILE | SCRIPT] [OPTION]...',
    help: 'list what is mapped where',
  },
  {
    name: 'cert',
    usage: '[NAME]...',
    help: 'write cert.pem and key.pem: a self-signed certificate for NAMEs and addresses (default: localhost), valid for a year; files that are there stay',
  },
];

export function subcommandOf(word: string | undefined): SubcommandName | undefined {
  return SUBCOMMANDS.find(({ name }) => name === word)?.name;
}
