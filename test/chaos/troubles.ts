/** What is done to the gateway while others ask: each trouble begins, and ends before the next one. */

import { type ClientHttp2Session, connect as connectH2 } from 'node:http2';
import { request } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { until, type World } from './world.ts';

export interface Trouble {
  readonly name: string;
  /** Connections of bystanders may be cut by it. */
  readonly cuts: boolean;
  /** What needs a descriptor may be refused meanwhile: a new thread has no connections to servers yet, and no code of WebSockets. */
  readonly refuses?: boolean;
  /** Resolves when it is over and the gateway has dealt with it. */
  run(world: World): Promise<void>;
}

const OFFENDER_ADDRESS = '127.0.0.9';
const FLOOD_CONNECTIONS = 100;
const FLOOD_REQUESTS = 50;
const STALL_CONNECTIONS = 60;
const RESET_STREAMS = 200;
/** More than the gateway has. */
const IDLE_CONNECTIONS = 700;

export const TROUBLES: readonly Trouble[] = [
  {
    name: 'a worker crashes',
    cuts: true,
    run: async (world) => {
      const from = world.log.length;
      world.ask('crash');
      await world.logged(/chaos: this thread crashes/, from);
      await bothServe(world);
    },
  },
  {
    name: 'a thread hangs',
    cuts: true,
    run: async (world) => {
      const from = world.log.length;
      world.ask('hang');
      await world.logged(/It was held up for/, from);
      await bothServe(world);
    },
  },
  {
    name: 'scripts loop and fill their memory',
    cuts: false,
    run: async (world) => {
      await Promise.all(['/loop', '/sort', '/memory'].map((path) => ask(world, `/offender${path}`)));
    },
  },
  { name: 'a reload', cuts: true, run: (world) => reload(world, /[Rr]eloaded/) },
  {
    name: 'a reload of a broken script',
    cuts: false,
    run: async (world) => {
      world.breakScript();
      try {
        await reload(world, /[Nn]ot reloaded|reload.*(failed|refused|nothing)|near 'is'/);
      } finally {
        world.repairScript();
      }
    },
  },
  {
    name: 'an upgrade',
    cuts: true,
    run: async (world) => {
      const before = world.pid;
      world.signal('SIGUSR2');
      await until(() => world.pid !== before, 'another process in the pid file');
      await until(() => world.holdings().processes === 1, 'the end of the process before');
    },
  },
  {
    name: 'an upgrade with a broken script',
    cuts: false,
    run: async (world) => {
      const [before, from] = [world.pid, world.log.length];
      world.breakScript();
      try {
        world.signal('SIGUSR2');
        await world.logged(/upgrade/i, from);
        await until(() => /upgrade[^\n]*(fail|given up|not)/i.test(world.log.slice(from)), 'why it failed');
        await until(() => world.holdings().processes === 1, 'the end of the process that failed');
      } finally {
        world.repairScript();
      }
      if (world.pid !== before) throw new Error('another process serves');
    },
  },
  { name: 'clients reset their streams', cuts: false, run: resetStreams },
  { name: 'clients stall', cuts: false, run: stall },
  { name: 'clients flood', cuts: false, run: flood },
  {
    name: 'a server behind it dies',
    cuts: false,
    run: async (world) => {
      await world.killUpstream(0);
      await sleep(1500);
      await world.startUpstream(0);
    },
  },
  {
    name: 'a server behind it freezes',
    cuts: false,
    run: async (world) => {
      world.signalUpstream(1, 'SIGSTOP');
      await sleep(3000);
      world.signalUpstream(1, 'SIGCONT');
    },
  },
  {
    name: 'a disk is full',
    cuts: false,
    run: async (world) => {
      const { status, text } = await ask(world, '/offender/fill');
      if (text !== 'full') throw new Error(`the script got ${status} ${text.slice(0, 80)}`);
    },
  },
  { name: 'descriptors are used up', cuts: true, refuses: true, run: useDescriptorsUp },
];

async function reload(world: World, outcome: RegExp): Promise<void> {
  const from = world.log.length;
  world.signal('SIGHUP');
  await world.logged(outcome, from);
}

/** Until each worker has its connections again. */
async function bothServe(world: World): Promise<void> {
  for (let i = 0; i < 4; i++) await ask(world, '/app/hello?trouble');
}

function ask(world: World, path: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port: world.port, path, agent: false, rejectUnauthorized: false };
    const call = request({ ...options, localAddress: OFFENDER_ADDRESS }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (piece: string) => {
        text += piece;
      });
      response.on('close', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    // the worker that it was on may have gone
    call.on('error', (error) => resolve({ status: 0, text: error.message }));
    call.end();
  });
}

async function resetStreams(world: World): Promise<void> {
  const session = session2(world);
  for (let i = 0; i < RESET_STREAMS && !session.destroyed; i++) {
    const stream = session.request({ ':path': i % 2 === 0 ? '/app/large' : '/app/events' });
    stream.on('error', () => undefined);
    stream.close(8);
    if (i % 20 === 0) await sleep(20);
  }
  session.destroy();
  const sockets = await Promise.all(Array.from({ length: 20 }, () => tls(world)));
  for (const socket of sockets) socket.write('GET /app/large HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await sleep(200);
  for (const socket of sockets) socket.destroy();
}

/** Heads that never end, handshakes that never begin, answers that nobody reads. */
async function stall(world: World): Promise<void> {
  const sockets: Socket[] = [];
  for (let i = 0; i < STALL_CONNECTIONS; i++) sockets.push(tcp(world));
  const secure = await Promise.all(Array.from({ length: STALL_CONNECTIONS / 2 }, () => tls(world)));
  for (const [i, socket] of secure.entries()) {
    socket.pause();
    socket.write(
      i % 2 === 0 ? 'GET /app/hello HTTP/1.1\r\nHo' : 'GET /app/large HTTP/1.1\r\nHost: localhost\r\n\r\n',
    );
  }
  await sleep(4000);
  for (const socket of [...sockets, ...secure]) socket.destroy();
}

async function flood(world: World): Promise<void> {
  const sockets = await Promise.all(Array.from({ length: FLOOD_CONNECTIONS }, () => tls(world)));
  const all = 'GET /app/hello?flood HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(FLOOD_REQUESTS);
  for (const socket of sockets) {
    socket.resume();
    socket.write(all);
  }
  await sleep(1000);
  for (const socket of sockets) socket.destroy();
}

async function useDescriptorsUp(world: World): Promise<void> {
  const sockets = Array.from({ length: IDLE_CONNECTIONS }, () => tcp(world));
  await sleep(2000);
  for (const socket of sockets) socket.destroy();
  await bothServe(world);
}

function tcp(world: World): Socket {
  const socket = connectTcp({ host: '127.0.0.1', port: world.port, localAddress: OFFENDER_ADDRESS });
  socket.on('error', () => undefined);
  return socket;
}

function tls(world: World): Promise<Socket> {
  const address = { host: '127.0.0.1', port: world.port, localAddress: OFFENDER_ADDRESS };
  const socket = connectTls({ ...address, servername: 'localhost', rejectUnauthorized: false } as object);
  return new Promise((resolve) => {
    socket.once('secureConnect', () => resolve(socket));
    // refused or cut: one less
    socket.on('error', () => resolve(socket));
    socket.on('close', () => resolve(socket));
  });
}

function session2(world: World): ClientHttp2Session {
  const options = { rejectUnauthorized: false, localAddress: OFFENDER_ADDRESS };
  const session = connectH2(`https://127.0.0.1:${world.port}`, options);
  session.on('error', () => undefined);
  return session;
}
