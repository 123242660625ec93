/** `lgateway routes`: what is mapped where. */
import { kindOf } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { givenConfig } from './given-config.ts';
import type { Outcome } from './outcome.ts';
import { showOwnSettings } from './own-settings.ts';

/** Throws UsageError for a configuration that is wrong. */
export async function routesCommand(words: readonly string[]): Promise<Outcome> {
  const { config } = await givenConfig(words);
  const rows = config.mappings.map((mapping) => {
    const mode = mapping.mode === undefined ? '' : ` (${mapping.mode})`;
    return [mappingName(mapping), kindOf(mapping), mapping.script + mode] as const;
  });
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.flatMap(([name, kind, what], i) => {
    const mapping = config.mappings[i];
    const own = mapping === undefined ? '' : showOwnSettings(mapping, config);
    const row = `${name.padEnd(widths[0] ?? 0)}  ${kind.padEnd(widths[1] ?? 0)}  ${what}`;
    return own === '' ? [row] : [row, `  ${own}`];
  });
  return { output: `${lines.join('\n')}\n`, faults: [] };
}
