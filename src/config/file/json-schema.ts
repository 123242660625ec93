/** Writes the table of options, and the keys of the tables of a configuration file, as a JSON Schema for editors. */
import { CERTIFICATES_MAX } from '../../settings/tls-settings.ts';
import { ALL_OPTIONS, OPTIONS } from '../options.ts';
import { CERTIFICATE_KEYS, LISTEN_KEYS, SHARED_KEYS } from './file-keys.ts';
import type { FileKey } from './file-table.ts';
import type { ValueKey } from './file-value.ts';
import { MAPPING_TABLES } from './mapping-tables.ts';
import { keyOf, LISTENERS_MAX } from './read-config-file.ts';

/** Draft 7: what taplo and the editors that use it know. */
const DRAFT = 'http://json-schema.org/draft-07/schema#';

type Schema = Readonly<Record<string, unknown>>;

export function configSchema(): Schema {
  const keys = ALL_OPTIONS.filter((option) => option.commandLineOnly !== true && option !== OPTIONS.lua);
  return {
    $schema: DRAFT,
    title: 'Configuration of lgateway',
    ...schemaOfTable(keys.map(keyOf), {
      lua: listOf(schemaOfTable(MAPPING_TABLES.lua.keys), 'scripts'),
      static: listOf(schemaOfTable(MAPPING_TABLES.static.keys), 'folders whose files are served'),
      proxy: listOf(schemaOfTable(MAPPING_TABLES.proxy.keys), 'other servers'),
      listen: {
        ...listOf(schemaOfTable(Object.values<FileKey>({ ...LISTEN_KEYS })), 'listeners'),
        maxItems: LISTENERS_MAX,
      },
      certificate: {
        ...listOf(
          schemaOfTable(Object.values<FileKey>({ ...CERTIFICATE_KEYS })),
          'certificates, the first of which is the default',
        ),
        maxItems: CERTIFICATES_MAX,
      },
      shared: {
        anyOf: [
          schemaOfKey(keyOf(OPTIONS.shared)),
          listOf(schemaOfTable(Object.values<FileKey>({ ...SHARED_KEYS })), 'dictionaries'),
        ],
      },
    }),
  };
}

function listOf(items: Schema, description: string): Schema {
  return { type: 'array', items, description };
}

function schemaOfTable(keys: readonly FileKey[], more: Readonly<Record<string, Schema>> = {}): Schema {
  const required = keys.flatMap((key) => (key.kind === 'value' && key.isRequired === true ? key.name : []));
  return {
    type: 'object',
    additionalProperties: false,
    ...(required.length === 0 ? {} : { required }),
    properties: { ...Object.fromEntries(keys.map((key) => [key.name, schemaOfKey(key)])), ...more },
  };
}

function schemaOfKey(key: FileKey): Schema {
  const description = key.help;
  if (key.kind === 'flag') return { type: 'boolean', description };
  if (key.kind === 'value') return { ...schemaOfValue(key), description };
  if (key.keys !== undefined) return { ...schemaOfTable(key.keys), description };
  const text: Schema = { type: 'string' };
  const value: Schema = { anyOf: [text, { type: 'array', items: text }, { const: false }] };
  return { type: 'object', additionalProperties: value, description };
}

function schemaOfValue(key: ValueKey<unknown>): Schema {
  const { types, min, max, pattern, empty } = key.value.inFile ?? { types: ['string'] };
  const bounds = {
    ...(min === undefined ? {} : { minimum: min }),
    ...(max === undefined ? {} : { maximum: max }),
  };
  const text: Schema = {
    type: 'string',
    minLength: 1,
    ...(pattern === undefined ? {} : { pattern }),
    ...(key.value.choices === undefined ? {} : { enum: key.value.choices }),
  };
  const forms: Schema[] = types.map((type) => {
    if (type === 'string') return text;
    if (type !== 'list') return { type, ...bounds };
    return { type: 'array', items: { type: 'string' }, ...(empty === undefined ? { minItems: 1 } : {}) };
  });
  if (key.repeats === true) forms.push({ type: 'array', items: { type: 'string' } });
  if (key.bare !== undefined) forms.push({ type: 'boolean' });
  const [only, ...more] = forms;
  return more.length === 0 && only !== undefined ? only : { anyOf: forms };
}
