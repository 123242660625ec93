/** Asserts that a library of handlers/lib refuses options while a script is loaded, and with which message. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness } from './script-harness.ts';

/** A call in Lua, and what its message has to end with or match. */
export type WrongOptions = readonly (readonly [call: string, expected: string | RegExp])[];

/** Has a test that calls everything in `wrong` in one script whose first lines are `head`. */
export function refusesOptions(title: string, head: string, wrong: WrongOptions): void {
  test(title, async () => {
    const harness = await ScriptHarness.load(
      `local httpd = require 'httpd'
      ${head}
      httpd.register_handler('/run', function()
        local _, message = pcall(assert(load('local lib, httpd = ... ' .. httpd.read(nil, 'a'), '=script')), lib, httpd)
        httpd.write(nil, tostring(message))
      end)`,
    );
    try {
      for (const [call, expected] of wrong) {
        const { text } = await harness.request('/run', { body: call });
        if (typeof expected === 'string') assert.equal(text, `script:1: ${expected}`, call);
        else assert.match(text, expected, call);
      }
    } finally {
      await harness.close();
    }
  });
}
