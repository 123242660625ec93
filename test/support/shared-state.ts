/**
 * Runs handler bodies that need no state of their own one after another in the same state, because a state costs more than most
 * of them.
 */
import assert from 'node:assert/strict';
import type { FakeExchange, FakeRequest } from './fake-exchange.ts';
import { atEndOfFile } from './leftovers.ts';
import { ScriptHarness } from './script-harness.ts';

/** The line on which bodies of `ScriptHarness.run` begin; messages name this line. */
const BODY_LINE = 7;

const SCRIPT = `httpd = require 'httpd'
function say(...)
  local t = table.pack(...)
  for i = 1, t.n do t[i] = tostring(t[i]) end
  httpd.write(nil, table.concat(t, ' ') .. '\\n')
end
local body
httpd.register_handler('/set', function()
  body = nil
  collectgarbage()
  body = assert(load('local env, header = ...' .. ('\\n'):rep(${BODY_LINE - 1}) .. httpd.read(nil, 'a'), '@script.lua'))
  httpd.write(nil, 'set')
end)
httpd.register_handler('/run', function(env, header) return body(env, header) end)`;

let harness: Promise<ScriptHarness> | undefined;
atEndOfFile(async () => {
  const ended = harness;
  harness = undefined;
  await (await ended)?.close();
});

/** Resolves with the answer of a handler `/run` of `body` and with its log; fails when anything of it is still open. */
export async function runBody(
  body: string,
  request: FakeRequest = {},
): Promise<FakeExchange & { readonly log: readonly string[] }> {
  harness ??= ScriptHarness.load(SCRIPT);
  const shared = await harness;
  const set = await shared.request('/set', { body: Buffer.from(body, 'latin1') });
  assert.equal(set.status, 200, shared.log.join('\n'));
  shared.log.length = 0;
  const exchange = await shared.request('/run', request);
  await shared.expectNothingOpen();
  assert.ok(!shared.script.state.abandoned, `the state is lost: ${body}`);
  return Object.assign(exchange, { log: [...shared.log] });
}

/** Resolves with the text of the answer; fails unless the request succeeds. */
export async function outputOfBody(body: string, request: FakeRequest = {}): Promise<string> {
  const exchange = await runBody(body, request);
  assert.ok(
    !exchange.broken && exchange.status === 200,
    `status ${exchange.status}: ${exchange.log.join('\n')}`,
  );
  return exchange.text;
}
