/** PipeFile and ProcessTable: streams of processes, exit status, termination, limits, and what a root refuses. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mock, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { Scope } from '../../src/base/scope.ts';
import type { ProcessExit } from '../../src/file/byte-file.ts';
import type { FileError } from '../../src/file/file-error.ts';
import { untilStill } from '../support/until-still.ts';
import {
  bytes,
  close,
  drained,
  type Fixture,
  flush,
  read,
  request,
  seek,
  taken,
  until,
  withFixture,
} from './fixture.ts';

/** From SIGTERM to SIGKILL (src/file/running-process.ts). */
const KILL_GRACE_MS = 2000;

function execute(
  fixture: Fixture,
  command: string,
): Promise<[FileError | undefined, ProcessExit | undefined]> {
  return new Promise((resolve) =>
    fixture.processes.execute(command, fixture.owner, (error, exit) => resolve([error, exit])),
  );
}

test(
  'PipeFile reads what a command prints and tells its exit status',
  withFixture(async (fixture) => {
    const pipe = await fixture.popen('printf "one\\ntwo"; pwd >&2; exit 3', 'r');
    assert.equal(await read(pipe, 4), 'one\n');
    assert.equal(await read(pipe, 100), 'two');
    assert.equal(await read(pipe, 100), '');
    assert.equal(pipe.write(bytes('x')), true);
    assert.equal(pipe.takeError()?.errno, 9);
    assert.deepEqual(await close(pipe), { error: undefined, exit: { kind: 'exit', code: 3 } });
    assert.deepEqual(await close(pipe), { error: undefined, exit: undefined });
  }),
);

test(
  'PipeFile keeps all bytes of a large output, with a reader that waits in between',
  withFixture(async (fixture) => {
    const pipe = await fixture.popen('head -c 3000000 /dev/zero | tr "\\0" x', 'r');
    await until(() => pipe.queue.length > 0);
    await untilStill(() => pipe.queue.length);
    assert.ok(pipe.queue.length <= 256 * 1024, `${pipe.queue.length} bytes read ahead`);
    let total = 0;
    for (;;) {
      const text = await read(pipe, 100_000);
      if (text === '') break;
      assert.match(text, /^x+$/);
      total += text.length;
    }
    assert.equal(total, 3_000_000);
    assert.deepEqual((await close(pipe)).exit, { kind: 'exit', code: 0 });
  }),
);

test(
  'PipeFile writes any bytes to a command, waits when it is full, and ends its input',
  withFixture(async (fixture) => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const pipe = await fixture.popen('sleep 0.05; cat > out', 'w');
    let waited = 0;
    for (let i = 0; i < 4000; i++) {
      if (pipe.write(all)) continue;
      waited += 1;
      await drained(pipe);
    }
    assert.equal(await flush(pipe), undefined);
    assert.deepEqual(await close(pipe), { error: undefined, exit: { kind: 'exit', code: 0 } });
    assert.ok(waited > 0);
    assert.ok(readFileSync(fixture.path('out')).equals(Buffer.concat(Array(4000).fill(all))));
  }),
);

test(
  'PipeFile reads and writes one process',
  withFixture(async (fixture) => {
    const pipe = await fixture.popen('cat', 'rw');
    pipe.write(bytes('hello'));
    assert.equal(await read(pipe, 5), 'hello');
    const error = await seek(pipe, 'set', 0);
    assert.equal(typeof error === 'number' || error.text, 'Illegal seek');
    assert.deepEqual((await close(pipe)).exit, { kind: 'exit', code: 0 });
  }),
);

test(
  'PipeFile reports a command that does not read: EPIPE',
  withFixture(async (fixture) => {
    const pipe = await fixture.popen('exec 0<&-; exit 0', 'w');
    await until(() => pipe.process?.exit !== undefined);
    pipe.write(bytes('x'));
    const error = await flush(pipe);
    assert.deepEqual([error?.text, error?.errno], ['Broken pipe', 32]);
    assert.deepEqual(await close(pipe), { error: undefined, exit: { kind: 'exit', code: 0 } });
  }),
);

test(
  'PipeFile gives code that cannot wait what is there, and never waits for the other side',
  withFixture(async (fixture) => {
    const pipe = await fixture.popen('printf abc; sleep 100', 'r');
    await request(pipe, 3);
    assert.equal(pipe.fillSync(3), undefined);
    const before = performance.now();
    assert.equal(pipe.fillSync(6)?.errno, 11);
    assert.equal(taken(pipe, 3), 'abc');
    assert.equal(pipe.closeSync().error?.errno, 11);
    assert(performance.now() - before < 20_000);
    pipe.destroy();
    const ended = await fixture.popen('printf abcdef; exit 7', 'r');
    await until(() => ended.process?.look() !== undefined);
    assert.equal(ended.fillSync(100), undefined);
    assert.equal(taken(ended, 100), 'abcdef');
    assert.deepEqual(ended.closeSync(), { error: undefined, exit: { kind: 'exit', code: 7 } });
  }),
);

test(
  'PipeFile.destroy() ends the process and its children, SIGTERM first',
  withFixture(async (fixture) => {
    // the child tells of itself: until it has run `exec`, its copy of the trap would take the signal and forget it
    writeFileSync(fixture.path('child'), 'echo $$\nexec sleep 100\n');
    const pipe = await fixture.popen('trap "echo ended > out; exit" TERM; sh child & wait', 'r');
    let line = '';
    while (!line.endsWith('\n')) line += await read(pipe, 1);
    const child = Number(line);
    pipe.request(1, assert.fail);
    // a shell that gets no processor for two seconds would be killed
    const real = setTimeout;
    const longer = mock.method(globalThis, 'setTimeout', (call: () => void, ms: number) =>
      real(call, ms === KILL_GRACE_MS ? 60 * KILL_GRACE_MS : ms),
    );
    pipe.destroy();
    longer.mock.restore();
    assert.ok(longer.mock.calls.some(({ arguments: [, ms] }) => ms === KILL_GRACE_MS));
    await until(() => fixture.counters.get('pipes') === 0);
    await until(() => existsSync(fixture.path('out')));
    await until(() => {
      try {
        return /^State:\s+Z/m.test(readFileSync(`/proc/${child}/status`, 'latin1'));
      } catch {
        // the process does not exist any more
        return true;
      }
    });
  }),
);

test(
  'PipeFile.destroy() ends a process that ignores SIGTERM',
  withFixture(async (fixture) => {
    const pipe = await fixture.popen('trap "" TERM; echo ready; sleep 100; sleep 100', 'r');
    await read(pipe, 6);
    pipe.close(assert.fail);
    pipe.destroy();
    await until(() => pipe.process?.exit !== undefined);
    assert.deepEqual(pipe.process?.exit, { kind: 'signal', code: 9 });
  }),
);

test(
  'ProcessTable refuses more processes than its limit, and takes one again when one has ended',
  withFixture(
    async (fixture) => {
      const first = await fixture.popen('cat', 'w');
      await fixture.popen('cat', 'w');
      await assert.rejects(fixture.popen('true', 'r'), {
        message: 'Cannot run "true": 2 processes are running and the limit is 2',
        luaCode: 'limit',
      });
      const [error] = await execute(fixture, 'true');
      assert.equal(error?.luaCode, 'limit');
      await close(first);
      assert.deepEqual(await execute(fixture, 'exit 5'), [undefined, { kind: 'exit', code: 5 }]);
      fixture.processes.stop();
    },
    { processesMax: 2 },
  ),
);

test(
  'ProcessTable counts no process that could not be started, whatever the reason',
  withFixture(
    async (fixture) => {
      // longer than one argument may be (MAX_ARG_STRLEN of linux/binfmts.h)
      const long = 'x'.repeat(131_072);
      for (let i = 0; i < 3; i++) {
        await assert.rejects(fixture.popen(long, 'r'), /Argument list too long/);
        assert.match(String((await execute(fixture, long))[0]?.message), /Argument list too long/);
      }
      assert.equal(fixture.share.used('processes'), 0);
      assert.deepEqual(await execute(fixture, 'exit 5'), [undefined, { kind: 'exit', code: 5 }]);
    },
    { processesMax: 2 },
  ),
);

test(
  'ProcessTable starts one process in each round of the event loop',
  withFixture(async (fixture) => {
    let rounds = 0;
    let isOver = false;
    const count = (): void => {
      rounds += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const started: number[] = [];
    const pipes = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const pipe = await fixture.popen('cat', 'w');
        started.push(rounds);
        return pipe;
      }),
    );
    isOver = true;
    assert.equal(new Set(started).size, started.length, started.join(' '));
    for (const pipe of pipes) await close(pipe);
  }),
);

test(
  'ProcessTable counts a process until nothing is left that it has started, and ends that with its owner',
  withFixture(
    async (fixture) => {
      const scope = new Scope();
      const background = 'sleep 777 > /dev/null 2>&1 &';
      const run = (command: string): Promise<[FileError | undefined, ProcessExit | undefined]> =>
        new Promise((resolve) =>
          fixture.processes.execute(command, { ...fixture.owner, scope }, (error, exit) =>
            resolve([error, exit]),
          ),
        );
      for (let i = 0; i < 2; i++)
        assert.deepEqual(await run(background), [undefined, { kind: 'exit', code: 0 }]);
      assert.equal((await run(background))[0]?.luaCode, 'limit');
      scope.close();
      await until(() => fixture.processes.running === 0);
      assert.deepEqual(await execute(fixture, 'exit 5'), [undefined, { kind: 'exit', code: 5 }]);
    },
    { processesMax: 2 },
  ),
);

test(
  'ProcessTable lets a hundred slow processes stand in no file’s way',
  withFixture(
    async (fixture) => {
      writeFileSync(fixture.path('a'), 'x'.repeat(200_000));
      const pipes = await Promise.all(Array.from({ length: 100 }, () => fixture.popen('sleep 300', 'r')));
      for (const pipe of pipes) pipe.request(1, assert.fail);
      for (let i = 0; i < 50; i++) {
        const file = await fixture.open('a', 'r');
        assert.equal((await read(file, 1_000_000)).length, 200_000);
        await close(file);
      }
      // the files were read before any process had ended
      assert.ok(pipes.every((pipe) => pipe.process?.exit === undefined));
      for (const pipe of pipes) pipe.destroy();
    },
    { processesMax: 100 },
  ),
);

test(
  'ProcessTable.execute() is ended when it is called off',
  withFixture(async (fixture) => {
    const running = fixture.processes.execute('sleep 100', fixture.owner, assert.fail);
    await until(() => fixture.processes.running === 1);
    await new Promise((resolve) => setImmediate(resolve));
    running.cancel();
    fixture.processes.execute('sleep 100', fixture.owner, assert.fail).cancel();
    await until(() => fixture.processes.running === 0);
  }),
);

test(
  'ProcessTable gives processes its environment and no other, and any bytes of a command',
  withFixture(async (fixture) => {
    const pipe = await fixture.popen('env', 'r');
    const names = (await read(pipe, 10_000)).split('\n').map((line) => line.split('=')[0] as string);
    // what the shell sets itself, and what Node adds while coverage is measured
    const added = new Set(['', 'PWD', '_', 'SHLVL', 'OLDPWD', 'NODE_V8_COVERAGE']);
    assert.deepEqual(
      names.filter((name) => !added.has(name)),
      ['PATH'],
    );
    for (const text of ['caf\xe9', 'caf\xc3\xa9', "it's 100% $HOME\\n".replace('$HOME', '')]) {
      const echo = await fixture.popen(`printf %s "${text}"`, 'r');
      assert.equal(await read(echo, 1000), text);
    }
  }),
);

test('ProcessTable logs what processes say on stderr', async () => {
  const lines: string[] = [];
  const logger = createLogger('info', 'test', (line) => lines.push(line));
  await withFixture(
    async (fixture) => {
      assert.deepEqual((await execute(fixture, 'echo out; echo err >&2'))[1], { kind: 'exit', code: 0 });
      await until(() => lines.length === 2);
      assert.match(lines.join('\n'), /out/);
      assert.match(lines.join('\n'), /err/);
    },
    { logger },
  )();
});

test(
  'ProcessTable runs only the allowed programs under a root, without a shell',
  withFixture(
    async (fixture) => {
      const pipe = await fixture.popen(`printf '%s|' "a b" 'c"d' e`, 'r');
      assert.equal(await read(pipe, 100), 'a b|c"d|e|');
      for (const command of ['cat /etc/passwd', '/usr/bin/printf x', 'env printf x', 'X=1 printf x']) {
        await assert.rejects(fixture.popen(command, 'r'), { errno: 13, luaCode: 'denied' }, command);
      }
      for (const command of [
        'printf x; id',
        'printf $(id)',
        'printf "`id`"',
        'printf x | id',
        'printf x > y',
        "printf 'x",
      ]) {
        await assert.rejects(fixture.popen(command, 'r'), /without a shell/, command);
      }
      await assert.rejects(fixture.popen('printf a\0b', 'r'), { errno: 22 });
      await assert.rejects(fixture.popen('missing-program', 'r'), {
        errno: 2,
        text: 'No such file or directory',
      });
    },
    { allowedCommands: ['printf', 'missing-program'] },
  ),
);
