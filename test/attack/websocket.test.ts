/** Clients that abuse WebSockets are refused or held back with bounded memory, and honest ones beside them are served. */
import { ok, strictEqual } from 'node:assert/strict';
import { after, before } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';
import { calmTest as test } from '../support/calm.ts';
import { cleartextPortOf } from '../support/cleartext-port.ts';
import {
  type Carrier,
  openWebSocket,
  type RawWebSocket,
  RefusedHandshake,
} from '../support/raw-websocket.ts';
import { inForm, longTest } from '../support/test-form.ts';
import { TestGateway } from '../support/test-gateway.ts';
import { close, continuation, frame, OPCODE, ping, RSV1, text } from '../support/websocket-frames.ts';

const MEBIBYTE = 1024 * 1024;
const MESSAGE_BYTES_MAX = 65_536;
const PING_SECONDS = 1;
const STALL_SECONDS = 2;
const CONNECTIONS_MAX = inForm(400, 10_500);
const CONNECTIONS_PER_ADDRESS_MAX = inForm(200, 10_000);
/** Not the address of the honest clients. */
const HOSTILE = '127.0.0.9';
/** What one hostile client sends at the most: several times what all buffers on the way hold. */
const SENT_BYTES_MAX = inForm(32, 256) * MEBIBYTE;
/** A client whose bytes are not taken for so long is held back. */
const HELD_BACK_MS = 1000;
const SAMPLE_MS = 50;
/** What garbage and the buffers of some sockets make of resident memory; each attack would take many times as much. */
const GROWTH_BYTES_MAX = 48 * MEBIBYTE;
const TOO_BIG = 1009;
const POLICY = 1008;

const SCRIPT = `local httpd = require 'httpd'
local ends = {}
local function serve(path, options, act)
    httpd.register_handler(path, function(env)
        local ws <close> = assert(httpd.websocket(options))
        act(ws)
        ends[env.QUERY_INFO or ''] = tostring(ws.code)
    end)
end
local function echo(ws)
    for message, kind in ws:messages() do ws:send(message, kind == 'binary' and 'binary' or nil) end
end
serve('/echo', {max = ${MESSAGE_BYTES_MAX}}, echo)
serve('/deflate', {max = ${MESSAGE_BYTES_MAX}, deflate = true}, echo)
serve('/pinged', {ping = ${PING_SECONDS}}, echo)
serve('/unpinged', {ping = 3600}, echo)
serve('/flood', {ping = ${PING_SECONDS}}, function(ws)
    local message = ('x'):rep(65536)
    repeat local sent = ws:send(message) until not sent
end)
httpd.register_handler('/end', function(env) httpd.write(nil, ends[env.QUERY_INFO] or 'open') end)`;

let gateway: TestGateway;
let plain: Carrier;
let hostile: Carrier;
before(async () => {
  const words = `--http 127.0.0.1:0 --stall-timeout ${STALL_SECONDS} --max-connections ${CONNECTIONS_MAX} --max-connections-per-address ${CONNECTIONS_PER_ADDRESS_MAX}`;
  gateway = await TestGateway.start({ '/': SCRIPT }, { words: words.split(' '), apart: true });
  const port = await cleartextPortOf(gateway);
  plain = { kind: 'h1', port, secure: false };
  hostile = { kind: 'h1', port, secure: false, localAddress: HOSTILE };
});
after(() => gateway.stop());

/** An honest client sends and gets an echo; the most processor time is bounded by the waits of the peer. */
async function honestEcho(): Promise<void> {
  const peer = await openWebSocket(plain, '/echo');
  peer.send(Buffer.concat([text('honest'), close(1000)]));
  ok(await peer.until());
  strictEqual(peer.frames[0]?.payload.toString(), 'honest');
  peer.destroy();
}

/** Runs an attack and returns how much the resident memory has grown at the most meanwhile; honest clients are served in between. */
async function growthOf(attack: () => Promise<unknown>): Promise<number> {
  await honestEcho();
  const before = gateway.residentBytes;
  let peak = before;
  let isOver = false;
  const attacked = attack().finally(() => {
    isOver = true;
  });
  attacked.catch(() => undefined);
  do {
    await honestEcho();
    peak = Math.max(peak, gateway.residentBytes);
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  } while (!isOver);
  await attacked;
  return peak - before;
}

async function codeOf(peer: RawWebSocket): Promise<number | undefined> {
  ok(await peer.until(), 'the gateway ends the connection');
  const last = peer.frames.at(-1);
  return last?.opcode === OPCODE.close && last.payload.length > 1 ? last.payload.readUInt16BE() : undefined;
}

/** Waits until the handler of the WebSocket with this query has ended, and returns the code it saw. */
async function endOf(name: string): Promise<string> {
  for (;;) {
    const { text: end } = await gateway.ask('h1', `/end?${name}`);
    if (end !== 'open') return end;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('Deflate bombs are refused with 1009 and never unfold', async () => {
  const bomb = deflateRawSync(Buffer.alloc(16 * MEBIBYTE), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(
    0,
    -4,
  );
  const bytes = frame({ opcode: OPCODE.binary, payload: bomb, rsv: RSV1 });
  const growth = await growthOf(() =>
    Promise.all(
      Array.from({ length: 40 }, async () => {
        const peer = await openWebSocket(hostile, '/deflate', {
          'Sec-WebSocket-Extensions': 'permessage-deflate',
        });
        peer.send(bytes);
        strictEqual(await codeOf(peer), TOO_BIG);
        peer.destroy();
      }),
    ),
  );
  ok(growth < GROWTH_BYTES_MAX, `${growth} bytes for 640 MiB of zeros`);
});

test('Fragments without end are refused, full or empty', async () => {
  for (const [payload, code] of [
    ['', POLICY],
    ['x', POLICY],
    ['x'.repeat(1000), TOO_BIG],
  ] as const) {
    const peer = await openWebSocket(hostile, '/echo');
    const more = continuation(payload, { fin: false });
    const many = Buffer.concat(Array.from({ length: 500 }, () => more));
    peer.send(text(payload, { fin: false }));
    while (!peer.over && !peer.stream.destroyed) await peer.sendPieces([many]);
    strictEqual(await codeOf(peer), code, `${payload.length} bytes in each`);
    peer.destroy();
  }
});

test('Heads that announce much hold nothing before the bytes have come', async () => {
  const peers: RawWebSocket[] = [];
  const growth = await growthOf(async () => {
    for (let i = 0; i < 150; i++) {
      const peer = await openWebSocket(hostile, '/pinged');
      peer.send(text('begins', { announces: BigInt(MEBIBYTE) }));
      peers.push(peer);
    }
  });
  for (const peer of peers) peer.destroy();
  ok(growth < GROWTH_BYTES_MAX, `${growth} bytes for 150 MiB that were announced`);
});

test('Frames that come byte by byte cost their client, and not those beside it', async () => {
  const message = Buffer.concat([text('slowly and surely'), close(1000)]);
  await growthOf(() =>
    Promise.all(
      Array.from({ length: 50 }, async () => {
        const peer = await openWebSocket(hostile, '/echo');
        await peer.sendPieces(Array.from(message, (byte) => Buffer.from([byte])));
        ok(await peer.until());
        strictEqual(peer.frames[0]?.payload.toString(), 'slowly and surely');
        peer.destroy();
      }),
    ),
  );
});

/** Sends so much, or as much as is taken within a while. */
async function sendsMuch(peer: RawWebSocket, bytes: Buffer): Promise<number> {
  const many = Buffer.concat(Array.from({ length: Math.ceil(65_536 / bytes.length) }, () => bytes));
  let sent = 0;
  for (; sent < SENT_BYTES_MAX; sent += many.length) {
    const isTaken = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), HELD_BACK_MS);
      peer.stream.write(many, () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
    if (!isTaken) break;
  }
  return sent;
}

test('Pings without end of a client that does not read hold nothing', async () => {
  const growth = await growthOf(async () => {
    const peer = await openWebSocket(hostile, '/echo');
    peer.stream.pause();
    await sendsMuch(peer, ping('p'.repeat(125)));
    peer.destroy();
  });
  ok(growth < GROWTH_BYTES_MAX, `${growth} bytes`);
});

test('Messages without end of a client that does not read are not read any more', async () => {
  const growth = await growthOf(async () => {
    const peers = await Promise.all(Array.from({ length: 5 }, () => openWebSocket(hostile, '/echo')));
    for (const peer of peers) peer.stream.pause();
    const sent = await Promise.all(peers.map((peer) => sendsMuch(peer, text('m'.repeat(10_000)))));
    for (const peer of peers) peer.destroy();
    ok(Math.max(...sent) < SENT_BYTES_MAX, `${sent} bytes were taken`);
  });
  ok(growth < GROWTH_BYTES_MAX, `${growth} bytes`);
});

test('A client that never reads what a handler sends holds little, and ends as one that stalls', async () => {
  const session = await gateway.session();
  const carriers = [
    hostile,
    hostile,
    hostile,
    { kind: 'h2', session } as const,
    { kind: 'h2', session } as const,
  ];
  const peers: RawWebSocket[] = [];
  const growth = await growthOf(async () => {
    for (const [i, carrier] of carriers.entries()) {
      const peer = await openWebSocket(carrier, `/flood?flood-${i}`);
      peer.stream.pause();
      peers.push(peer);
    }
    for (const i of carriers.keys()) strictEqual(await endOf(`flood-${i}`), '1006');
  });
  for (const peer of peers) peer.destroy();
  session.destroy();
  ok(growth < GROWTH_BYTES_MAX, `${growth} bytes`);
});

test('A client that answers no ping ends with 1006', async () => {
  const peer = await openWebSocket(hostile, '/pinged?silent');
  strictEqual((await peer.frame(0)).opcode, OPCODE.ping);
  ok(await peer.until());
  strictEqual(await endOf('silent'), '1006');
  peer.destroy();
});

test('A client that ends its side, or goes in the middle of a frame, ends its handler with 1006', async () => {
  const half = await openWebSocket(hostile, '/echo?half');
  half.send(text('whole'));
  await half.frame(0);
  half.end();
  strictEqual(await endOf('half'), '1006');
  ok(await half.until());
  half.destroy();
  const cut = await openWebSocket(hostile, '/echo?cut');
  cut.send(text('never whole', { announces: 1000n }));
  cut.destroy();
  strictEqual(await endOf('cut'), '1006');
  const session = await gateway.session();
  const stream = await openWebSocket({ kind: 'h2', session }, '/echo?reset');
  stream.send(text('never whole', { announces: 1000n }));
  stream.destroy();
  strictEqual(await endOf('reset'), '1006');
  session.destroy();
});

test('As many WebSockets as an address may have connections, and no more, are opened', async () => {
  await manySockets(inForm(CONNECTIONS_PER_ADDRESS_MAX, 300));
});

longTest('Ten thousand WebSockets of one address are opened, and no more', async () => {
  await manySockets(CONNECTIONS_PER_ADDRESS_MAX);
});

/**
 * Opens so many, and where the limit is reached one more, which is refused. None is pinged: these clients answer no ping, and on a slow
 * machine the first ones wait for minutes.
 */
async function manySockets(count: number): Promise<void> {
  await gateway.untilCounters(({ connections }) => connections === 0, 'nobody is connected');
  const peers: RawWebSocket[] = [];
  while (peers.length < count) {
    const next = Math.min(50, count - peers.length);
    peers.push(
      ...(await Promise.all(Array.from({ length: next }, () => openWebSocket(hostile, '/unpinged')))),
    );
  }
  if (count === CONNECTIONS_PER_ADDRESS_MAX) {
    const refused = await openWebSocket(hostile, '/unpinged').then(
      () => 'opened',
      (error: unknown) => (error instanceof RefusedHandshake ? String(error.status) : 'closed'),
    );
    ok(refused === '503' || refused === 'closed', refused);
  }
  await honestEcho();
  const last = peers.at(-1) as RawWebSocket;
  last.send(text('the last'));
  strictEqual((await last.frame(0)).payload.toString(), 'the last');
  for (const peer of peers) peer.destroy();
  await gateway.untilIdle();
}

test('A connection of HTTP/2 has as many WebSockets as it may have streams', async () => {
  const session = await gateway.session();
  const max = session.remoteSettings.maxConcurrentStreams ?? 0;
  const carrier = { kind: 'h2', session } as const;
  const peers = await Promise.all(Array.from({ length: max }, () => openWebSocket(carrier, '/echo')));
  await honestEcho();
  for (const peer of peers) peer.send(text('all of them'));
  for (const peer of peers) strictEqual((await peer.frame(0)).payload.toString(), 'all of them');
  session.destroy();
  await gateway.untilIdle();
});
