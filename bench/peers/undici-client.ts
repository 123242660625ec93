/** undici without a gateway: its own process, which sends GET requests to an upstream on a command that it gets over HTTP/2. */
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { Agent, request } from 'undici';
import { CONNECTIONS_PER_ORIGIN_MAX } from '../../src/outbound/outbound-limits.ts';

const [certificate = '', key = '', port = '0', body = ''] = process.argv.slice(2);

/** The same number of connections as the gateway's agent has. */
const agent = new Agent({ connections: CONNECTIONS_PER_ORIGIN_MAX, pipelining: 1 });

/** Resolves to the duration in seconds. */
async function getMany(url: string, count: number, concurrency: number): Promise<number> {
  let left = count;
  const getInTurn = async (): Promise<void> => {
    while (left-- > 0) {
      const response = await request(url, { dispatcher: agent });
      const text = await response.body.text();
      if (response.statusCode !== 200 || text !== body)
        throw new Error(`The upstream answered ${response.statusCode} "${text}"`);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: concurrency }, getInTurn));
  return (performance.now() - start) / 1000;
}

const server = createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key) });
server.on('stream', (stream, headers) => {
  stream.on('error', () => undefined);
  const { pathname, searchParams } = new URL(headers[':path'] ?? '/', 'https://localhost');
  const answer = (status: number, text: string): void => {
    stream.respond({ ':status': status, 'content-type': 'text/plain' });
    stream.end(text);
  };
  if (pathname === '/bench/hello') answer(200, body);
  else
    getMany(
      searchParams.get('url') ?? '',
      Number(searchParams.get('count')),
      Number(searchParams.get('concurrency')),
    ).then(
      (seconds) => answer(200, String(seconds)),
      (error: unknown) => answer(502, String(error)),
    );
});
server.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
server.listen(Number(port), '127.0.0.1');
