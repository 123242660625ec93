/** httpd.redirect: its statuses and addresses, and what it refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

async function answerOf(
  body: string,
  method = 'GET',
): Promise<{ status: number; location: string | undefined }> {
  const harness = await ScriptHarness.run(`${body} print('not reached')`);
  try {
    const exchange = await harness.request('/run', { method });
    assert.deepEqual(
      harness.log.filter((line) => line.startsWith('info')),
      [],
    );
    await harness.expectNothingOpen();
    return { status: exchange.status, location: exchange.field('location') };
  } finally {
    await harness.close();
  }
}

test('httpd.redirect() answers 302 to GET and HEAD, and 303 to other methods', async () => {
  assert.deepEqual(await answerOf(`httpd.redirect('/next')`), { status: 302, location: '/next' });
  assert.deepEqual(await answerOf(`httpd.redirect('next', nil)`, 'HEAD'), { status: 302, location: 'next' });
  assert.deepEqual(await answerOf(`httpd.redirect('/next')`, 'POST'), { status: 303, location: '/next' });
});

test('httpd.redirect() takes the statuses that redirect, and no other', async () => {
  for (const status of [301, 302, 303, 307, 308])
    assert.deepEqual(await answerOf(`httpd.redirect('https://example.org/', ${status})`, 'POST'), {
      status,
      location: 'https://example.org/',
    });
  for (const status of [200, 300, 304, 305, 306, 309, 400])
    assert.equal((await answerOf(`httpd.redirect('/', ${status})`)).status, 500);
});

test('httpd.redirect() escapes what cannot stand in an address, and keeps what is escaped', async () => {
  assert.deepEqual(await answerOf(`httpd.redirect('/a b/\\u{e4}?q=%41&x="<>"#\\\\frag|')`), {
    status: 302,
    location: '/a%20b/%C3%A4?q=%41&x=%22%3C%3E%22#%5Cfrag%7C',
  });
  assert.equal((await answerOf(`httpd.redirect('/\\\\evil.example')`)).location, '/%5Cevil.example');
});

test('httpd.redirect() refuses control characters, an empty address, and one that is too long', async () => {
  const harness = await ScriptHarness.run(
    `for _, url in ipairs {'/a\\r\\nset-cookie: x=1', '/a\\n', '/\\0', '/\\127', '', '/' .. ('a'):rep(8192)} do
      say(select(2, pcall(httpd.redirect, url)))
    end
    say(select(2, pcall(httpd.redirect)))
    say(select(2, pcall(httpd.redirect, {})))`,
  );
  try {
    const lines = (await harness.output()).trimEnd().split('\n');
    assert.equal(lines.length, 8);
    for (const line of lines.slice(0, 4)) assert.match(line, /address holds a control character/);
    assert.match(lines[4] ?? '', /address expected, got an empty string/);
    assert.match(lines[5] ?? '', /8193 bytes is longer than the limit of 8192/);
    assert.match(lines[6] ?? '', /wrong number of arguments to 'redirect'/);
    assert.match(lines[7] ?? '', /string expected, got table/);
  } finally {
    await harness.close();
  }
});

test('httpd.redirect() of 8192 bytes is sent', async () => {
  const { location } = await answerOf(`httpd.redirect('/' .. ('a'):rep(8191))`);
  assert.equal(location?.length, 8192);
});

test('httpd.redirect() sends further fields beside the address', async () => {
  const harness = await ScriptHarness.run(
    `httpd.redirect('/a', 303, {['set-cookie'] = {'a=1', 'b=2'}, ['cache-control'] = 'no-store'})`,
  );
  try {
    const exchange = await harness.request('/run');
    assert.equal(exchange.status, 303);
    assert.equal(exchange.field('location'), '/a');
    assert.equal(exchange.field('set-cookie'), 'a=1, b=2');
    assert.equal(exchange.field('cache-control'), 'no-store');
  } finally {
    await harness.close();
  }
});

test('httpd.redirect() refuses fields that are another address, a status, or none at all', async () => {
  const harness = await ScriptHarness.run(
    `for _, headers in ipairs {{Location = '/b'}, {[':status'] = 200}, {x = 'a\\nb'}, 'x'} do
      say(select(2, pcall(httpd.redirect, '/a', nil, headers)))
    end`,
  );
  try {
    const lines = (await harness.output()).trimEnd().split('\n');
    assert.equal(lines.length, 4);
    assert.match(lines[0] ?? '', /the headers of 'redirect' cannot hold "location"/);
    assert.match(lines[1] ?? '', /the headers of 'redirect' cannot hold ":status"/);
    assert.match(lines[2] ?? '', /"x"/);
    assert.match(lines[3] ?? '', /table expected, got string/);
  } finally {
    await harness.close();
  }
});

test('httpd.redirect() after the head is an error, and in a task it ends the whole request', async () => {
  const harness = await ScriptHarness.run(
    `if env.QUERY_INFO then
      httpd.spawn(httpd.redirect, '/task')
      httpd.sleep(1000)
    end
    say('begun')
    say(select(2, pcall(httpd.redirect, '/late')))`,
  );
  try {
    assert.match(await harness.output(), /headers already sent/);
    assert.equal((await harness.request('/run?x')).field('location'), '/task');
  } finally {
    await harness.close();
  }
});

test('httpd.redirect() reaches clients over both protocols', async () => {
  const gateway = await TestGateway.start({
    '/': `local httpd = require 'httpd'
      httpd.register_handler('/old', function() httpd.redirect('/new?x=1', 308) end)`,
  });
  try {
    for (const protocol of PROTOCOLS) {
      const answer = await gateway.ask(protocol, '/old');
      assert.deepEqual(
        [answer.status, answer.headers['location'], answer.text, answer.cut],
        [308, '/new?x=1', '', false],
      );
    }
  } finally {
    await gateway.stop();
  }
});
