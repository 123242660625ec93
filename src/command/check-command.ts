/** `lgateway check`: everything that a start does before it binds, as far as no script runs. All faults are told. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import type { Config, MappingConfig } from '../config/config.ts';
import { withoutPreamble } from '../libraries/script-file.ts';
import { State } from '../lua/state.ts';
import { compileLuaModule } from '../lua/wasm-module.ts';
import { kindOf } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { certificateWarnings, readChainText } from '../tls/certificate-warnings.ts';
import { loadServerCertificate } from '../tls/server-certificate.ts';
import { givenConfig } from './given-config.ts';
import type { Outcome } from './outcome.ts';

const DAY_MS = 86_400_000;

/** Throws UsageError for a configuration that is wrong. */
export async function checkCommand(words: readonly string[]): Promise<Outcome> {
  const { config, file } = await givenConfig(words);
  const faults: string[] = [];
  const notes = [`Configuration${file === undefined ? '' : ` ${file}`}: ${config.mappings.length} mapped`];
  notes.push(...checkCertificate(config, faults));
  await checkMappings(config, faults, notes);
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

async function checkMappings(config: Config, faults: string[], notes: string[]): Promise<void> {
  const scripts = config.mappings.filter((mapping) => kindOf(mapping) === 'script');
  for (const mapping of config.mappings)
    if (kindOf(mapping) === 'static') checkFolder(mapping, config, faults);
  if (scripts.length === 0) return;
  const state = await State.create(await compileLuaModule(config.limits));
  try {
    const before = faults.length;
    for (const mapping of scripts) compile(state, mapping, config, faults);
    if (faults.length === before) notes.push(`Scripts: ${scripts.length} compiled, none was run`);
  } finally {
    state.close();
  }
}

function compile(state: State, mapping: MappingConfig, config: Config, faults: string[]): void {
  try {
    const source = withoutPreamble(readFileSync(placeOf(mapping, config)));
    state.load(state.mainThread, source, `@${mapping.script}`, config.rights.allowsBytecode ? 'bt' : 't');
    state.pop(state.mainThread);
  } catch (error) {
    faults.push(`Mapping ${mappingName(mapping)}: ${messageOf(error)}`);
  }
}

function checkFolder(mapping: MappingConfig, config: Config, faults: string[]): void {
  try {
    if (!statSync(placeOf(mapping, config)).isDirectory())
      faults.push(`Mapping ${mappingName(mapping)}: "${mapping.script}" is no folder`);
  } catch (error) {
    faults.push(`Mapping ${mappingName(mapping)}: ${messageOf(error)}`);
  }
}

/** A name inside a virtual root does not lead out of it. */
function placeOf({ script }: MappingConfig, { root }: Config): string {
  return root === undefined ? script : join(root, join('/', script));
}
