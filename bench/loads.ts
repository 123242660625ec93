/** How several scenarios load a server. */
import type { Load } from './measures/load.ts';

type Shape<P extends Load['protocol']> = { readonly protocol: P } & Pick<Load, 'connections' | 'streams'>;

export const CONNECTIONS = 10;
export const TWENTY_STREAMS: Shape<'h2'> = { protocol: 'h2', connections: CONNECTIONS, streams: 20 };
export const ONE_AFTER_OTHER: Shape<'http/1.1'> = {
  protocol: 'http/1.1',
  connections: CONNECTIONS,
  streams: 1,
};
export const PIPELINED: Shape<'http/1.1'> = { protocol: 'http/1.1', connections: CONNECTIONS, streams: 14 };

/** Fields that a browser sends with each request; without them the list in the answer would be almost empty. */
const BROWSER_FIELDS = [
  'user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'accept-language: en-US,en;q=0.5',
  'accept-encoding: gzip, deflate, br, zstd',
  'cookie: session=0123456789abcdef; theme=dark',
  'upgrade-insecure-requests: 1',
  'sec-fetch-dest: document',
  'sec-fetch-mode: navigate',
];

export const ENV: Load = { handler: 'env', ...TWENTY_STREAMS, fields: BROWSER_FIELDS };
export const SMALL_FILES: Load = { handler: 'small-files', ...TWENTY_STREAMS };
