/** `lgateway check`: everything that a start does before it binds; scripts run with `--run` only. All faults are told. */
import { messageOf } from '../base/errors.ts';
import { escapeControls } from '../base/logger.ts';
import type { Config, MappingConfig } from '../config/config.ts';
import { showPosition } from '../config/usage-error.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { loadTls } from '../supervisor/load-tls.ts';
import { reportCertificate } from '../tls/certificate-report.ts';
import { checkMappings, type MappingFault } from './check-mappings.ts';
import { givenConfig } from './given-config.ts';
import type { Outcome } from './outcome.ts';
import { showOwnSettings } from './own-settings.ts';
import { takeRun, tryScripts } from './script-trial.ts';

/** Throws UsageError for a configuration that is wrong. */
export async function checkCommand(words: readonly string[]): Promise<Outcome> {
  const { runs, rest } = takeRun(words);
  const { config, file, places } = await givenConfig(rest);
  const faults: string[] = [];
  const faultOf: MappingFault = (mapping, message) => {
    const at = places.get(mappingName(mapping));
    faults.push(
      `${at === undefined ? '' : `${showPosition(at)}: `}Mapping ${mappingName(mapping)}: ${message}`,
    );
  };
  const notes = [`Configuration${file === undefined ? '' : ` ${file}`}: ${config.mappings.length} mapped`];
  notes.push(...(await checkCertificates(config, faults)));
  const before = faults.length;
  const compiled = await checkMappings(config, faultOf);
  const areSound = faults.length === before;
  if (runs) await loadScripts(config, compiled, faultOf, notes);
  else if (compiled.length > 0 && areSound) notes.push(`Scripts: ${compiled.length} compiled, none was run`);
  for (const mapping of config.mappings) {
    const own = showOwnSettings(mapping, config);
    if (own !== '') notes.push(`Mapping ${mappingName(mapping)} has of its own: ${own}`);
  }
  if (faults.length === 0) notes.push('Nothing is wrong');
  return { output: `${notes.join('\n')}\n`, faults };
}

/** As a start does, behind the certificate: the user of `-u` may not be able to read that. */
async function loadScripts(
  config: Config,
  compiled: readonly MappingConfig[],
  fault: MappingFault,
  notes: string[],
): Promise<void> {
  const trials = await tryScripts(config, compiled, (line) => process.stderr.write(`${line}\n`));
  let loaded = 0;
  for (const [mapping, { failure }] of trials) {
    if (failure === undefined) loaded += 1;
    else fault(mapping, escapeControls(failure));
  }
  if (loaded > 0) notes.push(`Scripts: ${loaded} loaded`);
}

/** What is worth knowing; faults are added. */
export async function checkCertificates(config: Config, faults: string[]): Promise<readonly string[]> {
  const { acme } = config;
  const obtained = (acme?.orders ?? []).map(
    (names) => `Certificate: for ${names.join(', ')} one is obtained from ${acme?.directory}`,
  );
  if (acme === undefined && config.tls.certificates.length === 0 && config.listen?.client === undefined)
    return config.listen === undefined
      ? []
      : ['Certificate: none is given, a start makes one for development'];
  try {
    const { certificates, development } = await loadTls(config);
    if (development !== undefined) return ['Certificate: none is given, a start makes one for development'];
    const now = Date.now();
    const given = certificates.flatMap((certificate, i) => {
      const report = reportCertificate(
        certificate,
        now,
        i === 0 ? config.listen?.address : undefined,
        config.tls.ocsp,
      );
      const place = certificate.at === undefined ? '' : `${certificate.at}: `;
      faults.push(...report.faults.map((fault) => `${place}${fault}`));
      return [...report.facts, ...report.warnings.map((warning) => `Warning: ${warning}`)];
    });
    return [...given, ...obtained];
  } catch (error) {
    faults.push(messageOf(error));
    return [];
  }
}
