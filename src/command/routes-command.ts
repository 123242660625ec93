/** `lgateway routes`: what is mapped where, and with `--run` what the scripts register. */
import { escapeControls } from '../base/logger.ts';
import type { MappingConfig } from '../config/config.ts';
import { kindOf } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { givenConfig } from './given-config.ts';
import type { Outcome } from './outcome.ts';
import { showOwnSettings } from './own-settings.ts';
import { type ScriptTrial, takeRun, tryScripts } from './script-trial.ts';

/** A longer name moves its methods to the right (characters). */
const NAME_COLUMN_MAX = 40;

/** Throws UsageError for a configuration that is wrong. */
export async function routesCommand(words: readonly string[]): Promise<Outcome> {
  const { runs, rest } = takeRun(words);
  const { config } = await givenConfig(rest);
  const { mappings } = config;
  const write = (line: string): void => void process.stderr.write(`${line}\n`);
  const trials = runs ? await tryScripts(config, mappings, write) : new Map<MappingConfig, ScriptTrial>();
  const rows = mappings.map((mapping) => {
    const mode = trials.get(mapping)?.mode ?? mapping.mode;
    return [mappingName(mapping), kindOf(mapping), mapping.script + (mode === undefined ? '' : ` (${mode})`)];
  });
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = mappings.flatMap((mapping, i) => {
    const [name = '', kind = '', what = ''] = rows[i] ?? [];
    const own = showOwnSettings(mapping, config);
    return [
      `${name.padEnd(widths[0] ?? 0)}  ${kind.padEnd(widths[1] ?? 0)}  ${what}`,
      ...(own === '' ? [] : [`  ${own}`]),
      ...showHandlers(trials.get(mapping)),
    ];
  });
  const faults = [...trials].flatMap(([mapping, { failure }]) => {
    if (failure === undefined) return [];
    const place = mapping.at === undefined ? '' : `${mapping.at}: `;
    return [`${place}Mapping ${mappingName(mapping)}: ${escapeControls(failure)}`];
  });
  return { output: `${lines.join('\n')}\n`, faults };
}

/** `  /items/{id}  GET, HEAD`: one line for each name or pattern. */
function showHandlers(trial: ScriptTrial | undefined): string[] {
  if (trial === undefined || trial.failure !== undefined) return [];
  if (trial.mode !== 'lhttpd') return ['  answers every path'];
  const named = trial.handlers.map(({ name, methods }) => ({
    name: escapeControls(Buffer.from(name, 'latin1').toString()),
    methods: methods.map((method) => showMethod(method, methods.length)).join(', '),
  }));
  const width = Math.min(NAME_COLUMN_MAX, Math.max(0, ...named.map(({ name }) => name.length)));
  return named.map(({ name, methods }) => `  ${name.padEnd(width)}  ${methods}`);
}

/** That of GET answers HEAD, too. */
function showMethod(method: string, count: number): string {
  if (method === '*') return count === 1 ? 'any method' : 'all others';
  return method === 'GET' ? 'GET, HEAD' : method;
}
