/** What a hostile client knows of the gateway it attacks: ports, ways to connect, and the limits it was started with. */
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { proxyHeadV2 } from '../support/proxy-head-v2.ts';
import { RawClient } from '../support/raw-client.ts';
import type { Carrier } from '../support/raw-websocket.ts';
import { WireClient } from '../support/wire-client.ts';

/** Not the address of the honest clients; as a proxy it is trusted. */
export const HOSTILE_ADDRESS = '127.0.0.9';
export const HONEST_ADDRESS = '127.0.0.2';

/** What actions of the admin listener have to bring; no attack does. */
export const ADMIN_TOKEN = 'a-token-that-nobody-has-told-anybody';
export const ADMIN_WORDS: readonly string[] = [
  '--admin',
  '127.0.0.1:0',
  '--admin-token-file',
  '$FOLDER/admin-token',
];

/** Four listeners, with TLS and without, of which the last two want a PROXY head. */
export const CLIENT_LISTENERS: string = `proxy-trusted = "${HONEST_ADDRESS},${HOSTILE_ADDRESS}"
${['', 'scheme = "http"', 'proxy-protocol = true', 'scheme = "http"\nproxy-protocol = true']
  .map((more) => `[[listen]]\naddress = "127.0.0.1"\nport = 0\n${more}\n`)
  .join('')}`;

/**
 * The limits that clients are held to: small, and short enough for a test, but long enough for honest clients of a
 * machine that is busy.
 */
export const CLIENT_LIMITS: Readonly<
  Record<
    | 'headTimeoutMs'
    | 'handshakeTimeoutMs'
    | 'stallTimeoutMs'
    | 'idleTimeoutMs'
    | 'headBytesMax'
    | 'bodyBytesMax'
    | 'streamsMax'
    | 'resetsPerSecond'
    | 'controlFramesPerSecond'
    | 'connectionsPerAddressMax',
    number
  >
> = {
  headTimeoutMs: 2000,
  handshakeTimeoutMs: 3000,
  stallTimeoutMs: 2000,
  idleTimeoutMs: 4000,
  headBytesMax: 8192,
  bodyBytesMax: 1024 * 1024,
  streamsMax: 64,
  resetsPerSecond: 100,
  controlFramesPerSecond: 500,
  connectionsPerAddressMax: 320,
};

export const CLIENT_WORDS: readonly string[] = Object.entries({
  '--head-timeout': CLIENT_LIMITS.headTimeoutMs / 1000,
  '--handshake-timeout': CLIENT_LIMITS.handshakeTimeoutMs / 1000,
  '--stall-timeout': CLIENT_LIMITS.stallTimeoutMs / 1000,
  '--idle-timeout': CLIENT_LIMITS.idleTimeoutMs / 1000,
  '--max-head': CLIENT_LIMITS.headBytesMax,
  '--max-body': CLIENT_LIMITS.bodyBytesMax,
  '--max-streams': CLIENT_LIMITS.streamsMax,
  '--max-resets': CLIENT_LIMITS.resetsPerSecond,
  '--max-control-frames': CLIENT_LIMITS.controlFramesPerSecond,
  '--max-connections-per-address': CLIENT_LIMITS.connectionsPerAddressMax,
}).flatMap(([option, value]) => [option, String(value)]);

/** Handlers that clients are hostile to. */
export const CLIENT_SCRIPT = `
httpd.register_handler('/echo', function()
  local size = 0
  for part in function() return httpd.read(nil, 65536) end do size = size + #part end
  httpd.write(nil, 'read ' .. size)
end)
httpd.register_handler('/whole', function() httpd.write(nil, 'read ' .. #httpd.read(nil, 'a')) end)
httpd.register_handler('/ignore', function() httpd.write(nil, 'ignored') end)
httpd.register_handler('/later', function() httpd.sleep(0.3) httpd.write(nil, 'later') end)
local large = string.rep('8 bytes ', 1024 * 1024)
httpd.register_handler('/large', function() httpd.write(nil, large) end)
httpd.register_handler('/fields', function(env, header)
  local n = 0
  for k, v in pairs(header) do n = n + #k + #v end
  httpd.write(nil, 'fields ' .. n)
end)
httpd.register_handler('/pushes', function()
  for i = 1, 50 do httpd.header{[':path'] = '/hostile/large?' .. i} end
  httpd.write(nil, 'pushed')
end)
local function websocket(path, act)
  httpd.register_handler(path, function()
    local ws <close> = assert(httpd.websocket{deflate = true, ping = 1, max = 65536})
    act(ws)
  end)
end
websocket('/websocket', function(ws)
  for message, kind in ws:messages() do ws:send(message, kind == 'binary' and 'binary' or nil) end
end)
websocket('/websocket-closes', function(ws) ws:close(4000, 'enough') end)
websocket('/websocket-floods', function(ws)
  repeat local sent = ws:send(('x'):rep(65536)) until not sent
end)
httpd.register_handler('/form', function()
  local form, message, code = httpd.form()
  httpd.write(nil, form and 'form' or code .. ' ' .. message)
end)
httpd.register_handler('/parts', function()
  local count, size = 0, 0
  for part in httpd.multipart() do
    count = count + 1
    for piece in function() return httpd.read(part, 65536) end do size = size + #piece end
  end
  httpd.write(nil, count .. ' parts ' .. size)
end)
local function routes() httpd.write(nil, 'routes') end
httpd.register_handler('/routes/{x}', routes)
-- patterns that overlap as much as they may
for bits = 0, 4095 do
  local name = '/routes'
  for i = 0, 11 do name = name .. (bits >> i & 1 == 0 and '/a' or '/{p' .. i .. '}') end
  if select('#', httpd.register_handler(name, routes)) > 0 then break end
end
`;

/** Ports of one gateway. */
export interface TargetPorts {
  readonly secure: number;
  readonly cleartext: number;
  /** Of listeners whose connections begin with a PROXY head. */
  readonly proxiedSecure: number;
  readonly proxiedCleartext: number;
  readonly admin: number;
}

export interface Target {
  /** A TLS connection of HTTP/1.1, or of another protocol. */
  secure(options?: ConnectionOptions): Promise<RawClient>;
  /** A TCP connection to the TLS port: no byte of the client's sent. */
  tcp(localAddress?: string): Promise<RawClient>;
  /** A TCP connection to the cleartext port. */
  plain(): Promise<RawClient>;
  /** An HTTP/2 connection; its settings are sent. */
  wire(settings?: Readonly<Record<number, number>>): Promise<WireClient>;
  /** How a WebSocket comes to the cleartext port. */
  readonly carrier: Carrier;
  /** A TCP connection of any address to a listener that wants a PROXY head: no byte sent. */
  bare(over?: 'secure' | 'plain', localAddress?: string): Promise<RawClient>;
  /** The same gateway behind a proxy: what each connection sends first is a PROXY head, of both versions in turn. */
  readonly proxied: Target;
  /** The admin listener in the place of all others, without TLS unless options for that are given. */
  readonly admin: Target;
  /** What the field Host has to be there. */
  readonly adminHost: string;
}

export class GatewayTarget implements Target {
  readonly carrier: Carrier;
  readonly adminHost: string;
  readonly #ports: TargetPorts;
  readonly #kind: 'direct' | 'proxied' | 'admin';
  readonly #sockets: Set<Socket>;
  #heads = 0;
  #proxied: GatewayTarget | undefined;
  #admin: GatewayTarget | undefined;

  constructor(
    ports: TargetPorts,
    kind: 'direct' | 'proxied' | 'admin' = 'direct',
    sockets: Set<Socket> = new Set(),
  ) {
    this.#ports = ports;
    this.#kind = kind;
    this.#sockets = sockets;
    this.adminHost = `127.0.0.1:${ports.admin}`;
    this.carrier = {
      kind: 'h1',
      port: this.#portOf('plain'),
      secure: false,
      localAddress: HOSTILE_ADDRESS,
      ...(kind === 'proxied' ? { preface: proxyHead(HOSTILE_ADDRESS, 1) } : {}),
    };
  }

  get proxied(): Target {
    this.#proxied ??= new GatewayTarget(this.#ports, 'proxied', this.#sockets);
    return this.#proxied;
  }

  get admin(): Target {
    this.#admin ??= new GatewayTarget(this.#ports, 'admin', this.#sockets);
    return this.#admin;
  }

  async secure(options?: ConnectionOptions): Promise<RawClient> {
    if (this.#kind === 'admin' && options === undefined) return await this.plain();
    return new RawClient(await this.#handshake({ ALPNProtocols: ['http/1.1'], ...options }));
  }

  async wire(settings: Readonly<Record<number, number>> = {}): Promise<WireClient> {
    return new WireClient((await this.#handshake({ ALPNProtocols: ['h2'] })) as never, settings);
  }

  async tcp(localAddress: string = HOSTILE_ADDRESS): Promise<RawClient> {
    return new RawClient(await this.#whenReady(this.#begin('secure', localAddress), 'connect'));
  }

  async plain(): Promise<RawClient> {
    return new RawClient(await this.#whenReady(this.#begin('plain', HOSTILE_ADDRESS), 'connect'));
  }

  async bare(over: 'secure' | 'plain' = 'plain', localAddress: string = HOSTILE_ADDRESS): Promise<RawClient> {
    const { proxiedSecure, proxiedCleartext } = this.#ports;
    const port = over === 'secure' ? proxiedSecure : proxiedCleartext;
    return new RawClient(await this.#whenReady(connectFrom(port, localAddress), 'connect'));
  }

  /** Closes what an attack has left open. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  #portOf(over: 'secure' | 'plain'): number {
    const { secure, cleartext, proxiedSecure, proxiedCleartext, admin } = this.#ports;
    if (this.#kind === 'admin') return admin;
    if (this.#kind === 'proxied') return over === 'secure' ? proxiedSecure : proxiedCleartext;
    return over === 'secure' ? secure : cleartext;
  }

  /** `address`: of the client, which a proxy names where there is one. */
  #begin(over: 'secure' | 'plain', address: string): Socket {
    if (this.#kind !== 'proxied') return connectFrom(this.#portOf(over), address);
    const socket = connectFrom(this.#portOf(over), HOSTILE_ADDRESS);
    socket.write(proxyHead(address, this.#heads++));
    return socket;
  }

  #handshake(options: ConnectionOptions): Promise<Socket> {
    const below = this.#begin('secure', HOSTILE_ADDRESS);
    this.#sockets.add(below);
    below.on('error', () => undefined);
    const socket = connectTls({
      socket: below,
      servername: 'localhost',
      rejectUnauthorized: false,
      ...options,
    } as ConnectionOptions);
    return this.#whenReady(socket, 'secureConnect');
  }

  #whenReady(socket: Socket, event: string): Promise<Socket> {
    this.#sockets.add(socket);
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once(event, () => {
        socket.off('error', reject);
        socket.on('error', () => undefined);
        resolve(socket);
      });
    });
  }
}

function connectFrom(port: number, localAddress: string): Socket {
  return connectTcp({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true });
}

/** The head of a proxy that has a client of this address; `n`: odd ones are of version 2. */
export function proxyHead(address: string, n: number): Buffer {
  const [port, localPort] = [50_000, 443];
  if (n % 2 === 0) return Buffer.from(`PROXY TCP4 ${address} 127.0.0.1 ${port} ${localPort}\r\n`);
  const ends = Buffer.alloc(12);
  for (const [i, part] of [...address.split('.'), ...'127.0.0.1'.split('.')].entries())
    ends[i] = Number(part);
  ends.writeUInt16BE(port, 8);
  ends.writeUInt16BE(localPort, 10);
  return proxyHeadV2(0x21, 0x11, ends);
}
