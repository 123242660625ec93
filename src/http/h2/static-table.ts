/** HPACK's static table (RFC 7541 Appendix A). */

const ENTRIES =
  ':authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|' +
  ':status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate|' +
  'accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|' +
  'content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|' +
  'cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|' +
  'last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|' +
  'server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate';

/** Names and values by index; the first index is 1. */
export const STATIC_NAMES: readonly string[] = ['', ...ENTRIES.split('|').map((entry) => split(entry)[0])];
export const STATIC_VALUES: readonly string[] = ['', ...ENTRIES.split('|').map((entry) => split(entry)[1])];
/** The last index of the table; the dynamic table begins after it. */
export const STATIC_LAST = 61;

/** The lowest index of each name. */
export const STATIC_INDEX_OF_NAME: ReadonlyMap<string, number> = new Map(
  STATIC_NAMES.map((name, i): [string, number] => [name, i])
    .slice(1)
    .reverse(),
);

function split(entry: string): [name: string, value: string] {
  const at = entry.indexOf('=');
  return at === -1 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}
