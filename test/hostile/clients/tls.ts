/** Clients that never come to HTTP: TLS that is none, connections that do nothing, and too many of both. */
import { constants } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { RawClient } from '../../support/raw-client.ts';
import type { HostileClient } from '../offender.ts';
import type { Target } from '../target.ts';
import { outcomeOf, until } from './outcome.ts';

const PATIENCE_MS = 12_000;
/** A ClientHello that says it is 16 KiB long. */
const HELLO = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(100)]);
const CLOSED = /^(?:closed|"|400)/;

function sends(bytes: Uint8Array): (target: Target) => Promise<string> {
  return async (target) => {
    const client = await target.tcp();
    client.send(bytes);
    return await outcomeOf(client);
  };
}

async function handshake(target: Target, options: object): Promise<string> {
  try {
    const client = await target.secure(options);
    const { socket } = client;
    const what = `${(socket as TLSSocket).getProtocol()} ${(socket as TLSSocket).alpnProtocol}`;
    client.destroy();
    return what;
  } catch (error) {
    return `refused ${(error as { code?: string }).code}`;
  }
}

/** Opens connections one after the other and counts those that the gateway keeps. */
async function crowd(
  target: Target,
  count: number,
  open: (target: Target) => Promise<RawClient>,
): Promise<string> {
  const clients: RawClient[] = [];
  let refused = 0;
  for (let i = 0; i < count; i += 20)
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        try {
          clients.push(await open(target));
        } catch {
          refused += 1;
        }
      }),
    );
  await until(() => clients.every(({ ended }) => ended), PATIENCE_MS);
  const closed = clients.filter(({ ended }) => ended).length;
  for (const client of clients) client.destroy();
  return closed + refused === count ? 'all closed' : `${count - closed - refused} stay open`;
}

export const TLS: readonly HostileClient[] = [
  {
    waits: true,
    name: 'rubbish in place of TLS',
    brief: true,
    act: sends(Buffer.alloc(10_000, 0xa5)),
    gets: CLOSED,
  },
  { waits: true, name: 'half a ClientHello', brief: true, act: sends(HELLO), gets: CLOSED },
  {
    name: 'a ClientHello of one byte in a tenth of a second',
    act: async (target) => {
      const client = await target.tcp();
      for (const byte of HELLO) {
        if (client.ended || !client.socket.writable) break;
        client.socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return await outcomeOf(client);
    },
    gets: CLOSED,
  },
  {
    name: 'records of no content',
    act: async (target) => {
      const client = await target.tcp();
      const record = Buffer.from('1603010000', 'hex');
      for (let i = 0; i < 200 && client.socket.writable; i++) {
        client.socket.write(Buffer.concat(Array.from({ length: 100 }, () => record)));
        await new Promise((resolve) => setImmediate(resolve));
      }
      return await outcomeOf(client);
    },
    gets: CLOSED,
  },
  {
    name: 'a record that is too long',
    act: sends(Buffer.concat([Buffer.from('160301ffff', 'hex'), Buffer.alloc(0xffff)])),
    gets: CLOSED,
  },
  {
    name: 'SSL 2.0',
    act: sends(
      Buffer.from(
        '802e0100020015000000100100800200800300800400800500800600400700c00800800000000000000000000000000000',
        'hex',
      ),
    ),
    gets: CLOSED,
  },
  {
    waits: true,
    name: 'HTTP on the TLS port',
    brief: true,
    act: async (target) => {
      const client = await target.tcp();
      return await outcomeOf(client, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    },
    gets: /^(?:400|closed)/,
  },
  {
    name: 'TLS on the cleartext port',
    act: async (target) => {
      const client = await target.plain();
      client.send(HELLO);
      return await outcomeOf(client);
    },
    gets: CLOSED,
  },
  {
    name: 'a handshake of TLS 1.1',
    act: (target) =>
      handshake(target, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' }),
    gets: /^refused/,
  },
  {
    name: 'a handshake of bad suites',
    act: (target) => handshake(target, { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA:AES256-SHA' }),
    gets: /^refused/,
  },
  {
    name: 'a handshake for a protocol nobody speaks',
    act: (target) => handshake(target, { ALPNProtocols: ['h3', 'spdy/1'] }),
    gets: /^(?:refused|TLSv1\.3 false)/,
  },
  {
    name: 'a handshake with a name of 250 bytes',
    act: (target) =>
      handshake(target, { servername: `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example` }),
    gets: /^(?:refused|TLSv1\.3)/,
  },
  {
    waits: true,
    name: 'renegotiation',
    brief: true,
    act: async (target) => {
      const client = await target.secure({
        maxVersion: 'TLSv1.2',
        secureOptions: constants.SSL_OP_LEGACY_SERVER_CONNECT,
      });
      const socket = client.socket as TLSSocket;
      const outcome = await new Promise<string>((resolve) => {
        socket.once('close', () => resolve('closed'));
        socket.once('error', () => resolve('refused'));
        if (!socket.renegotiate({}, (error) => resolve(error === null ? 'renegotiated' : 'refused')))
          resolve('refused');
        setTimeout(() => resolve('open'), PATIENCE_MS).unref();
      });
      client.destroy();
      return outcome;
    },
    gets: /^(?:refused|closed)/,
  },
  {
    name: 'handshakes broken off, two hundred',

    act: async (target) => {
      for (let i = 0; i < 10; i++)
        await Promise.all(
          Array.from({ length: 20 }, async () => {
            const client = await target.tcp();
            client.send(HELLO.subarray(0, 50));
            client.socket.resetAndDestroy();
          }),
        );
      return 'broken off';
    },
    gets: /broken off/,
  },
  {
    name: 'early close: FIN behind the handshake',
    act: async (target) => {
      const client = await target.secure();
      client.socket.end();
      return await outcomeOf(client);
    },
    gets: CLOSED,
  },
  {
    name: 'three hundred connections that say nothing',
    brief: true,
    act: (target) => crowd(target, 300, (to) => to.tcp()),
    gets: /all closed/,
  },
  {
    name: 'two hundred cleartext connections with half a head',
    act: (target) =>
      crowd(target, 200, async (to) => {
        const client = await to.plain();
        client.send('GET / HT');
        return client;
      }),
    gets: /all closed/,
  },
  {
    name: 'a hundred idle TLS connections',
    act: (target) => crowd(target, 100, (to) => to.secure()),
    gets: /all closed/,
  },
];
