/** Where httpd.fetch may connect under --allow-connect: the first request, each redirect, each new connection. */
import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { after, before, test } from 'node:test';
import { type HarnessOptions, outputOf, ScriptHarness } from '../support/script-harness.ts';
import { plainUpstream, type Upstream } from '../support/upstream.ts';

let inside: Upstream;

before(async () => {
  inside = await plainUpstream((request, response) => {
    const to = new URL(request.url ?? '/', 'http://x').searchParams.get('to');
    if (to !== null) response.writeHead(302, { location: to });
    else if (request.url === '/close') response.shouldKeepAlive = false;
    response.end('inside');
  });
});

after(() => inside.close());

const GET = `local function get(url, options)
    local r, message, code = httpd.fetch(url, options)
    if r then say(r.status, httpd.read(r, 'a')) else say(code, message) end
  end `;

const output = (body: string, options: HarnessOptions): Promise<string> =>
  outputOf(GET + body, options, (harness) => harness.expectNothingOpen());

/** Makes a resolver that gives the next answer at each lookup, and repeats the last one. */
function rebinding(...answers: readonly string[][]): LookupFunction & { asked: number } {
  const lookup = ((_name, options, callback) => {
    const addresses = answers[Math.min(lookup.asked, answers.length - 1)] as string[];
    lookup.asked += 1;
    const found: LookupAddress[] = addresses.map((address) => ({ address, family: 4 }));
    process.nextTick(() => {
      if (options.all === true) callback(null, found);
      else callback(null, found[0]?.address ?? '', 4);
    });
  }) as LookupFunction & { asked: number };
  lookup.asked = 0;
  return lookup;
}

test('Without the option a script outside the sandbox connects anywhere', async () => {
  assert.equal(await output(`get('${inside.url}')`, {}), '200 inside\n');
});

test('Under none nothing is connected to, and no name is resolved', async () => {
  const lookup = rebinding(['127.0.0.1']);
  const text = await output(`get('${inside.url}') get('http://name.example/')`, {
    rights: { connect: ['none'] },
    lookup,
  });
  assert.match(
    text,
    /^denied Cannot fetch "[^"]*": connections there are not allowed \(see --allow-connect\)\ndenied /,
  );
  assert.equal(lookup.asked, 0);
});

test('Addresses inside are refused under public in every spelling', async () => {
  const { port } = inside;
  const before = inside.connections();
  const hosts = [
    '127.0.0.1',
    '0x7f.1',
    '2130706433',
    '127.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    'localhost',
    'localhost.',
  ];
  const text = await output(hosts.map((host) => `get('http://${host}:${port}/')`).join(' '), {
    rights: { connect: ['public'] },
  });
  const lines = text.trimEnd().split('\n');
  assert.equal(lines.length, hosts.length);
  // some resolvers do not know the full name
  for (const line of lines) assert.match(line, /^denied |^notfound .*localhost\./);
  assert.equal(inside.connections(), before);
});

test('A place that is named is connected to, with its port and no other', async () => {
  const { port, url } = inside;
  const text = await output(
    `get('http://localhost:${port}/') get('${url}') get('http://[::ffff:127.0.0.1]:${port}/') get('http://127.0.0.1:1/')`,
    { rights: { connect: [`127.0.0.1:${port}`] } },
  );
  assert.match(text, /^200 inside\n200 inside\n200 inside\ndenied [^\n]*\n$/);
});

test('Each redirect is looked at as the first request was', async () => {
  const { port, url } = inside;
  const other = await plainUpstream((_request, response) => response.end('other'));
  try {
    const text = await output(
      `get('${url}/?to=${other.url}/') get('${url}/?to=/again') get('${url}/?to=http://0x7f.1:${other.port}/')
       get('${url}/?to=http://[::ffff:127.0.0.1]:${other.port}/')`,
      { rights: { connect: [`127.0.0.1:${port}`] } },
    );
    assert.match(text, /^denied [^\n]*\n200 inside\ndenied [^\n]*\ndenied [^\n]*\n$/);
    assert.equal(other.connections(), 0);
  } finally {
    await other.close();
  }
});

test('A name that stands for another address at the next connection is looked at again', async () => {
  // no connection goes to 8.8.8.8: the resolver changes to the loopback interface before
  const lookup = rebinding(['127.0.0.1']);
  const { port } = inside;
  const text = await output(
    `get('http://rebind.example:${port}/close') get('http://rebind.example:${port}/close')`,
    {
      rights: { connect: ['public'] },
      lookup,
    },
  );
  assert.match(text, /^denied [^\n]*\ndenied [^\n]*\n$/);
  assert.equal(lookup.asked, 2);
  const named = rebinding(['127.0.0.1'], ['127.0.0.2']);
  const again = await output(
    `get('http://rebind.example:${port}/close') get('http://rebind.example:${port}/close')`,
    {
      rights: { connect: ['127.0.0.1'] },
      lookup: named,
    },
  );
  assert.match(again, /^200 inside\ndenied [^\n]*\n$/);
  assert.equal(named.asked, 2);
});

test('Of several addresses the allowed ones are tried only', async () => {
  const text = await output(`get('http://many.example:${inside.port}/')`, {
    rights: { connect: ['127.0.0.1'] },
    lookup: rebinding(['10.255.255.1', '127.0.0.1']),
  });
  assert.equal(text, '200 inside\n');
});

test('A script in the sandbox connects to the public internet unless the operator says otherwise', async () => {
  const script = `function handle_request()
    local body, why = http_get('${inside.url}')
    return 200, 'text/plain', tostring(body) .. ' ' .. tostring(why)
  end`;
  for (const [connect, expected] of [
    [undefined, /^nil http_get error: Cannot fetch .*not allowed/],
    [['127.0.0.1'], /^inside 200$/],
  ] as const) {
    const harness = await ScriptHarness.load(script, { rights: { sandboxed: true, connect } });
    assert.match((await harness.request('/')).text, expected);
    await harness.close();
  }
});
