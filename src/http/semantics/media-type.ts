/** The media type of a file, by the ending of its name. */

const TEXT_PARAMETER = '; charset=utf-8';
const OTHER = 'application/octet-stream';

/** Ending → type. Text is UTF-8, as everything on the web is meant to be. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['html', `text/html${TEXT_PARAMETER}`],
  ['htm', `text/html${TEXT_PARAMETER}`],
  ['xhtml', 'application/xhtml+xml'],
  ['css', `text/css${TEXT_PARAMETER}`],
  ['js', `text/javascript${TEXT_PARAMETER}`],
  ['mjs', `text/javascript${TEXT_PARAMETER}`],
  ['json', 'application/json'],
  ['map', 'application/json'],
  ['jsonld', 'application/ld+json'],
  ['webmanifest', 'application/manifest+json'],
  ['xml', 'application/xml'],
  ['rss', 'application/rss+xml'],
  ['atom', 'application/atom+xml'],
  ['txt', `text/plain${TEXT_PARAMETER}`],
  ['text', `text/plain${TEXT_PARAMETER}`],
  ['log', `text/plain${TEXT_PARAMETER}`],
  ['lua', `text/x-lua${TEXT_PARAMETER}`],
  ['md', `text/markdown${TEXT_PARAMETER}`],
  ['csv', `text/csv${TEXT_PARAMETER}`],
  ['ics', `text/calendar${TEXT_PARAMETER}`],
  ['vtt', `text/vtt${TEXT_PARAMETER}`],
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['jpeg', 'image/jpeg'],
  ['gif', 'image/gif'],
  ['webp', 'image/webp'],
  ['avif', 'image/avif'],
  ['svg', 'image/svg+xml'],
  ['ico', 'image/x-icon'],
  ['bmp', 'image/bmp'],
  ['tif', 'image/tiff'],
  ['tiff', 'image/tiff'],
  ['woff', 'font/woff'],
  ['woff2', 'font/woff2'],
  ['ttf', 'font/ttf'],
  ['otf', 'font/otf'],
  ['mp3', 'audio/mpeg'],
  ['m4a', 'audio/mp4'],
  ['ogg', 'audio/ogg'],
  ['opus', 'audio/ogg'],
  ['flac', 'audio/flac'],
  ['wav', 'audio/wav'],
  ['mp4', 'video/mp4'],
  ['webm', 'video/webm'],
  ['mov', 'video/quicktime'],
  ['m3u8', 'application/vnd.apple.mpegurl'],
  ['ts', 'video/mp2t'],
  ['pdf', 'application/pdf'],
  ['zip', 'application/zip'],
  ['gz', 'application/gzip'],
  ['tar', 'application/x-tar'],
  ['7z', 'application/x-7z-compressed'],
  ['zst', 'application/zstd'],
  ['wasm', 'application/wasm'],
  ['epub', 'application/epub+zip'],
  ['odt', 'application/vnd.oasis.opendocument.text'],
  ['ods', 'application/vnd.oasis.opendocument.spreadsheet'],
  ['docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'],
  ['xlsx', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'],
]);

/** `text/css; charset=utf-8` for `a/style.css`; `application/octet-stream` for an ending nobody knows. */
export function mediaTypeOf(name: string): string {
  const ending = /[^/]\.([^./]+)$/.exec(name)?.[1];
  return (ending === undefined ? undefined : TYPES.get(ending.toLowerCase())) ?? OTHER;
}
