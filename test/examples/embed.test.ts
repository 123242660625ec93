/** The programs of examples/embed: each is run as its README says, and answers what stands there. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { freePorts } from '../support/free-ports.ts';
import { listeningSocket } from '../support/inherited-socket.ts';
import { runShell } from '../support/run-shell.ts';
import { waitFor } from '../support/test-front-end.ts';
import { matchesAnswer } from './example-readme.ts';

const README = readFileSync(join(PACKAGE_ROOT, 'examples', 'embed', 'README.md'), 'utf8');
const IDS: Readonly<Record<string, string>> = {
  hello: 'M3',
  echo: 'M3',
  counter: 'A6',
  routed: 'A5',
  notes: 'TypeScript routes',
  preopened: 'M2',
};
const START_MAX_MS = 150_000;

interface Program {
  readonly words: readonly string[];
  readonly steps: { readonly command: string; readonly answer: string }[];
}

function readPrograms(): Program[] {
  const programs: Program[] = [];
  let command = '';
  for (const [, language = '', text = ''] of README.matchAll(/^```(\w+)\n(.*?)^```$/gms)) {
    if (language === 'text') programs.at(-1)?.steps.push({ command, answer: text });
    else if (text.includes('dist/examples/')) programs.push({ words: text.trim().split(' '), steps: [] });
    else command = text.trim();
  }
  return programs;
}

let child: ChildProcess | undefined;
afterEach(async () => {
  if (child !== undefined && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  child = undefined;
});

/** Starts it on a port of its own; resolves when it serves. */
async function start(words: readonly string[]): Promise<{ port: number; stdout: () => string }> {
  const [program = '', ...rest] = words;
  const activated = program !== 'node';
  const [port = 0] = activated ? await freePorts(1) : [];
  const given = activated
    ? rest.map((word) => word.replace('127.0.0.1:3000', `127.0.0.1:${port}`))
    : [...rest, '127.0.0.1:0'];
  const started = spawn(program, given, { cwd: PACKAGE_ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  child = started;
  let [stdout, stderr] = ['', ''];
  started.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  started.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const pattern = activated
    ? /Listening on 127\.0\.0\.1:(\d+) as 3/
    : /Listening on http:\/\/127\.0\.0\.1:(\d+)/;
  await waitFor(() => pattern.test(stderr), `${words.join(' ')} to listen`, START_MAX_MS);
  return { port: Number(pattern.exec(stderr)?.[1]), stdout: () => stdout };
}

const programs = readPrograms();

for (const { words, steps } of programs) {
  const name = /(\w+)\.js$/.exec(words.join(' '))?.[1] ?? '';
  test(`${IDS[name]}: examples/embed/${name} answers as its README says`, async () => {
    assert.ok(steps.length > 0);
    const { port, stdout } = await start(words);
    for (const { command, answer } of steps) {
      const line = command.replaceAll(/localhost:\d+/g, `127.0.0.1:${port}`);
      const { stdout: got, stderr } = await runShell(line, PACKAGE_ROOT);
      const text = got.toString('utf8').replaceAll('\r', '');
      assert.ok(matchesAnswer(text, answer), `${line}\n${text}\n${stderr}\nexpected: ${answer}`);
    }
    const lines = steps.map(({ answer }) => answer).join('');
    await MORE[name]?.(port, stdout, lines.trim().split('\n').length);
  });
}

/** What is asked of an example beside the lines of its README. */
const MORE: Readonly<Record<string, (port: number, stdout: () => string, lines: number) => Promise<void>>> = {
  counter: countTogether,
};

/** The counter of three threads gives no number twice and leaves none out, from the first that the README has not shown. */
async function countTogether(port: number, stdout: () => string, first: number): Promise<void> {
  const connections = 20;
  const each = 20;
  const numbers: number[] = [];
  const talk = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let last = -1;
    for (let i = 0; i < each; i++) {
      const next = Number(await ask(port, agent));
      assert.ok(next > last, `${next} came after ${last}`);
      last = next;
      numbers.push(next);
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: connections }, talk));
  numbers.sort((a, b) => a - b);
  assert.deepEqual(
    numbers,
    Array.from({ length: connections * each }, (_, i) => first + i),
  );
  child?.kill('SIGTERM');
  assert.deepEqual(await once(child as ChildProcess, 'exit'), [0, null]);
  assert.match(stdout(), /Every request was answered/);
}

test('M2: Server.preopened() refuses a process without sockets, and what does not listen', async () => {
  const { code, stderr } = await runShell('node dist/examples/embed/preopened.js', PACKAGE_ROOT);
  assert.equal(code, 1);
  assert.match(stderr.toString(), /GatewayError: There is no preopened socket: LISTEN_FDS names none/);
  const listening = await listeningSocket();
  const client = connect(listening.port, '127.0.0.1');
  await once(client, 'connect');
  const wrong = await runShell(
    'LISTEN_FDS=1 node dist/examples/embed/preopened.js 3</dev/null',
    PACKAGE_ROOT,
  );
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr.toString(), /GatewayError: Cannot listen on descriptor 3: it is not a socket/);
  client.destroy();
  listening.close();
});

test('Every program of examples/embed is named in its README', () => {
  assert.deepEqual(
    programs.map(({ words }) => /(\w+)\.js$/.exec(words.join(' '))?.[1]),
    ['hello', 'echo', 'counter', 'routed', 'notes', 'preopened'],
  );
});

function ask(port: number, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, agent }, (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve(body));
    }).on('error', reject);
  });
}
