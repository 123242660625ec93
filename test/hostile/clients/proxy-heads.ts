/** Clients of listeners that want a PROXY head: without one, with a wrong one, with a slow one, from addresses that are not trusted. */
import { proxyHeadV2 } from '../../support/proxy-head-v2.ts';
import type { RawClient } from '../../support/raw-client.ts';
import type { HostileClient } from '../offender.ts';
import { CLIENT_LIMITS, HOSTILE_ADDRESS, proxyHead, type Target } from '../target.ts';
import { drip, outcomeOf, until } from './outcome.ts';

const GET = 'GET /hostile/hello?x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const CLOSED = /^closed$/;
const PATIENCE_MS = 12_000;
/** Neither trusted nor anybody else's. */
const STRANGER = '127.0.0.66';
const PROXY = 0x21;
const LOCAL = 0x20;
const TCP4 = 0x11;
const ENDS = [192, 0, 2, 7, 198, 51, 100, 1, 220, 4, 0x20, 0xfb];
const VALID = proxyHead('192.0.2.7', 0);
const HELLO = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(600)]);

/** Sends the bytes and a request behind them. */
function sends(head: string | Uint8Array, over: 'secure' | 'plain' = 'plain') {
  return async (target: Target): Promise<string> => {
    const client = await target.bare(over);
    client.send(Buffer.concat([Buffer.from(head as string, 'latin1'), Buffer.from(GET)]));
    return await outcomeOf(client);
  };
}

const WRONG: Readonly<Record<string, string | Uint8Array>> = {
  'none at all': '',
  'a ClientHello in its place': HELLO,
  'the preface of HTTP/2 in its place': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'no family': 'PROXY\r\n',
  'no addresses': 'PROXY TCP4\r\n',
  'a family that is none': 'PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n',
  'lower case': 'proxy tcp4 1.1.1.1 2.2.2.2 1 2\r\n',
  'two blanks': 'PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n',
  'a tab': 'PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n',
  'a line feed alone': 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n',
  'a carriage return alone': 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r',
  'a NUL in an address': 'PROXY TCP4 1.1.1\0.1 2.2.2.2 1 2\r\n',
  'an octal address': 'PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n',
  'a name in place of an address': 'PROXY TCP4 localhost 2.2.2.2 1 2\r\n',
  'an address of the other family': 'PROXY TCP4 ::1 ::1 1 2\r\n',
  'an address with a zone': 'PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n',
  'a port beyond 65535': 'PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n',
  'a port with a sign': 'PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n',
  'a port with a zero before it': 'PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n',
  'one port': 'PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n',
  'three ports': 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n',
  'a blank at its end': 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n',
  'a line of 200 bytes': `PROXY UNKNOWN ${'x'.repeat(184)}\r\n`,
  'a line that never ends': `PROXY UNKNOWN ${'x'.repeat(1_000_000)}`,
  'version 1 of the binary form': proxyHeadV2(0x11, TCP4, ENDS),
  'version 3 of the binary form': proxyHeadV2(0x31, TCP4, ENDS),
  'a command that is none': proxyHeadV2(0x22, TCP4, ENDS),
  'a family of 4': proxyHeadV2(PROXY, 0x41, ENDS),
  datagrams: proxyHeadV2(PROXY, 0x12, ENDS),
  'no room for its addresses': proxyHeadV2(PROXY, TCP4, ENDS.slice(1)),
  'no room for addresses of the family': proxyHeadV2(PROXY, 0x21, ENDS),
  'a length of 4097': proxyHeadV2(PROXY, TCP4, Buffer.alloc(4097)),
  'a length of 65535': proxyHeadV2(PROXY, TCP4, Buffer.alloc(65_535)),
  'a signature with one other byte': Buffer.concat([
    Buffer.from('\r\n\r\n\0\r\nQUIT\r', 'latin1'),
    proxyHeadV2(PROXY, TCP4, ENDS).subarray(12),
  ]),
};

/** What is a head, and served. */
const RIGHT: Readonly<Record<string, string | Uint8Array>> = {
  'a proxy that does not know, with what else it says': `PROXY UNKNOWN ${'x'.repeat(91)}\r\n`,
  'a proxy that speaks for itself, with 4096 bytes': proxyHeadV2(LOCAL, 0, Buffer.alloc(4096, 0xff)),
  'a client with 4096 bytes of addresses and rubbish behind them': proxyHeadV2(
    PROXY,
    TCP4,
    Buffer.concat([Buffer.from(ENDS), Buffer.alloc(4084, 0xff)]),
  ),
  'a client of a unix socket': proxyHeadV2(PROXY, 0x31, Buffer.alloc(216, 0x41)),
  'no family': proxyHeadV2(PROXY, 0, Buffer.alloc(100)),
};

/** Opens connections one after the other, each with its own bytes; counts those that the gateway keeps. */
async function crowd(target: Target, count: number, bytesOf: (i: number) => Uint8Array): Promise<string> {
  const clients: RawClient[] = [];
  for (let i = 0; i < count; i++) {
    const client = await target.bare();
    client.send(bytesOf(i));
    clients.push(client);
  }
  await until(() => clients.every(({ ended }) => ended), PATIENCE_MS);
  const open = clients.filter(({ ended }) => !ended).length;
  for (const client of clients) client.destroy();
  return open === 0 ? 'all closed' : `${open} stay open`;
}

function drips(bytes: string | Uint8Array, everyMs: number, over: 'secure' | 'plain' = 'plain') {
  return async (target: Target): Promise<string> => {
    const client = await target.bare(over);
    client.socket.setNoDelay(true);
    for (const byte of Buffer.from(bytes as string, 'latin1')) {
      if (client.ended || !client.socket.writable) break;
      client.socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    return await outcomeOf(client);
  };
}

export const PROXY_HEADS: readonly HostileClient[] = [
  ...Object.entries(WRONG).map(
    ([what, bytes], i): HostileClient => ({
      name: `a PROXY head with ${what}`,
      brief: i % 12 === 0,
      // whoever begins like a head and goes on like none is told so at once; half a head waits for its time
      waits: i % 12 === 0,
      act: sends(bytes),
      gets: CLOSED,
    }),
  ),
  ...Object.entries(WRONG).map(
    ([what, bytes]): HostileClient => ({
      name: `before TLS, a PROXY head with ${what}`,
      act: sends(bytes, 'secure'),
      gets: CLOSED,
    }),
  ),
  ...Object.entries(RIGHT).map(
    ([what, bytes]): HostileClient => ({
      name: `a PROXY head of ${what}`,
      act: sends(bytes),
      gets: /^200 hello x$/,
    }),
  ),
  { name: 'nothing where a PROXY head is wanted', brief: true, waits: true, act: drips('', 0), gets: CLOSED },
  {
    name: 'nothing where a PROXY head is wanted, before TLS',
    act: drips('', 0, 'secure'),
    gets: CLOSED,
  },
  { name: 'a PROXY head of one byte in a tenth of a second', act: drips(VALID, 100), gets: CLOSED },
  {
    name: 'a PROXY head that says 4096 bytes and has one in a tenth of a second',
    brief: true,
    waits: true,
    act: drips(proxyHeadV2(PROXY, TCP4, Buffer.alloc(4096)).subarray(0, 100), 100),
    gets: CLOSED,
  },
  {
    name: 'a whole PROXY head byte by byte, and a request',
    act: drips(`${VALID}${GET}`, 0),
    gets: /^200 hello x$/,
  },
  {
    name: 'half a PROXY head and the end of the connection',
    act: async (target) => {
      const client = await target.bare();
      client.socket.end(VALID.subarray(0, 20));
      return await outcomeOf(client);
    },
    gets: CLOSED,
  },
  {
    name: 'a PROXY head and nothing behind it',
    act: async (target) => {
      const client = await target.bare();
      client.send(VALID);
      return await outcomeOf(client);
    },
    gets: CLOSED,
  },
  {
    name: 'a PROXY head, and one byte of TLS in a tenth of a second',
    act: async (target) => {
      const client = await target.bare('secure');
      client.send(VALID);
      return await drip(client, '\x16', 100);
    },
    gets: /^(?:closed|"|400)/,
  },
  {
    name: 'two PROXY heads',
    act: sends(Buffer.concat([VALID, VALID])),
    gets: /^400$/,
  },
  {
    name: 'two PROXY heads, the second one in TLS',
    act: async (target) => {
      const client = await target.proxied.secure();
      return await outcomeOf(client, `${VALID}${GET}`);
    },
    gets: /^400$/,
  },
  {
    name: 'a PROXY head behind the first request',
    act: async (target) => {
      const client = await target.bare();
      client.send(`${VALID}GET /hostile/hello?x HTTP/1.1\r\nHost: a\r\n\r\n${VALID}${GET}`);
      return await outcomeOf(client);
    },
    gets: /^200 hello x, 400$/,
  },
  {
    name: 'a PROXY head where none is wanted',
    brief: true,
    act: async (target) => await outcomeOf(await target.plain(), `${VALID}${GET}`),
    gets: /^400$/,
  },
  {
    name: 'a PROXY head before TLS where none is wanted',
    act: async (target) => {
      const client = await target.tcp();
      client.send(Buffer.concat([VALID, HELLO]));
      return await outcomeOf(client);
    },
    gets: /^(?:closed|"|400)/,
  },
  {
    name: 'a PROXY head in the body of a request, with another address',
    act: async (target) => {
      const client = await target.bare();
      client.send(
        `${VALID}POST /hostile/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${VALID.length}\r\n\r\n${VALID}`,
      );
      return await outcomeOf(client);
    },
    gets: new RegExp(`^200 read ${VALID.length}$`),
  },
  {
    name: 'a whole PROXY head of an address that is not trusted',
    brief: true,
    act: async (target) => {
      const client = await target.bare('plain', STRANGER);
      client.send(`${VALID}${GET}`);
      return await outcomeOf(client);
    },
    gets: CLOSED,
  },
  {
    name: 'three hundred connections of an address that is not trusted',
    act: async (target) => {
      const clients = await Promise.all(Array.from({ length: 300 }, () => target.bare('secure', STRANGER)));
      await until(() => clients.every(({ ended }) => ended), PATIENCE_MS);
      const open = clients.filter(({ ended }) => !ended).length;
      for (const client of clients) client.destroy();
      return open === 0 ? 'all closed' : `${open} stay open`;
    },
    gets: /all closed/,
  },
  {
    name: 'three hundred connections with half a PROXY head',
    act: (target) => crowd(target, 300, () => VALID.subarray(0, 20)),
    gets: /all closed/,
  },
  {
    name: 'a thousand connections, each for a client of its own that says nothing',
    act: (target) => crowd(target, 1000, (i) => proxyHead(`10.0.${i >> 8}.${i & 255}`, i)),
    gets: /all closed/,
  },
  {
    name: 'more connections for one client than it may have',
    act: async (target) => {
      const clients: RawClient[] = [];
      for (let i = 0; i <= CLIENT_LIMITS.connectionsPerAddressMax; i++) {
        const client = await target.bare();
        client.send(proxyHead('192.0.2.77', i));
        clients.push(client);
      }
      await until(() => clients.some(({ ended }) => ended), CLIENT_LIMITS.headTimeoutMs);
      const closed = clients.filter(({ ended }) => ended).length;
      for (const client of clients) client.destroy();
      return `${closed} closed`;
    },
    gets: /^1 closed/,
  },
  {
    name: 'two hundred resets in the middle of PROXY heads',
    act: async (target) => {
      for (let i = 0; i < 10; i++)
        await Promise.all(
          Array.from({ length: 20 }, async (_, n) => {
            const client = await target.bare(n % 2 === 0 ? 'plain' : 'secure');
            client.send(VALID.subarray(0, n));
            client.socket.resetAndDestroy();
          }),
        );
      return 'broken off';
    },
    gets: /broken off/,
  },
  {
    name: 'a client that takes the address of somebody else in fields, behind a proxy',
    act: async (target) => {
      const client = await target.bare();
      client.send(
        `${proxyHead(HOSTILE_ADDRESS, 1).toString('latin1')}GET /hostile/hello?x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nConnection: close\r\n\r\n`,
      );
      return await outcomeOf(client);
    },
    gets: /^200 hello x$/,
  },
];

/** The attacks of others, behind a proxy. */
export function behindProxy(offenders: readonly HostileClient[]): HostileClient[] {
  return offenders.map((offender) => ({
    ...offender,
    name: `${offender.name}, behind a proxy`,
    brief: false,
    act: (target: Target) => offender.act(target.proxied),
  }));
}
