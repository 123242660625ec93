/** A gateway with one worker, the honest clients beside it, and what an offender does to all of them. */
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GatewayFolder } from '../support/run-gateway.ts';
import { askSession, TestGateway } from '../support/test-gateway.ts';
import { FILES_WORDS, makeFiles } from './clients/files.ts';
import { type Experiences, HonestClients } from './honest-clients.ts';
import type { Entry, HostileScript, Program } from './offender.ts';
import { FUNCTIONS_HEAD, LUARS_SCRIPT, LUVIT_SCRIPT } from './scripts/functions.ts';
import { makeRoot, ROOT_HEAD } from './scripts/root.ts';
import {
  ADMIN_TOKEN,
  ADMIN_WORDS,
  CLIENT_LISTENERS,
  CLIENT_SCRIPT,
  CLIENT_WORDS,
  GatewayTarget,
} from './target.ts';
import { WorkerClock } from './worker-clock.ts';

/** What a script may use before it is ended. */
export const CPU_LIMIT_MS = 300;
const TIME_LIMIT_MS = 60_000;
export const STATE_BYTES_MAX: number = 64 * 1024 * 1024;
/** No offender acts longer; a program that stands still is ended then. */
const ACT_MS_MAX = 80_000;
const SAMPLE_MS = 20;
/** A client that takes whatever comes: any number of fields, and an answer while it has a large body to send (in megabytes). */
const UNLIMITED = { maxHeaderListPairs: 4000, maxSessionMemory: 1000 } as const;
const SAID_LINES_MAX = 4;
const TEXT_CHARS_MAX = 160;
const GOT_CHARS_MAX = 240;
/** Begins what is said of an offender that got no answer and no end. */
const NOTHING = 'nothing';

const HEAD = `local httpd = require 'httpd'
httpd.register_handler('/hello', function(env)
  httpd.write(nil, 'hello ' .. env.QUERY_INFO)
end)
httpd.register_handler('/hold', function() httpd.sleep(60) end)
`;
/** Its work shows which thread is the worker. */
const CALIBRATION = `httpd.register_handler('/calibrate', function()
  local till = os.clock() + 0.2
  while os.clock() < till do end
end)
`;

const HONEST = `${HEAD}${CALIBRATION}`;
/** What scripts of a program find beside the usual. */
const HEADS: Readonly<Partial<Record<Program, string>>> = { functions: FUNCTIONS_HEAD, root: ROOT_HEAD };

export interface Observation {
  /** What the offender got, as one line. */
  readonly got: string;
  readonly afterMs: number;
  readonly experiences: Experiences;
  /** Resident bytes of the process before, at most meanwhile, and when all is idle again. */
  readonly resident: { readonly before: number; readonly peak: number; readonly after: number };
  readonly statesLost: number;
  /** A state was built anew meanwhile, lost or grown. */
  readonly rebuilt: boolean;
  /** The worker is the one it was. */
  readonly workerLives: boolean;
  /** What the log says of defects. */
  readonly defects: readonly string[];
  /** The first lines of the log that are no counters. */
  readonly said: readonly string[];
  /** Gauges did not return to where they were: what they are. */
  readonly left: string | undefined;
}

/** What the log must never say, whoever does what. */
const DEFECT =
  /Uncaught|TypeError|ReferenceError|RangeError|AssertionError|is not a function|Cannot read prop|Maximum call stack|memory access out of bounds|unreachable/;

export class Stage {
  readonly #gateway: TestGateway;
  readonly #honest: HonestClients;
  readonly #target: GatewayTarget;
  #usable = true;
  readonly #scripts: readonly HostileScript[];

  /** For the scripts of one program. `isBrief`: honest clients ask less often. */
  static forScripts(scripts: readonly HostileScript[], program: Program, isBrief: boolean): Promise<Stage> {
    const words = [
      '--cpu-limit',
      CPU_LIMIT_MS / 1000,
      '--time-limit',
      TIME_LIMIT_MS / 1000,
      '--memory',
      STATE_BYTES_MAX,
    ].map(String);
    if (program === 'sandbox') words.push('--sandbox');
    const handlers = scripts.map(handlerOf).join('\n');
    const hostile = `${HEAD}${HEADS[program] ?? ''}${handlers}`;
    if (program === 'root') return Stage.#startBelowRoot(hostile, words, scripts, isBrief);
    const shapes = program === 'functions' ? { '/luars': LUARS_SCRIPT, '/luvit': LUVIT_SCRIPT } : {};
    return Stage.#start({ '/hostile': hostile, '/honest': HONEST, ...shapes }, words, scripts, isBrief);
  }

  static forClients(isBrief: boolean): Promise<Stage> {
    const scripts = { '/hostile': `${HEAD}${CLIENT_SCRIPT}`, '/honest': HONEST };
    return Stage.#start(scripts, [...CLIENT_WORDS, ...FILES_WORDS], [], isBrief, makeFiles, {
      config: CLIENT_LISTENERS,
      admin: ADMIN_WORDS,
    });
  }

  /** Scripts that lie inside of a root. */
  static #startBelowRoot(
    hostile: string,
    words: readonly string[],
    scripts: readonly HostileScript[],
    isBrief: boolean,
  ): Promise<Stage> {
    const mappings = ['-l', '/hostile', '/hostile.lua', '-l', '/honest', '/honest.lua'];
    const confined = ['--root', '$FOLDER/root', '--allow-run', 'cat,true,sleep', ...mappings];
    return Stage.#start({}, [...words, ...confined], scripts, isBrief, ({ path }) => {
      const root = makeRoot(path);
      writeFileSync(join(root, 'hostile.lua'), hostile.replaceAll('$FOLDER', path));
      writeFileSync(join(root, 'honest.lua'), HONEST);
    });
  }

  static async #start(
    mappings: Readonly<Record<string, string>>,
    words: readonly string[],
    scripts: readonly HostileScript[],
    isBrief: boolean,
    prepare: (folder: GatewayFolder) => void = () => undefined,
    listeners: { readonly config?: string; readonly admin?: readonly string[] } = {},
  ): Promise<Stage> {
    // names that scripts make up name files in its folder
    const gateway = await TestGateway.start(mappings, {
      words,
      cwd: '$FOLDER',
      prepare: (folder) => {
        writeFileSync(folder.file('admin-token'), `${ADMIN_TOKEN}\n`, { mode: 0o600 });
        prepare(folder);
      },
      ...listeners,
    });
    const clock = await WorkerClock.find(gateway.process.pid, () => gateway.ask('h2', '/honest/calibrate'));
    const ports = [...gateway.running.stdout.matchAll(/https?:\/\/127\.0\.0\.1:(\d+)\//g)].map(([, port]) =>
      Number(port),
    );
    const [secure = 0, cleartext = 0, proxiedSecure = 0, proxiedCleartext = 0] = ports;
    const admin = Number(gateway.process.admin) || 0;
    const target = new GatewayTarget({ secure, cleartext, proxiedSecure, proxiedCleartext, admin });
    const proxiedPort = listeners.config === undefined ? undefined : proxiedSecure;
    const honest = new HonestClients(gateway, clock, isBrief, proxiedPort);
    return new Stage(gateway, honest, target, scripts);
  }

  private constructor(
    gateway: TestGateway,
    honest: HonestClients,
    target: GatewayTarget,
    scripts: readonly HostileScript[],
  ) {
    this.#scripts = scripts;
    this.#gateway = gateway;
    this.#honest = honest;
    this.#target = target;
  }

  /** False: the program has ended or stands still, and nothing can be seen here any more. */
  get usable(): boolean {
    return this.#usable && this.#lives;
  }

  get #lives(): boolean {
    const { child } = this.#gateway.process;
    return child.exitCode === null && child.signalCode === null;
  }

  /** What the honest clients experience when nobody misbehaves. */
  async calm(ms: number): Promise<Experiences> {
    const pause = new Promise((resolve) => setTimeout(resolve, ms));
    return (await this.#honest.beside(pause)).experiences;
  }

  /** Lets the offenders act, all at the same time; each gets an observation, of which only the answer is its own. */
  async observe(entries: readonly Entry[]): Promise<Observation[]> {
    const gateway = this.#gateway;
    const folder = gateway.folder.path;
    const isConfined = existsSync(join(folder, 'root'));
    // each finds the links that others have moved
    if (isConfined) makeRoot(folder);
    const outside = isConfined ? besideRoot(folder) : '';
    const logged = gateway.log.length;
    const before = gateway.residentBytes;
    let peak = before;
    const sampling = setInterval(() => {
      if (this.#lives) peak = Math.max(peak, gateway.residentBytes);
    }, SAMPLE_MS);
    try {
      const deeds = Promise.all(entries.map((entry) => this.#actAndTell(entry)));
      const { result, experiences } = await this.#honest.beside(deeds);
      this.#target.close();
      const isStuck = result.some(({ got }) => got.startsWith(NOTHING));
      const left = isStuck ? undefined : await this.#whatIsLeft();
      if (isStuck || left !== undefined) this.#usable = false;
      const log = gateway.log.slice(logged);
      const lines = log.split('\n');
      const shared = {
        experiences,
        resident: { before, peak, after: this.#lives ? gateway.residentBytes : 0 },
        statesLost: log.match(/State given up/g)?.length ?? 0,
        rebuilt: /State given up|it is replaced/.test(log),
        workerLives: this.#lives && !/Worker \d+ ended/.test(log),
        defects: [
          ...lines.filter((line) => DEFECT.test(line)),
          ...(isConfined && besideRoot(folder) !== outside
            ? ['(beside the root something has changed)']
            : []),
        ],
        said: lines.filter((line) => line !== '' && !/counters \{/.test(line)).slice(0, SAID_LINES_MAX),
        left,
      };
      return result.map((own) => ({ ...own, ...shared }));
    } finally {
      clearInterval(sampling);
    }
  }

  async stop(): Promise<void> {
    this.#target.close();
    await this.#gateway.stop();
  }

  async #actAndTell(entry: Entry): Promise<{ readonly got: string; readonly afterMs: number }> {
    const start = performance.now();
    const got = await withLimit(this.#act(entry)).catch(
      (error: unknown) => `${NOTHING}: ${error instanceof Error ? error.message : String(error)}`,
    );
    const named = got.replaceAll(this.#gateway.folder.path, '$FOLDER');
    const line = named.replaceAll(/\s+/g, ' ').slice(0, GOT_CHARS_MAX);
    return { got: line, afterMs: performance.now() - start };
  }

  async #act({ kind, offender }: Entry): Promise<string> {
    if (kind === 'client') return await offender.act(this.#target);
    // a connection of its own for each: one that has gone wrong must not answer for the next
    const session = await this.#gateway.session(UNLIMITED);
    const { ask = {}, times = 1 } = offender;
    const path = offender.path ?? `/hostile${pathOf(this.#scripts.indexOf(offender))}`;
    const answers = await Promise.all(Array.from({ length: times }, () => askSession(session, path, ask)));
    session.destroy();
    const lines = answers.map(
      ({ status, cut, text }) => `${status}${cut ? ' cut' : ''}${shown(status, text)}`,
    );
    return [...new Set(lines)].join(' | ');
  }

  async #whatIsLeft(): Promise<string | undefined> {
    if (!this.#lives) return 'the program has ended';
    try {
      // it may still be full
      await this.#honest.untilAdminAnswers();
      await this.#gateway.untilIdle();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

/** Of a page of ours the status says all. */
function shown(status: number, text: string): string {
  return status >= 400 && text.startsWith('<!') ? '' : ` ${text.slice(0, TEXT_CHARS_MAX)}`;
}

function pathOf(index: number): string {
  return `/offender-${index}`;
}

function handlerOf(script: HostileScript, index: number): string {
  const { cpu = CPU_LIMIT_MS / 1000, timeout = TIME_LIMIT_MS / 1000 } = script;
  return `httpd.register_handler('${pathOf(index)}', function(env, header)
  local function offend(...) ${script.lua}
  end
  local result = offend()
  httpd.write(nil, 'survived ' .. tostring(result))
end, {cpu = ${cpu}, timeout = ${timeout}})`;
}

/** Names and contents of what lies beside the root. */
function besideRoot(folder: string): string {
  const names = readdirSync(folder).filter(
    (name) => name !== 'root' && !lstatSync(join(folder, name)).isSocket(),
  );
  return JSON.stringify(names.map((name) => [name, readFileSync(join(folder, name), 'latin1')]));
}

async function withLimit<T>(deed: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No end within ${ACT_MS_MAX} ms`)), ACT_MS_MAX);
  });
  try {
    return await Promise.race([deed, late]);
  } finally {
    clearTimeout(timer);
  }
}
