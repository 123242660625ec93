/** The options that say which answers are compressed: a part of the table of options. */
import { COMPRESSION_BYTES_MIN_MAX, DEFAULT_COMPRESSION } from '../settings/compression.ts';
import { type DefaultedOption, defaulted, type FlagOption } from './option.ts';
import { size, typeList } from './value-parsers.ts';

export interface CompressionOptions {
  readonly compress: FlagOption;
  readonly compressTypes: DefaultedOption<readonly string[]>;
  readonly compressMin: DefaultedOption<number>;
}

export const COMPRESSION_OPTIONS: CompressionOptions = {
  compress: {
    kind: 'flag',
    name: 'compress',
    group: 'Compression',
    help: 'compress answers for clients that take gzip, br or (from Node 22.15 on) zstd',
  },
  compressTypes: defaulted({
    name: 'compress-types',
    argument: 'TYPE,...',
    value: typeList(),
    default: DEFAULT_COMPRESSION.types,
    group: 'Compression',
    help: 'media types of the answers that --compress compresses: TYPE/SUBTYPE, TYPE/* or +SUFFIX',
  }),
  compressMin: defaulted({
    name: 'compress-min',
    argument: 'SIZE',
    value: size(0, COMPRESSION_BYTES_MIN_MAX),
    default: DEFAULT_COMPRESSION.bytesMin,
    group: 'Compression',
    help: 'an answer that is known to be shorter goes as it is',
  }),
};
