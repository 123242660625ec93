/** Clients of the admin listener: of other names and sites, without its token, slow, greedy, and in crowds. */
import type { RawClient } from '../../support/raw-client.ts';
import type { HostileClient } from '../offender.ts';
import type { Target } from '../target.ts';
import { drip, outcomeOf, until } from './outcome.ts';

const PATIENCE_MS = 15_000;
const FORBIDDEN = /^403/;
/** What is neither answered by what was asked for nor left without an end. */
const NEVER_SERVED = /^(?:100, )?(?:[45]\d\d|closed|"|left|reset|not read|all closed|broken off|refused)/;
const FILLS = 'it has 32 connections, and all of them are of this machine';

/** Sends the text; `$HOST` stands for the right field Host. */
function sends(text: string | (() => string)) {
  return async (target: Target): Promise<string> => {
    const bytes = (typeof text === 'string' ? text : text()).replaceAll('$HOST', `Host: ${target.adminHost}`);
    return await outcomeOf(await target.admin.plain(), bytes);
  };
}

function drips(first: string, piece: string, everyMs: number) {
  return async (target: Target): Promise<string> => {
    const client = await target.admin.plain();
    client.send(first.replaceAll('$HOST', `Host: ${target.adminHost}`));
    return await drip(client, piece, everyMs);
  };
}

/** As many connections at once, each of which sends the text; how many of them are still open at the end of all limits. */
async function crowd(target: Target, count: number, text: string, isRead = true): Promise<string> {
  const bytes = text.replaceAll('$HOST', `Host: ${target.adminHost}`);
  const clients: RawClient[] = [];
  for (let i = 0; i < count; i += 20)
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await target.admin.plain().catch(() => undefined);
        if (client === undefined) return;
        if (!isRead) client.socket.pause();
        client.send(bytes);
        clients.push(client);
      }),
    );
  if (isRead) await until(() => clients.every(({ ended }) => ended), PATIENCE_MS);
  const open = isRead ? clients.filter(({ ended }) => !ended).length : 0;
  for (const client of clients) client.destroy();
  return open === 0 ? 'all closed' : `${open} stay open`;
}

const SCRAPE = 'GET /metrics HTTP/1.1\r\n$HOST\r\n';
const DRAIN = 'POST /drain HTTP/1.1\r\n$HOST\r\n';
const HIDDEN = `${DRAIN}Content-Length: 0\r\n\r\n`;

/** Whoever is refused, whatever it asks for; some ask for a drain, which would be the end of everything here. */
const REFUSED: Readonly<Record<string, string>> = {
  'no Host': 'GET /metrics HTTP/1.0\r\n\r\n',
  'an empty Host': 'GET /metrics HTTP/1.1\r\nHost:\r\n\r\n',
  'the Host of another site': 'POST /drain HTTP/1.1\r\nHost: evil.example\r\n\r\n',
  'a Host without its port': 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
  'a Host that begins like the right one': `${SCRAPE.replace('$HOST', '$HOST.evil.example')}\r\n`,
  'a Host with a user': 'GET /metrics HTTP/1.1\r\nHost: x@127.0.0.1\r\n\r\n',
  'a right Host and an X-Forwarded-For': `${DRAIN}X-Forwarded-For: 127.0.0.1\r\n\r\n`,
  'the Origin of another site': `${SCRAPE}Origin: http://evil.example\r\n\r\n`,
  'the Origin null': `${DRAIN}Origin: null\r\n\r\n`,
  'no token': `${DRAIN}\r\n`,
  'an empty token': `${DRAIN}Authorization: Bearer \r\n\r\n`,
  'another token': `${DRAIN}Authorization: Bearer ${'x'.repeat(36)}\r\n\r\n`,
  'a token of 4 KiB': `${DRAIN}Authorization: Bearer ${'x'.repeat(4096)}\r\n\r\n`,
  'a token of other bytes': `${DRAIN}Authorization: Bearer \xff\xfe\xfd\r\n\r\n`,
  'a password in place of a token': `${DRAIN}Authorization: Basic YWRtaW46YWRtaW4=\r\n\r\n`,
  'a token in the query': 'POST /drain?token=x HTTP/1.1\r\n$HOST\r\n\r\n',
  'a token and a large body': `${DRAIN}Authorization: Bearer x\r\nContent-Length: 1000000000\r\n\r\nx`,
  'a token and chunks without end': `${DRAIN}Authorization: Bearer x\r\nTransfer-Encoding: chunked\r\n\r\n${'1000\r\n'.padEnd(4102, 'x')}\r\n`,
};

const SMUGGLED: Readonly<Record<string, string>> = {
  'length and chunks': `${DRAIN}Content-Length: ${HIDDEN.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'two lengths': `${SCRAPE}Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  'a signed length': `${SCRAPE}Content-Length: +5\r\n\r\n${HIDDEN}`,
  'an unknown coding': `${SCRAPE}Transfer-Encoding: xchunked\r\n\r\n${HIDDEN}`,
  'a blank before the colon': `${SCRAPE}Content-Length : 5\r\n\r\n${HIDDEN}`,
  'a folded field': `${SCRAPE}X: a\r\n Content-Length: 5\r\n\r\n${HIDDEN}`,
  'a NUL in a value': `${SCRAPE}X: a\0b\r\n\r\n${HIDDEN}`,
  'two hosts': `GET /metrics HTTP/1.1\r\n$HOST\r\nHost: evil.example\r\n\r\n`,
};

export const ADMIN: readonly HostileClient[] = [
  ...Object.entries(REFUSED).map(
    ([what, text], i): HostileClient => ({
      name: `to the admin listener with ${what}`,
      brief: i % 9 === 0,
      act: sends(text),
      gets: FORBIDDEN,
    }),
  ),
  ...Object.entries(SMUGGLED).map(
    ([what, text]): HostileClient => ({
      name: `a drain smuggled to the admin listener by ${what}`,
      act: sends(text),
      // never a second answer; `two hosts` are one field to node:http, and the first counts
      gets: /^(?:400|403|413|200 [^,]*)$/,
    }),
  ),
  {
    name: 'a path that the admin listener does not have',
    act: sends('GET /../metrics HTTP/1.1\r\n$HOST\r\n\r\n'),
    gets: /^404/,
  },
  {
    name: 'a target with a host of its own',
    act: sends('GET http://evil.example/metrics HTTP/1.1\r\n$HOST\r\n\r\n'),
    gets: /^40[04]/,
  },
  {
    name: 'an action that is asked for by GET',
    act: sends('GET /drain HTTP/1.1\r\n$HOST\r\n\r\n'),
    gets: /^405/,
  },
  {
    name: 'a tunnel through the admin listener',
    act: sends('CONNECT 127.0.0.1:22 HTTP/1.1\r\n$HOST\r\n\r\n'),
    gets: NEVER_SERVED,
  },
  {
    name: 'an upgrade of the admin listener',
    act: sends(`${SCRAPE}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`),
    gets: /^(?:200|[45]\d\d|closed)/,
  },
  {
    name: 'HTTP/2 to the admin listener',
    act: sends('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    gets: NEVER_SERVED,
  },
  {
    waits: true,
    name: 'a head of one byte in a tenth of a second, to the admin listener',
    brief: true,
    act: drips(SCRAPE, 'a', 100),
    gets: /^(?:408|closed)/,
  },
  {
    name: 'a head of 8 KiB to the admin listener',
    brief: true,
    act: sends(() => `${SCRAPE}X: ${'x'.repeat(8192)}\r\n\r\n`),
    gets: /^431/,
  },
  {
    name: 'a thousand fields before the Host of the admin listener',
    act: sends(() => `GET /metrics HTTP/1.1\r\n${'a: b\r\n'.repeat(1000)}$HOST\r\n\r\n`),
    gets: /^40[03]/,
  },
  {
    name: 'a body of one byte in a tenth of a second, to the admin listener',
    act: drips(`${DRAIN}Content-Length: 1000\r\n\r\n`, 'x', 100),
    gets: FORBIDDEN,
  },
  {
    name: 'ten thousand scrapes on one connection',
    act: sends(() => `${SCRAPE}\r\n`.repeat(10_000)),
    gets: /^200 [^,]*$/,
  },
  {
    name: 'five hundred connections that scrape',
    act: (target) => crowd(target, 500, `${SCRAPE}\r\n`),
    gets: /all closed/,
    fillsAdmin: FILLS,
  },
  {
    name: 'five hundred connections that scrape and do not read',
    act: (target) => crowd(target, 500, `${SCRAPE}\r\n`, false),
    gets: /all closed/,
    fillsAdmin: FILLS,
  },
  {
    name: 'two hundred connections with half a head, to the admin listener',
    brief: true,
    waits: true,
    act: (target) => crowd(target, 200, 'GET /metrics HT'),
    gets: /all closed/,
    fillsAdmin: FILLS,
  },
  {
    name: 'two hundred guesses of the token at once',
    act: (target) => crowd(target, 200, `${DRAIN}Authorization: Bearer ${'y'.repeat(36)}\r\n\r\n`),
    gets: /all closed/,
    fillsAdmin: FILLS,
  },
  {
    name: 'five hundred resets in the middle of scrapes',
    act: async (target) => {
      const bytes = `${SCRAPE}\r\n`.replaceAll('$HOST', `Host: ${target.adminHost}`);
      for (let i = 0; i < 25; i++)
        await Promise.all(
          Array.from({ length: 20 }, async () => {
            const client = await target.admin.plain().catch(() => undefined);
            client?.send(bytes);
            client?.socket.resetAndDestroy();
          }),
        );
      return 'broken off';
    },
    gets: /broken off/,
    fillsAdmin: FILLS,
  },
];

/** The attacks of others, on the admin listener: they have another Host, and are served nothing. */
export function onAdmin(offenders: readonly HostileClient[]): HostileClient[] {
  return offenders.map((offender) => ({
    ...offender,
    name: `${offender.name}, to the admin listener`,
    brief: false,
    // a handshake fails where nobody speaks TLS
    act: (target: Target) => offender.act(target.admin).catch((error: unknown) => `refused ${String(error)}`),
    gets: NEVER_SERVED,
    fillsAdmin: FILLS,
  }));
}
