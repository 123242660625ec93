/** Apps of luvit's shape in the real program: over both protocols, by several workers, under load. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installTestTools } from '../support/install-tools.ts';
import { runProgram } from '../support/run-program.ts';
import { inForm } from '../support/test-form.ts';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const APP = `return function(read, write)
  for req in read do
    if req ~= '' then
      if req.path == '/hang' then while true do end end
      local body = req.method .. ' ' .. req.path .. ' ' .. require 'httpd'.worker.id .. '\\n'
      write({ code = 200, { 'Server', 'Luvit' }, { 'Content-Type', 'text/plain' }, { 'Content-Length', #body } })
      write(body)
    end
  end
  write()
end`;

const AB_REQUESTS = inForm('600', '30000');
/** A thousand handshakes at once take longer than one may where other tests have most of the processors. */
const TLS_CONNECTIONS = inForm('100', '1000');
const PLAIN_CONNECTIONS = inForm('300', '1000');
const WRK_SECONDS = inForm('-d1', '-d5');
const WRK_RUNS_MAX = 5;

test('V1, V5, V7: an app answers over both protocols, by workers that share a socket; its mode is shown; one that never ends costs its request', async () => {
  const words = ['--mode', 'luvit', '--cpu-limit', '0.2'];
  const gateway = await TestGateway.start({ '/': APP }, { workers: 2, words });
  const workers = new Set<string>();
  for (let i = 0; i < 50 && workers.size < 2; i++) {
    for (const protocol of PROTOCOLS) {
      const answer = await gateway.ask(protocol, '/path?query');
      const match = /^GET \/path\?query ([12])\n$/.exec(answer.text);
      assert.ok(match !== null, answer.text);
      workers.add(match[1] as string);
    }
  }
  assert.equal(workers.size, 2);
  assert.match(gateway.running.stdout, /\(luvit\)/);
  assert.match(gateway.log, /Script loaded .*mode=luvit/);
  const hanging = gateway.ask('h1', '/hang');
  assert.equal((await gateway.ask('h2', '/')).status, 200);
  assert.equal((await hanging).status, 500);
  assert.equal((await gateway.ask('h1', '/')).status, 200);
  await gateway.stop();
});

test('V6: ab with many kept connections and wrk make no error, with and without TLS', async () => {
  installTestTools();
  const gateway = await TestGateway.start({ '/': APP }, { words: ['--http', '127.0.0.1:0'] });
  const [plain = ''] = /http:\/\/127\.0\.0\.1:\d+\//.exec(gateway.running.stdout) ?? [];
  for (const [url, connections, isPlain] of [
    [plain, PLAIN_CONNECTIONS, true],
    [`https://127.0.0.1:${gateway.port}/`, TLS_CONNECTIONS, false],
  ] as const) {
    const ab = await runProgram('ab', ['-n', AB_REQUESTS, '-c', connections, '-k', '-s', '60', url]);
    assert.equal(ab.code, 0, ab.stderr);
    assert.match(ab.text, /Failed requests: +0\n/);
    assert.doesNotMatch(ab.text, /Non-2xx responses|Write errors: +[1-9]/);
    assert.ok(Number(/Keep-Alive requests: +([0-9]+)/.exec(ab.text)?.[1]) > 0);
    // in the short form where the encryption takes the time of nobody
    if (!inForm(isPlain, true)) continue;
    let answers = 0;
    // a busy machine may give a second to others
    for (let run = 0; run < WRK_RUNS_MAX && answers === 0; run++) {
      const wrk = await runProgram('wrk', ['-t2', '-c100', WRK_SECONDS, '--timeout', '60', url]);
      assert.equal(wrk.code, 0, wrk.stderr);
      assert.doesNotMatch(wrk.text, /Socket errors|Non-2xx/);
      answers += Number(/([0-9]+) requests in/.exec(wrk.text)?.[1]);
    }
    assert.ok(answers > 0, 'wrk got answers');
  }
  assert.doesNotMatch(gateway.log, / error /);
  await gateway.stop();
});
