/** Ports for programs that take no port 0. */
import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/** Below those that a system gives to whoever asks for any port (Linux: 32768 and up), so that no other test gets them meanwhile. */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_767;

/** Each holds the name of a port for as long as this process, so that no other test process takes the port before, or while, its server listens. */
const claims: Server[] = [];

/** Ports of 127.0.0.1 that are free, each another one. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    if ((await claim(port)) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

/** False: another test has the port. Linux forgets such a name (unix(7), abstract sockets) with the process that has it. */
function claim(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(true);
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(`\0lgateway-test-port-${port}`, () => {
      claims.push(server.unref());
      resolve(true);
    });
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
