/** `lgateway check`: everything that a start does before it binds, as far as no script runs. All faults are told. */
import { messageOf } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import { showPosition } from '../config/usage-error.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { certificateWarnings, readChainText } from '../tls/certificate-warnings.ts';
import { loadServerCertificate } from '../tls/server-certificate.ts';
import { checkMappings, type MappingFault } from './check-mappings.ts';
import { givenConfig } from './given-config.ts';
import type { Outcome } from './outcome.ts';
import { showOwnSettings } from './own-settings.ts';

const DAY_MS = 86_400_000;

/** Throws UsageError for a configuration that is wrong. */
export async function checkCommand(words: readonly string[]): Promise<Outcome> {
  const { config, file, places } = await givenConfig(words);
  const faults: string[] = [];
  const faultOf: MappingFault = (mapping, message) => {
    const at = places.get(mappingName(mapping));
    faults.push(
      `${at === undefined ? '' : `${showPosition(at)}: `}Mapping ${mappingName(mapping)}: ${message}`,
    );
  };
  const notes = [`Configuration${file === undefined ? '' : ` ${file}`}: ${config.mappings.length} mapped`];
  notes.push(...checkCertificate(config, faults));
  const before = faults.length;
  const compiled = await checkMappings(config, faultOf);
  if (compiled > 0 && faults.length === before) notes.push(`Scripts: ${compiled} compiled, none was run`);
  for (const mapping of config.mappings) {
    const own = showOwnSettings(mapping, config);
    if (own !== '') notes.push(`Mapping ${mappingName(mapping)} has of its own: ${own}`);
  }
  if (faults.length === 0) notes.push('Nothing is wrong');
  return { output: `${notes.join('\n')}\n`, faults };
}

/** What is worth knowing; faults are added. */
function checkCertificate({ certificateFiles, listen }: Config, faults: string[]): readonly string[] {
  if (certificateFiles === undefined)
    return listen === undefined ? [] : ['Certificate: none is given, a start makes one for development'];
  try {
    const { certificate, validTo } = loadServerCertificate(certificateFiles);
    const now = Date.now();
    const days = Math.floor((validTo.getTime() - now) / DAY_MS);
    const warnings = certificateWarnings(
      readChainText(certificate),
      certificateFiles.certificate,
      now,
      listen?.address,
    );
    return [
      `Certificate ${certificateFiles.certificate}: the key belongs to it, ${days} days left`,
      ...warnings.map((warning) => `Warning: ${warning}`),
    ];
  } catch (error) {
    faults.push(messageOf(error));
    return [];
  }
}
