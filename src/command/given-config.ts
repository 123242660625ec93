/** The configuration that the words behind a subcommand ask for, as a start would have it. */
import { type Configuration, configure } from '../config/file/configure.ts';
import { parseCommandLine } from '../config/parse-command-line.ts';
import { readPlainWords } from '../config/plain-words.ts';
import { withMappings } from '../config/ready-made-mappings.ts';
import { UsageError } from '../config/usage-error.ts';

/** Throws UsageError with all faults, GatewayError where no mappings fit. */
export async function givenConfig(words: readonly string[]): Promise<Configuration> {
  const texts = readPlainWords(words) ?? readOther(words);
  const configuration = await configure(texts, process.env);
  return { ...configuration, config: withMappings(configuration.config) };
}

function readOther(words: readonly string[]): Parameters<typeof configure>[0] {
  const result = parseCommandLine(words);
  if (result.kind === 'usage-error') throw new UsageError(result.message);
  if (result.kind === 'text')
    throw new UsageError('Help, version and completion are asked for without a subcommand');
  return result.texts;
}
