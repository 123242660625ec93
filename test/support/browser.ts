/** Drives a headless Chromium over its debugging pipe, with only what the tests of the pages need. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  // a process less
  '--in-process-gpu',
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // the certificate of the pages is made for the test and signed by no authority
  '--ignore-certificate-errors',
  '--hide-scrollbars',
  '--window-size=1180,1080',
  '--remote-debugging-pipe',
];
/** Longest wait for an answer of the browser; far more than a busy machine needs. */
const WAIT_MAX_MS = 60_000;
const POLL_MS = 25;
/** Attempts to remove the profile folder; the last helper process of the browser ends well before the last attempt. */
const RETRIES_MAX = 100;
const RETRY_MS = 50;

type Json = Record<string, unknown>;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Json;
  readonly result?: Json;
  readonly error?: { readonly message: string };
}

export class Browser {
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'lgateway-browser-'));
  readonly #child: ChildProcess;
  readonly #commands: Writable;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #ended: Promise<void>;
  /** Errors and refused resources that the page has reported. */
  readonly complaints: string[] = [];
  #lastId = 0;
  #session = '';

  /** `flags`: further options of the browser's command line. */
  constructor(flags: readonly string[] = []) {
    this.#child = spawn('chromium', [...FLAGS, ...flags, `--user-data-dir=${this.#folder}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    this.#commands = this.#child.stdio[3] as Writable;
    const answers = this.#child.stdio[4] as Readable;
    // the pipes break when the browser ends
    this.#commands.on('error', () => undefined);
    answers.on('error', () => undefined);
    this.#ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
    let rest = '';
    answers.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\0');
      rest = parts.pop() as string;
      for (const part of parts) this.#receive(JSON.parse(part) as Message);
    });
  }

  /** Starts the browser and attaches to its first page. */
  async start(): Promise<this> {
    const { targetInfos } = await this.#send('Target.getTargets', {});
    const page = (targetInfos as { type: string; targetId: string }[]).find(({ type }) => type === 'page');
    const targetId =
      page?.targetId ?? (await this.#send('Target.createTarget', { url: 'about:blank' }))['targetId'];
    const attached = await this.#send('Target.attachToTarget', { targetId, flatten: true });
    this.#session = attached['sessionId'] as string;
    for (const domain of ['Page', 'Runtime', 'Log', 'DOM']) await this.#send(`${domain}.enable`, {});
    return this;
  }

  async open(url: string): Promise<void> {
    const { errorText } = await this.#send('Page.navigate', { url });
    if (errorText !== undefined) throw new Error(`${url}: ${String(errorText)}`);
    await this.waitFor(`document.readyState === 'complete' && location.href === ${JSON.stringify(url)}`);
  }

  /** Resolves with the value of an expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.#send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (answer['exceptionDetails'] !== undefined) throw new Error(JSON.stringify(answer['exceptionDetails']));
    return (answer['result'] as Json)['value'];
  }

  /** Resolves with the value of an expression as soon as the value is true. */
  async waitFor(expression: string): Promise<unknown> {
    const limit = performance.now() + WAIT_MAX_MS;
    for (;;) {
      // the execution context of a page ends when the page loads anew
      const value = await this.evaluate(expression).catch(() => undefined);
      if (value) return value;
      if (performance.now() > limit) {
        const page = await this.evaluate('document.body.innerText').catch(String);
        throw new Error(`Not in time: ${expression}\n${this.complaints.join('\n')}\n${String(page)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Chooses files in the file input that `selector` finds, as a user would. */
  async chooseFiles(selector: string, files: readonly string[]): Promise<void> {
    const { root } = await this.#send('DOM.getDocument', {});
    const { nodeId } = await this.#send('DOM.querySelector', { nodeId: (root as Json)['nodeId'], selector });
    await this.#send('DOM.setFileInputFiles', { files, nodeId });
  }

  /** Drags files from outside and drops them on the element that `selector` finds. */
  async dropFiles(selector: string, files: readonly string[]): Promise<void> {
    const place = (await this.evaluate(
      `(({ x, y, width, height }) => ({ x: x + width / 2, y: y + height / 2 }))(document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect())`,
    )) as Json;
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop']) {
      await this.#send('Input.dispatchDragEvent', { type, ...place, data });
    }
  }

  /** Lays the page out in a colour scheme and in a window of this width. */
  async show(scheme: 'light' | 'dark', width: number): Promise<void> {
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await this.#send('Emulation.setEmulatedMedia', { features });
    const size = { width, height: 1080, deviceScaleFactor: 1, mobile: width < 600 };
    await this.#send('Emulation.setDeviceMetricsOverride', size);
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    for (let tries = 1; ; tries++) {
      try {
        rmSync(this.#folder, { recursive: true, force: true });
        return;
      } catch (error) {
        // helper processes may still write files, which the retries of Node's `rmSync` do not find
        if (tries === RETRIES_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  #send(method: string, params: Json): Promise<Json> {
    this.#lastId += 1;
    const id = this.#lastId;
    const session = this.#session === '' ? {} : { sessionId: this.#session };
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`The browser did not answer ${method}`)), WAIT_MAX_MS);
      this.#waiting.set(id, ({ result, error }) => {
        clearTimeout(limit);
        this.#waiting.delete(id);
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      this.#commands.write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    });
  }

  #receive(message: Message): void {
    if (message.id !== undefined) this.#waiting.get(message.id)?.(message);
    else if (message.method === 'Log.entryAdded' || message.method === 'Runtime.exceptionThrown') {
      this.complaints.push(JSON.stringify(message.params));
    }
  }
}
