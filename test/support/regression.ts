/** Declares one test for each row of the list of known faults of lhttpd; each test has its own Lua handlers. */
import { after, before, test } from 'node:test';
import { promptly, TestGateway } from './test-gateway.ts';

/**
 * Body of the handler of `/` plus the row's number, called with `env` and `header`. For more handlers: path and body of each.
 */
export type Handlers = string | Readonly<Record<string, string>>;

export interface RegressionSuite {
  /** Declares the test of row `number`; its handlers are registered when it runs. */
  regression(
    number: number,
    sentence: string,
    handlers: Handlers,
    check: (gateway: TestGateway, path: string) => Promise<void>,
  ): void;
}

/**
 * Starts one gateway with one worker for all tests of the file, and checks after each test that no file, process or exchange
 * stays open.
 */
export function regressionSuite(): RegressionSuite {
  let script = `local httpd = require 'httpd'\n`;
  let gateway: TestGateway | undefined;
  before(async () => {
    // the first test may start before the file has declared the others
    await new Promise((resolve) => setImmediate(resolve));
    gateway = await TestGateway.start({ '/': script });
  });
  after(() => gateway?.stop());
  return {
    regression(number, sentence, handlers, check) {
      const own = typeof handlers === 'string' ? { [`/${number}`]: handlers } : handlers;
      for (const [path, body] of Object.entries(own))
        script += `httpd.register_handler('${path}', function(env, header)\n${body}\nend)\n`;
      test(`§1.11 ${number}: ${sentence}`, async () => {
        if (gateway === undefined) throw new Error('The gateway did not start');
        await promptly(check(gateway, `/${number}`));
        await gateway.untilIdle();
      });
    },
  };
}
