/** What a hostile client knows of the gateway it attacks: ports, ways to connect, and the limits it was started with. */
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { RawClient } from '../support/raw-client.ts';
import { WireClient } from '../support/wire-client.ts';

/** Not the address of the honest clients. */
export const HOSTILE_ADDRESS = '127.0.0.9';

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

export interface Target {
  readonly port: number;
  readonly cleartextPort: number;
  /** A TLS connection of HTTP/1.1, or of another protocol. */
  secure(options?: ConnectionOptions): Promise<RawClient>;
  /** A TCP connection to the TLS port: no byte sent. */
  tcp(localAddress?: string): Promise<RawClient>;
  /** A TCP connection to the cleartext port. */
  plain(): Promise<RawClient>;
  /** An HTTP/2 connection; its settings are sent. */
  wire(settings?: Readonly<Record<number, number>>): Promise<WireClient>;
}

export class GatewayTarget implements Target {
  readonly port: number;
  readonly cleartextPort: number;
  readonly #sockets = new Set<Socket>();

  constructor(port: number, cleartextPort: number) {
    this.port = port;
    this.cleartextPort = cleartextPort;
  }

  async secure(options: ConnectionOptions = {}): Promise<RawClient> {
    return new RawClient(await this.#handshake({ ALPNProtocols: ['http/1.1'], ...options }));
  }

  async wire(settings: Readonly<Record<number, number>> = {}): Promise<WireClient> {
    return new WireClient((await this.#handshake({ ALPNProtocols: ['h2'] })) as never, settings);
  }

  async tcp(localAddress: string = HOSTILE_ADDRESS): Promise<RawClient> {
    return new RawClient(await this.#connect(this.port, localAddress));
  }

  async plain(): Promise<RawClient> {
    return new RawClient(await this.#connect(this.cleartextPort));
  }

  /** Closes what an attack has left open. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  #connect(port: number, localAddress: string = HOSTILE_ADDRESS): Promise<Socket> {
    return this.#whenReady(
      connectTcp({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true }),
      'connect',
    );
  }

  #handshake(options: ConnectionOptions): Promise<Socket> {
    const address = { host: '127.0.0.1', port: this.port, localAddress: HOSTILE_ADDRESS };
    const socket = connectTls({
      ...address,
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
