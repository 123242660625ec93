/** nghttp and the gateway: pushes that are promised, answered, served by another mapping, or refused. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { runProgram } from '../support/run-program.ts';
import { askSession, TestGateway } from '../support/test-gateway.ts';

const PUSHER = `local httpd = require 'httpd'
local function promise(header, path)
    httpd.header{[':method'] = 'GET', [':scheme'] = 'https', [':authority'] = header[':authority'], [':path'] = path}
end
httpd.register_handler('/page', function(env, header)
    for i = 1, 4 do promise(header, '/part?' .. i) end
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, 'page ' .. tostring(env.PUSH_PROMISE))
end)
httpd.register_handler('/part', function(env, header)
    -- a pushed response may not promise a further push: the gateway drops it
    promise(header, '/part?again')
    httpd.header{[':status'] = '200', ['x-part'] = env.QUERY_INFO, ['x-method'] = header[':method'],
        ['x-push'] = tostring(env.PUSH_PROMISE), ['x-body'] = tostring(httpd.read(nil, 10))}
    httpd.write(nil, string.rep(env.QUERY_INFO, 30000))
end)
httpd.register_handler('/across', function(env, header)
    promise(header, '/other/style')
    httpd.write(nil, 'across')
end)
httpd.register_handler('/broken', function(env, header)
    promise(header, '/fails')
    promise(header, '/nowhere/at/all')
    httpd.write(nil, 'whole')
end)
httpd.register_handler('/fails', function() error('in the pushed handler') end)`;

const OTHER = `local httpd = require 'httpd'
httpd.register_handler('/style', function(env)
    httpd.header{[':status'] = '200', ['x-prefix'] = env.SCRIPT_PREFIX}
    httpd.write(nil, 'style')
end)`;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': PUSHER, '/other': OTHER });
});
after(() => gateway.stop());

interface Seen {
  /** Paths of PUSH_PROMISE frames, in order. */
  readonly promised: string[];
  /** For each stream: the response fields. */
  readonly answers: Map<number, Map<string, string>>;
  /** For each stream: the number of body bytes. */
  readonly sizes: Map<number, number>;
  readonly resets: number;
}

/** Runs `nghttp -v` and reads from its output the frames that it received. */
async function nghttp(...words: string[]): Promise<Seen> {
  const { code, text, stderr } = await runProgram('nghttp', ['-v', '-n', ...words]);
  assert.equal(code, 0, stderr);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: nghttp colours its output
  const plain = text.replace(/\x1b\[[0-9;]*m/g, '');
  const answers = new Map<number, Map<string, string>>();
  for (const [, id, name = '', value = ''] of plain.matchAll(
    /recv \(stream_id=(\d+)\) (:?[^:\n]+): ([^\n]*)\n/g,
  )) {
    const fields = answers.get(Number(id)) ?? new Map<string, string>();
    answers.set(Number(id), fields.set(name, value));
  }
  const sizes = new Map<number, number>();
  for (const [, length, id] of plain.matchAll(
    /recv DATA frame <length=(\d+), flags=0x\w+, stream_id=(\d+)>/g,
  ))
    sizes.set(Number(id), (sizes.get(Number(id)) ?? 0) + Number(length));
  return {
    promised: [...plain.matchAll(/recv \(stream_id=\d+\) :path: (\S+)/g)].map(([, path = '']) => path),
    answers,
    sizes,
    resets: plain.match(/recv RST_STREAM/g)?.length ?? 0,
  };
}

test('nghttp takes four promises, their answers and the page', async () => {
  const { promised, answers, sizes, resets } = await nghttp(`${gateway.url}/page`);
  assert.deepEqual(promised, ['/part?1', '/part?2', '/part?3', '/part?4']);
  for (const [i, stream] of [2, 4, 6, 8].entries()) {
    const fields = answers.get(stream);
    assert.equal(fields?.get(':status'), '200');
    assert.equal(fields?.get('x-part'), String(i + 1));
    assert.deepEqual(
      [fields?.get('x-method'), fields?.get('x-push'), fields?.get('x-body')],
      ['GET', 'nil', 'nil'],
    );
    assert.equal(sizes.get(stream), 30_000);
  }
  const pages = [...answers].filter(
    ([stream, fields]) => stream % 2 === 1 && fields.get(':status') === '200',
  );
  assert.equal(pages.length, 1);
  assert.equal(sizes.get(pages[0]?.[0] ?? 0), 'page 1'.length);
  assert.equal(resets, 0);
  await gateway.untilIdle();
});

test('A promise reaches handlers of another mapping', async () => {
  const { promised, answers } = await nghttp(`${gateway.url}/across`);
  assert.deepEqual(promised, ['/other/style']);
  assert.equal(answers.get(2)?.get('x-prefix'), '/other');
});

test('nghttp --no-push gets the page, and the names of its parts in a 103', async () => {
  const { text } = await runProgram('nghttp', ['-v', '--no-push', `${gateway.url}/page`]);
  assert.doesNotMatch(text, /PUSH_PROMISE frame/);
  assert.match(text, /:status[^\n]*103/);
  assert.match(text, /page nil/);
});

test('A promise nobody answers well leaves the page whole', async () => {
  const { promised, answers } = await nghttp(`${gateway.url}/broken`);
  assert.deepEqual(promised, ['/fails']);
  assert.equal(answers.get(2)?.get(':status'), '500');
  assert.ok([...answers.values()].some((fields) => fields.get(':status') === '200'));
  await gateway.untilLog(/in the pushed handler/);
  await gateway.untilIdle();
});

test('A client that refuses each promise gets its page undisturbed', async () => {
  const session = await gateway.session({ settings: { enablePush: true } });
  let refused = 0;
  session.on('stream', (pushed) => {
    refused += 1;
    pushed.on('error', () => undefined);
    pushed.close(7);
  });
  for (let i = 0; i < 20; i++) {
    const answer = await askSession(session, '/page');
    assert.deepEqual([answer.status, answer.text, answer.cut], [200, 'page 1', false]);
  }
  assert.equal(refused, 80);
  await gateway.untilIdle();
  session.destroy();
});
