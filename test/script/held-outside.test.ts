/**
 * What scripts make the gateway hold outside their states: each kind has a limit, and the script is told when it reaches it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';

async function using(
  body: string,
  check: (output: string, harness: ScriptHarness) => void | Promise<void>,
): Promise<void> {
  const harness = await ScriptHarness.run(body);
  try {
    await check(await harness.output(), harness);
  } finally {
    await harness.close();
  }
}

test('register_handler() takes 10,000 names, and names of 1,024 bytes', async () => {
  await using(
    `local f, last = function() end
    for i = 2, 10000 do assert(select('#', httpd.register_handler('/h' .. i, f)) == 0) end
    say(httpd.register_handler('/one-more', f))
    say(httpd.register_handler('/h5', f))
    say(httpd.register_handler('/' .. ('x'):rep(1024), f))`,
    (output) => {
      const [count, again, length] = output.trim().split('\n');
      assert.equal(
        count,
        'nil Cannot register the handler: 10000 are registered and the limit is 10000 limit',
      );
      assert.equal(again, '');
      assert.equal(
        length,
        'nil Cannot register the handler: its name has 1025 bytes and the limit is 1024 limit',
      );
    },
  );
});

test('a name of 1,024 bytes is registered', async () => {
  const name = `/${'x'.repeat(1023)}`;
  await using(
    `say(select('#', httpd.register_handler('${name}', function() httpd.write(nil, 'found') end)))`,
    async (output, harness) => {
      assert.equal(output, '0\n');
      assert.equal((await harness.request(name)).text, 'found');
    },
  );
});

test('strings that fetches send wait outside up to 128 MiB in all', async () => {
  // accepts connections and never answers
  const silent = createServer((socket) => socket.pause().on('error', () => undefined)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  await using(
    `local s = ('x'):rep(15 * 1024 * 1024)
    local tasks = {}
    for i = 1, 9 do tasks[i] = httpd.spawn(function()
        local r, message, code = httpd.fetch('http://127.0.0.1:${port}/', { body = s })
        return message, code
    end) end
    local task, ok, message, code = httpd.wait(table.unpack(tasks))
    say(task == tasks[9], message, code)
    httpd.exit()`,
    (output) =>
      assert.match(
        output,
        /^true Cannot fetch: .* would have 141557760 bytes and the limit is 134217728: give a file or a stream limit\n$/,
      ),
  );
  silent.close();
});
