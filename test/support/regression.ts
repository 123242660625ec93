/** One test per row of the list of what lhttpd got wrong; each brings the Lua handlers it asks. */
import { after, before, test } from 'node:test';
import { promptly, TestGateway } from './test-gateway.ts';

/** `/` plus the row's number: body of the handler, called with `env` and `header`. More handlers: path → body. */
export type Handlers = string | Readonly<Record<string, string>>;

export interface RegressionSuite {
  /** Declares the test of row `number`; the handlers are there when it runs. */
  regression(
    number: number,
    sentence: string,
    handlers: Handlers,
    check: (gateway: TestGateway, path: string) => Promise<void>,
  ): void;
}

/** Starts one gateway (one worker) for all tests of the file, and sees after each that nothing of it is left. */
export function regressionSuite(): RegressionSuite {
  let script = `local httpd = require 'httpd'\n`;
  let gateway: TestGateway | undefined;
  before(async () => {
    // the first test starts while the file is still declaring the others
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
