/** The stage: the real program with everything that bystanders ask for, the servers behind it, and a small disk. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../support/free-ports.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';

/** Few enough to be used up. */
const DESCRIPTORS = 600;
const DISK_SIZE = '2m';
/** The longest wait for a line of the log or the like, on a machine that has ten times the work it can do. */
const WAIT_MAX_MS = 90_000;
const UPSTREAM = fileURLToPath(new URL('./upstream-process.js', import.meta.url));
const THREAD_TROUBLE = new URL('./thread-trouble.js', import.meta.url).href;

const SCRIPT = `
local httpd = require 'httpd'
httpd.register_handler('/hello', function(env) httpd.write(nil, 'hello ' .. env.QUERY_INFO) end)
httpd.register_handler('/echo', function()
  local ws <close> = assert(httpd.websocket())
  for message in ws:messages() do ws:send(message) end
end)
httpd.register_handler('/events', function()
  local s <close> = assert(httpd.sse())
  for n = 1, math.huge do
    if not s:send{data = n} then return end
    httpd.sleep(0.05)
  end
end)
httpd.register_handler('/large', function()
  local piece = ('8 bytes '):rep(8192)
  for _ = 1, 1024 do if not httpd.write(nil, piece) then return end end
end)
`;

/** On a mapping of its own: what it suffers costs nobody else. */
const OFFENDER = `
local httpd = require 'httpd'
httpd.register_handler('/loop', function() while true do end end)
httpd.register_handler('/sort', function() table.sort({1, 2, 3, 4, 5, 6, 7, 8}, function() while true do end end) end)
httpd.register_handler('/memory', function() local t = {} while true do t[#t + 1] = ('x'):rep(65536) .. #t end end)
httpd.register_handler('/fill', function()
  local file <close> = assert(io.open(DISK .. '/filler', 'w'))
  repeat local done, message, code = file:write(('x'):rep(65536)) until not done
  local closed, why = file:close()
  httpd.write(nil, 'full')
end)
`;

export class World {
  readonly folder: GatewayFolder = new GatewayFolder();
  readonly #disk: string = this.folder.file('disk');
  readonly #upstreams: (ChildProcess | undefined)[] = [];
  readonly #upstreamPorts: number[] = [];
  #gateway: GatewayProcess | undefined;
  #port = 0;

  async start(): Promise<void> {
    const [port = 0, ...upstreamPorts] = await freePorts(3);
    this.#port = port;
    this.#upstreamPorts.push(...upstreamPorts);
    mkdirSync(this.#disk);
    mountDisk(this.#disk);
    for (const index of upstreamPorts.keys()) await this.startUpstream(index);
    this.writeScript(SCRIPT);
    writeFileSync(
      this.folder.file('offender.lua'),
      `local DISK = ${JSON.stringify(this.#disk)}\n${OFFENDER}`,
    );
    writeFileSync(this.folder.file('lgateway.toml'), this.#configuration(upstreamPorts));
    this.#gateway = new GatewayProcess(this.folder, ['--config', this.folder.file('lgateway.toml')], {
      launcher: ['prlimit', `--nofile=${DESCRIPTORS}`],
      environment: { LGATEWAY_CHAOS: this.folder.path, NODE_OPTIONS: `--import=${THREAD_TROUBLE}` },
    });
    await this.#gateway.ready();
  }

  get port(): number {
    return this.#port;
  }

  get ca(): string {
    return readFileSync(this.folder.certificate, 'latin1');
  }

  /** Of the process that serves, which an upgrade changes. */
  get pid(): number {
    return Number(readFileSync(this.folder.file('lgateway.pid'), 'latin1'));
  }

  /** What the gateway has written to its log. */
  get log(): string {
    return readFileSync(this.folder.file('lgateway.log'), 'utf8');
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** One of the workers does it: `crash`, `hang`. */
  ask(what: string): void {
    writeFileSync(this.folder.file(what), '');
  }

  breakScript(): void {
    this.writeScript('this is no Lua');
  }

  repairScript(): void {
    this.writeScript(SCRIPT);
  }

  writeScript(text: string): void {
    writeFileSync(this.folder.file('app.lua'), text);
  }

  /** Resolves when the log has the pattern behind the first `from` characters. */
  async logged(pattern: RegExp, from: number): Promise<void> {
    await until(() => pattern.test(this.log.slice(from)), `${pattern} in the log`);
  }

  async startUpstream(index: number): Promise<void> {
    const child = fork(UPSTREAM, [String(this.#upstreamPorts[index])], { execArgv: [] });
    this.#upstreams[index] = child;
    await once(child, 'message');
  }

  async killUpstream(index: number): Promise<void> {
    const child = this.#upstreams[index];
    this.#upstreams[index] = undefined;
    if (child !== undefined) await end(child);
  }

  async killUpstreams(): Promise<void> {
    await Promise.all([...this.#upstreams.keys()].map((index) => this.killUpstream(index)));
  }

  signalUpstream(index: number, name: NodeJS.Signals): void {
    this.#upstreams[index]?.kill(name);
  }

  /** What a leak would add to: of the process that serves. */
  holdings(): { descriptors: number; threads: number; megabytes: number; processes: number } {
    const folder = `/proc/${this.pid}`;
    const rss = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`${folder}/status`, 'latin1'))?.[1] ?? '0';
    return {
      descriptors: readdirSync(`${folder}/fd`).length,
      threads: readdirSync(`${folder}/task`).length,
      megabytes: Math.round(Number(rss) / 1024),
      processes: this.#processes().length,
    };
  }

  /** What the descriptors of the gateway are open for, and how many of each. */
  descriptors(): Readonly<Record<string, number>> {
    const folder = `/proc/${this.pid}/fd`;
    const counts: Record<string, number> = {};
    for (const number of readdirSync(folder)) {
      const what = readLinkQuietly(join(folder, number)).replace(/\[\d+\]/, '');
      counts[what] = (counts[what] ?? 0) + 1;
    }
    return counts;
  }

  async stop(): Promise<void> {
    for (const pid of this.#processes()) killQuietly(pid);
    await this.#gateway?.stop();
    await Promise.all(this.#upstreams.map((child) => child && end(child)));
    unmountDisk(this.#disk);
    this.folder.remove();
  }

  /** Ids of all processes of this gateway, before and after upgrades. */
  #processes(): number[] {
    const mark = `LGATEWAY_CHAOS=${this.folder.path}\0`;
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => readEnvironment(pid).includes(mark));
  }

  #configuration(upstreamPorts: readonly number[]): string {
    const targets = upstreamPorts.map((port) => `"http://127.0.0.1:${port}"`).join(', ');
    return `
address = "127.0.0.1"
port = ${this.#port}
workers = 2
pid-file = "lgateway.pid"
log-file = "lgateway.log"
drain-timeout = 5
cpu-limit = 0.5
memory = "32M"
head-timeout = 3
handshake-timeout = 3
stall-timeout = 5
heartbeat-limit = 5
[[certificate]]
cert = "cert.pem"
key = "key.pem"
[[lua]]
prefix = "/app"
script = "app.lua"
[[lua]]
prefix = "/offender"
script = "offender.lua"
[[proxy]]
prefix = "/proxy"
targets = [${targets}]
connect-timeout = 1
timeout = 2
retries = 2
check = "/alive"
check-interval = 1
`;
  }
}

export async function until(holds: () => boolean, what: string): Promise<void> {
  const limit = performance.now() + WAIT_MAX_MS;
  while (!holds()) {
    if (performance.now() > limit) throw new Error(`Not in ${WAIT_MAX_MS / 1000} s: ${what}`);
    await sleep(50);
  }
}

/** A disk that is soon full. Needs the rights of root. */
function mountDisk(path: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_SIZE}`, 'lgateway-chaos', path]);
}

function unmountDisk(path: string): void {
  try {
    execFileSync('umount', ['-l', path], { stdio: 'ignore' });
  } catch {
    // it was never mounted
  }
  rmSync(path, { recursive: true, force: true });
}

function readEnvironment(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}

function readLinkQuietly(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return 'gone';
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended meanwhile
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
