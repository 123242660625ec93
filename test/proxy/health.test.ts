/** Checks of servers over real sockets: how many take a server out and bring it back, counted at the server, and what requests get meanwhile. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, beforeEach } from 'node:test';
import type { HealthSettings } from '../../src/mapping/proxy-settings.ts';
import { createHealthMemory } from '../../src/proxy/upstreams/health-memory.ts';
import { HealthTable } from '../../src/proxy/upstreams/health-table.ts';
import { calmTest as test } from '../support/calm.ts';
import { ask } from '../support/proxy-client.ts';
import { IN_ORDER, type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { type RecordingBackend, recordingBackend } from '../support/recording-backend.ts';
import { waitFor } from '../support/test-front-end.ts';

const CHECKS: HealthSettings = {
  path: '/up',
  intervalMs: 60,
  timeoutMs: 5000,
  status: undefined,
  fall: 3,
  rise: 2,
};

interface Server extends RecordingBackend {
  /** Does what it does to a check, which is the `n`th since this was set. */
  check: (socket: Socket, n: number) => void;
  request: (socket: Socket) => void;
  checks: number;
}

const says = (status: string, body: string) => (socket: Socket) =>
  void socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
const well = says('200 OK', '');
const ill = says('503 Service Unavailable', '');

async function startServer(name: string): Promise<Server> {
  const state = { check: well as Server['check'], request: says('200 OK', name), checks: 0 };
  const backend = await recordingBackend(({ head }, socket) => {
    if (!head.startsWith('GET /up ')) state.request(socket);
    else {
      state.checks += 1;
      state.check(socket, state.checks);
    }
  });
  return Object.assign(state, backend);
}

function becomes(server: Server, check: Server['check']): void {
  server.checks = 0;
  server.check = check;
}

/** Two workers. */
let fronts: ProxyFront[];
let a: Server;
let b: Server;
const used: Server[] = [];

before(async () => {
  const memory = createHealthMemory();
  fronts = [
    await startProxyFront({ health: new HealthTable(memory) }),
    await startProxyFront({ health: new HealthTable(memory) }),
  ];
});

// checks of one test go on in the next
beforeEach(async () => {
  a = await startServer('a');
  b = await startServer('b');
  used.push(a, b);
});

after(async () => {
  for (const front of fronts) await front.stop();
  for (const server of used) await server.close();
});

function passTo(servers: readonly Server[], settings: Partial<HealthSettings> | false = {}): void {
  const health = settings === false ? undefined : { ...CHECKS, ...settings };
  for (const front of fronts)
    front.passTo(
      servers.map(({ url }) => url),
      { retries: 0 },
      '/',
      { ...IN_ORDER, health },
    );
}

/** What both workers have said of a server. */
const said = (server: Server, state: string): number =>
  fronts.reduce(
    (sum, { log }) =>
      sum + log.filter((line) => line.includes(`Upstream is ${state}`) && line.includes(server.url)).length,
    0,
  );
const asked = async (i = 0): Promise<string> => {
  const { status, body } = await ask('h1', fronts[i]?.port ?? 0, '/');
  return status === 200 ? body : String(status);
};

test('Three checks that fail take a server out, and two that pass bring it back, for both workers', async () => {
  passTo([a, b]);
  assert.deepEqual([await asked(0), await asked(1)], ['a', 'a']);
  becomes(a, ill);
  await waitFor(() => said(a, 'down') === 1, 'it to be down');
  // each worker may have begun one more before anybody looks
  assert.ok(a.checks >= 3 && a.checks <= 5, `${a.checks} checks`);
  assert.deepEqual([await asked(0), await asked(1)], ['b', 'b']);
  becomes(a, well);
  await waitFor(() => said(a, 'up') === 1, 'it to be up');
  assert.ok(a.checks >= 2 && a.checks <= 4, `${a.checks} checks`);
  assert.deepEqual([await asked(0), await asked(1), said(a, 'down'), said(b, 'down')], ['a', 'a', 1, 0]);
});

test('The connection of a check ends with it, and the server is told so', async () => {
  passTo([a]);
  await waitFor(() => a.checks >= 6, 'six checks');
  const checks = a.requests.filter(({ head }) => head.startsWith('GET /up '));
  assert.equal(new Set(checks.map(({ connection }) => connection)).size, checks.length);
  for (const { head } of checks) assert.match(head, /\r\nConnection: close\r\n/);
  // those of both workers that are under way
  await waitFor(() => a.open() <= 2, 'the connections of the other checks to be closed');
});

test('A server that fails two checks of three stays, and one that passes one of two stays out', async () => {
  passTo([a, b]);
  becomes(a, (socket, n) => (n % 3 === 0 ? well(socket) : ill(socket)));
  await waitFor(() => a.checks >= 8, 'eight checks');
  assert.deepEqual([await asked(), said(a, 'down')], ['a', 0]);
  becomes(a, ill);
  await waitFor(() => said(a, 'down') === 1, 'it to be down');
  becomes(a, (socket, n) => (n % 2 === 0 ? well(socket) : ill(socket)));
  await waitFor(() => a.checks >= 8, 'eight checks');
  assert.deepEqual([await asked(), said(a, 'up')], ['b', 0]);
});

test('Where all servers are down requests get 503 at once and reach none, until one is back', async () => {
  passTo([a, b]);
  for (const server of [a, b]) becomes(server, ill);
  await waitFor(() => said(a, 'down') === 1 && said(b, 'down') === 1, 'both to be down');
  const reached = (): number =>
    [a, b].flatMap(({ requests }) => requests).filter(({ head }) => !head.startsWith('GET /up ')).length;
  const before = reached();
  assert.deepEqual([await asked(0), await asked(1), reached()], ['503', '503', before]);
  becomes(b, well);
  await waitFor(() => said(b, 'up') === 1, 'it to be up');
  assert.deepEqual([await asked(0), await asked(1)], ['b', 'b']);
});

test('A server that takes connections and says nothing, as a frozen one does, is down after three checks', async () => {
  passTo([a, b], { timeoutMs: 700 });
  becomes(a, () => undefined);
  await waitFor(() => said(a, 'down') === 1, 'it to be down');
  assert.ok(fronts.some(({ log }) => log.some((line) => line.includes('no answer within 700 ms'))));
  // nobody waits for it
  assert.deepEqual([await asked(0), await asked(1)], ['b', 'b']);
  becomes(a, well);
  await waitFor(() => said(a, 'up') === 1, 'it to be up');
  assert.equal(await asked(), 'a');
});

test('Requests that fail take a server out for both workers; checks that pass bring it back', async () => {
  passTo([a, b], { intervalMs: 100 });
  a.request = (socket) => socket.destroy();
  // 3 failures; whichever worker has them
  for (const i of [0, 1, 0]) assert.equal(await asked(i), '502');
  assert.equal(said(a, 'down') >= 1, true);
  a.request = says('200 OK', 'a');
  await waitFor(() => said(a, 'up') === 1, 'it to be up');
  assert.deepEqual([await asked(0), await asked(1)], ['a', 'a']);
});

test('Without checks a server that fails rests for both workers, and the last one never does', async () => {
  passTo([a, b], false);
  for (const server of [a, b]) server.request = (socket) => socket.destroy();
  for (const i of [0, 1, 0]) assert.equal(await asked(i), '502');
  const before = b.requests.length;
  assert.equal(await asked(1), '502');
  assert.equal(b.requests.length, before + 1);
  for (const i of [0, 1]) assert.equal(await asked(i), '502');
  // both rest: both are tried
  a.request = says('200 OK', 'a');
  assert.equal(await asked(1), 'a');
  assert.deepEqual([said(a, 'down'), said(a, 'up')], [1, 1]);
});

test('What is expected of a check may be one status', async () => {
  passTo([a, b], { status: 204, fall: 1, rise: 1 });
  await waitFor(() => said(a, 'down') === 1, 'it to be down');
  becomes(a, says('204 No Content', ''));
  await waitFor(() => said(a, 'up') === 1, 'it to be up');
});
