/** The command line of the bench. */
import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Parts of names; a scenario runs when its name contains one of them. Empty: all scenarios run. */
  readonly only: readonly string[];
  /** Whole names of peers. Empty: all peers. */
  readonly peers: readonly string[];
  readonly rounds: number;
  readonly quick: boolean;
  /** Takes profiles of every scenario that can have one, also in quick runs. */
  readonly profile: boolean;
  /** Makes the exit status 1 when lgateway misses a threshold. */
  readonly check: boolean;
  /** Runs only scenarios that have a goal of the project, and prints the table of goals at the end. */
  readonly goals: boolean;
  /** Writes the charts, tables and figures of the documents. */
  readonly publish: boolean;
  readonly list: boolean;
  readonly help: boolean;
  /** File for the result in place of one in bench/results/. */
  readonly json: string | undefined;
  /** Compiled `main.js` that is measured in place of this build. */
  readonly gateway: string | undefined;
  /** Compiled `main.js` of another build, measured in the same rounds. */
  readonly against: string | undefined;
}

export class UsageError extends Error {}

/** An odd number, so that the median is one of the measured values. */
const ROUNDS_DEFAULT = 5;
const ROUNDS_MAX = 1000;

export const USAGE: string = `Usage: npm run bench -- [OPTIONS]
  --only NAME     run the scenarios whose name contains NAME; repeatable
  --peer NAME     measure this peer only; repeatable
  --rounds N      rounds of each scenario, default ${ROUNDS_DEFAULT}
  --quick         one round with little work: shows that all runs, measures nothing
  --profile       say where the time goes in more scenarios than hello-h2-20 and hello-h2-1
  --json FILE     write the result here instead of bench/results/
  --check         exit status 1 when lgateway misses a threshold
  --goals         what the project has to reach: those scenarios, lgateway and whom it is compared with, and a
                  table of wanted and measured at the end
  --publish       measure what the documents show, on every peer, and write docs/performance.json, the charts and
                  the tables of README.md and docs/performance.md; with --goals their table, too
  --gateway FILE  measure this main.js instead of the one just built
  --against FILE  measure this main.js as well, as the peer "against"
  --list          name the scenarios and peers
`;

export function parseOptions(words: readonly string[]): BenchOptions {
  const { values } = parse(words);
  if (values.publish && (values.quick || values.peer || values.gateway || values.against || values.only))
    throw new UsageError(
      '--publish measures this build and every peer in earnest: leave out the options that change that',
    );
  return {
    only: values.only ?? [],
    peers: values.peer ?? [],
    rounds: values.rounds === undefined ? (values.quick ? 1 : ROUNDS_DEFAULT) : parseRounds(values.rounds),
    quick: values.quick ?? false,
    profile: values.profile ?? false,
    check: values.check ?? false,
    goals: values.goals ?? false,
    publish: values.publish ?? false,
    list: values.list ?? false,
    help: values.help ?? false,
    json: values.json,
    gateway: values.gateway,
    against: values.against,
  };
}

interface Values {
  only?: string[];
  peer?: string[];
  rounds?: string;
  quick?: boolean;
  profile?: boolean;
  check?: boolean;
  goals?: boolean;
  publish?: boolean;
  list?: boolean;
  help?: boolean;
  json?: string;
  gateway?: string;
  against?: string;
}

function parse(words: readonly string[]): { values: Values } {
  try {
    return parseArgs({
      args: [...words],
      options: {
        only: { type: 'string', multiple: true },
        peer: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        quick: { type: 'boolean' },
        profile: { type: 'boolean' },
        check: { type: 'boolean' },
        goals: { type: 'boolean' },
        publish: { type: 'boolean' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        json: { type: 'string' },
        gateway: { type: 'string' },
        against: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function parseRounds(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= ROUNDS_MAX) return rounds;
  throw new UsageError(`--rounds wants a whole number from 1 to ${ROUNDS_MAX}, not "${text}"`);
}
