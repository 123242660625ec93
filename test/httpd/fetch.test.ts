/** httpd.fetch against real servers on the loopback interface: its results, and the code of each failure. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { gzipSync } from 'node:zlib';
import { calmTest as test } from '../support/calm.ts';
import { testCertificate } from '../support/certificate.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { eventually, type HarnessOptions, ScriptHarness } from '../support/script-harness.ts';
import { outputOfBody } from '../support/shared-state.ts';
import { inForm } from '../support/test-form.ts';
import { untilStill } from '../support/until-still.ts';
import {
  deadPort,
  http2Upstream,
  plainUpstream,
  rawUpstream,
  tlsUpstream,
  type Upstream,
} from '../support/upstream.ts';

let echo: Upstream;

before(async () => {
  echo = await plainUpstream((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers, rawHeaders } = request;
      const body = Buffer.concat(chunks).toString('latin1');
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method, url, headers, rawHeaders, body }));
    });
  });
});

after(() => echo.close());

/** Resolves with the answer of a handler with this body; nothing may stay open afterwards. */
async function say(body: string, options: HarnessOptions = {}, request = {}): Promise<string> {
  if (Object.keys(options).length === 0) return (await outputOfBody(body, request)).trimEnd();
  const harness = await ScriptHarness.run(body, options);
  try {
    const text = await harness.output(request);
    await harness.expectNothingOpen();
    return text.trimEnd();
  } finally {
    await harness.close();
  }
}

interface Echoed {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** Resolves with the request that the echo server got from `fetch(url, options)`. */
async function sent(options: string, prelude = '', request = {}): Promise<Echoed> {
  const text = await say(
    `${prelude} local r = assert(httpd.fetch('${echo.url}/p?q=1', ${options})) say(httpd.read(r, 'a'))`,
    { files: { 'body.txt': 'from a file' } },
    request,
  );
  return JSON.parse(Buffer.from(text, 'latin1').toString()) as Echoed;
}

/** Runs `use` with a server that sends `bytes` after each request, and then closes if `end`. */
async function withRaw<T>(bytes: string, end: boolean, use: (upstream: Upstream) => Promise<T>): Promise<T> {
  const upstream = await rawUpstream((socket) => {
    socket.on('data', () => {
      socket.write(bytes, 'latin1');
      if (end) socket.end();
    });
  });
  try {
    return await use(upstream);
  } finally {
    await upstream.close();
  }
}

/** Sends one byte in each round of the event loop, each in its own segment. */
function sendSlowly(socket: Socket, bytes: string, at = 0): void {
  if (at === bytes.length || socket.destroyed) return;
  socket.write(bytes[at] as string, () => setImmediate(() => sendSlowly(socket, bytes, at + 1)));
}

async function using<T>(starting: Promise<Upstream>, use: (upstream: Upstream) => Promise<T>): Promise<T> {
  const upstream = await starting;
  try {
    return await use(upstream);
  } finally {
    await upstream.close();
  }
}

// ---- what is sent ----------------------------------------------------------------------------------------------------

test('fetch sends a GET with our name, and nothing of the environment', async () => {
  process.env['http_proxy'] = 'http://127.0.0.1:1';
  process.env['HTTP_PROXY'] = 'http://127.0.0.1:1';
  try {
    const { method, url, headers, body } = await sent('nil');
    assert.deepEqual([method, url, body], ['GET', '/p?q=1', '']);
    assert.match(headers['user-agent'] ?? '', /^lgateway\//);
    assert.equal(headers['host'], `127.0.0.1:${echo.port}`);
  } finally {
    delete process.env['http_proxy'];
    delete process.env['HTTP_PROXY'];
  }
});

test('fetch sends method, fields and a string as body', async () => {
  const { method, headers, body } = await sent(
    `{ method = 'PUT', body = 'a\\0\\255b', headers = { ['X-One'] = 'x', ['x-two'] = { 'a', 'b' }, ['x-n'] = 7 } }`,
  );
  assert.equal(method, 'PUT');
  assert.equal(body, 'a\0\xffb');
  assert.equal(headers['content-length'], '4');
  assert.deepEqual([headers['x-one'], headers['x-two'], headers['x-n']], ['x', 'a, b', '7']);
});

test('fetch with a body and no method is a POST', async () => {
  const { method, body } = await sent(`{ body = '' }`);
  assert.deepEqual([method, body], ['POST', '']);
});

test("fetch streams the client's body, a file and another response", async () => {
  const fromClient = await sent('{ body = httpd.body }', '', { body: Buffer.from('of the client') });
  assert.equal(fromClient.body, 'of the client');
  const fromFile = await sent('{ body = f }', `local f <close> = assert(io.open('body.txt'))`);
  assert.equal(fromFile.body, 'from a file');
  assert.equal(fromFile.headers['transfer-encoding'], 'chunked');
  const sized = await sent(
    `{ body = f, headers = { ['content-length'] = 11 } }`,
    `local f <close> = assert(io.open('body.txt'))`,
  );
  assert.deepEqual([sized.body, sized.headers['content-length']], ['from a file', '11']);
  const fromResponse = await sent(
    `{ body = r }`,
    `local r <close> = assert(httpd.fetch('${echo.url}/', { body = 'inner' }))`,
  );
  assert.match(fromResponse.body, /"body":"inner"/);
});

test('fetch answers what would become another request with "invalid"', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [`'${echo.url}/a b'`, /the URL holds a blank or control character invalid$/],
    [`'${echo.url}/a\\r\\nx: y'`, /the URL holds a blank or control character invalid$/],
    [`'${echo.url}/\\0'`, /the URL holds a blank or control character invalid$/],
    [`'/relative'`, /it is no URL invalid$/],
    [`'ftp://127.0.0.1/'`, /the scheme is neither "http" nor "https" invalid$/],
    [`'file:///etc/passwd'`, /the scheme is neither "http" nor "https" invalid$/],
    [`'http://me:secret@127.0.0.1/'`, /^nil Cannot fetch "http:\/\/127\.0\.0\.1": a URL with a password/],
    [`'http://127.0.0.1:99999/'`, /it is no URL invalid$/],
    [`'${echo.url}/' .. string.rep('x', 20000)`, /bytes and the limit is 16384 invalid$/],
    [`'${echo.url}', { headers = { a = 'b\\r\\nc: d' } }`, /Value .* of field "a" holds a control character/],
    [`'${echo.url}', { headers = { ['a\\n'] = 'b' } }`, /is not a token invalid$/],
    [
      `'${echo.url}', { headers = { ['Transfer-Encoding'] = 'chunked' } }`,
      /"transfer-encoding" belongs to the gateway invalid$/,
    ],
    [`'${echo.url}', { headers = { connection = 'close' } }`, /"connection" belongs to the gateway invalid$/],
    [
      `'${echo.url}', { headers = { ['content-length'] = 'x' }, body = '' }`,
      /content-length is "x" .* invalid$/,
    ],
    [`'${echo.url}', { method = 'GET /x' }`, /is no method invalid$/],
    [`'${echo.url}', { method = 'CONNECT' }`, /a tunnel is no response invalid$/],
  ];
  for (const [call, expected] of cases) assert.match(await say(`say(httpd.fetch(${call}))`), expected, call);
});

test('fetch raises for misuse', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /bad argument #1 to '.*' \(string expected, got no value\)/],
    [`'${echo.url}', { verb = 'GET' }`, /fetch has no option "verb"/],
    [
      `'${echo.url}', { body = {} }`,
      /option "body" is a table \(a string, a stream or httpd\.body was expected\)/,
    ],
    [`'${echo.url}', { body = 'x', method = 'GET' }`, /a GET request has no body/],
    [`'${echo.url}', { headers = 'x' }`, /option "headers" is a string \(a table was expected\)/],
    [`'${echo.url}', { headers = { a = true } }`, /header "a" is a boolean \(a string was expected\)/],
    [`'${echo.url}', { headers = { 'a' } }`, /a header name is a number/],
    [`'${echo.url}', { timeout = 0 }`, /option "timeout" is 0 \(a number above 0 was expected\)/],
    [`'${echo.url}', { timeout = { first = 1 } }`, /timeout has no option "first"/],
    [`'${echo.url}', { timeout = { connect = 11 } }`, /option "connect" is above its limit of 10 s/],
    [`'${echo.url}', { redirect = 21 }`, /option "redirect" is 21 \(0 to 20 was expected\)/],
    [`'${echo.url}', { tls = { cert = 'x' } }`, /nil .*x.* notfound|need each other/],
    [`'${echo.url}', { tls = { trust = true } }`, /tls has no option "trust"/],
  ];
  for (const [call, expected] of cases)
    assert.match(
      await say(`say(select(2, pcall(httpd.fetch, ${call})))`.replace(', )', ')')),
      expected,
      call,
    );
});

test('fetch cannot be called where nothing can wait, nor while a script is loaded', async () => {
  assert.match(
    await say(`table.sort({ 1, 2 }, function(a, b)
      say(select(2, pcall(httpd.fetch, '${echo.url}'))) return a < b end)`),
    /cannot wait for the network here: a yield cannot cross this call/,
  );
  await assert.rejects(
    ScriptHarness.load(`require 'httpd'.fetch('${echo.url}')`),
    /called outside of a request/,
  );
});

// ---- what comes back -------------------------------------------------------------------------------------------------

test('A response has status, url and fields in any case, and is a stream', async () => {
  await using(
    plainUpstream((_request, response) => {
      response.writeHead(418, { 'X-One': 'a', 'set-cookie': ['a=1', 'b=2'], 'x-two': ['c', 'd'] });
      response.end('first line\nsecond line\nrest');
    }),
    async ({ url }) => {
      const text = await say(`
        local r = assert(httpd.fetch('${url}/x#part'))
        say(r.status, math.type(r.status), r.url, r.other)
        say(r.headers['x-one'], r.headers['X-ONE'], r.headers['x-two'], r.headers.none)
        say(#r.headers['set-cookie'], r.headers['Set-Cookie'][2])
        say(httpd.read(r, 5)) say(httpd.read(r, 'l')) say(httpd.read(r, 'L')) say(httpd.read(r)) say(httpd.read(r))
        say(httpd.read(r, 'a') == '', httpd.close(r), r.status, r)
        say(pcall(httpd.read, r))
        say(pcall(httpd.write, assert(httpd.fetch('${url}')), 'x'))`);
      assert.equal(
        text,
        [
          `418 integer ${url}/x#part nil`,
          'a a c, d nil',
          '2 b=2',
          'first',
          ' line',
          'second line\n',
          'rest',
          'nil',
          'true true 418 stream (closed)',
          'false attempt to use a closed stream',
          'false cannot write to a response',
        ].join('\n'),
      );
    },
  );
});

test('The lookup of response fields, taken out of its metatable, refuses what is no table', async () => {
  const text = await say(
    `local index = debug.getmetatable(assert(httpd.fetch('${echo.url}')).headers).__index
     for _, v in ipairs({ 1, 'x', io.stdout, httpd.json.null, print, true }) do say(select(2, pcall(index, v, 'x'))) end
     say(pcall(index))
     say(index({ x = 7 }, 'X'))`,
  );
  const lines = text.split('\n');
  assert.equal(lines.pop(), '7');
  for (const line of lines) assert.match(line, /bad argument #1 .*table expected/);
});

test('Compressed bodies and bytes of any kind stay as they are', async () => {
  const zipped = gzipSync('text');
  await using(
    plainUpstream((_request, response) => {
      response.setHeader('content-encoding', 'gzip');
      response.end(zipped);
    }),
    async ({ url }) => {
      const text = await say(`local r = httpd.fetch('${url}')
        say(r.headers['content-encoding'], httpd.encode('hex', httpd.read(r, 'a')))`);
      assert.equal(text, `gzip ${zipped.toString('hex')}`);
    },
  );
});

test('HEAD, 204 and 304 have no body', async () => {
  await using(
    plainUpstream((request, response) => {
      if (request.method === 'HEAD') response.setHeader('content-length', 5);
      else response.statusCode = request.url === '/204' ? 204 : 304;
      response.end();
    }),
    async ({ url }) => {
      const text = await say(`
        for _, c in ipairs { { '/', 'HEAD' }, { '/204', 'GET' }, { '/304', 'GET' } } do
          local r = assert(httpd.fetch('${url}' .. c[1], { method = c[2] }))
          say(r.status, httpd.read(r), r.headers['content-length'])
        end`);
      assert.equal(text, '200 nil 5\n204 nil nil\n304 nil nil');
    },
  );
});

test('Informational heads before the response are skipped', async () => {
  await withRaw(
    'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    false,
    async ({ url }) => {
      assert.equal(
        await say(
          `local r = assert(httpd.fetch('${url}')) say(r.status, r.headers.link, httpd.read(r, 'a'))`,
        ),
        '200 nil ok',
      );
    },
  );
});

test('100 Continue that nobody asked for is ignored, wherever it is cut, and the connection is kept', async () => {
  const unasked =
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100\r\nx-a: b\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n';
  const whole = `${unasked}HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nok`;
  let answers = 0;
  const upstream = await rawUpstream((socket) => {
    socket.setNoDelay(true);
    // the body of a POST may arrive separately
    socket.on('data', (chunk: Buffer) => {
      if (chunk.length === 1) return;
      answers += 1;
      // every second answer is sent byte by byte
      if (answers % 2 === 1) socket.write(whole);
      else sendSlowly(socket, whole);
    });
  });
  try {
    const line = '200 nil 27 ok';
    assert.equal(
      await say(
        `for _, options in ipairs {{}, {}, {method = 'POST', body = 'x'}, {}} do
           local r = assert(httpd.fetch('${upstream.url}', options)) local body = httpd.read(r, 'a')
           say(r.status, r.headers['x-a'], #body, body:sub(-2))
         end`,
      ),
      Array(4).fill(line).join('\n'),
    );
    // a connection becomes reusable one round of the event loop after its answer
    assert.ok(upstream.connections() <= 2, `${upstream.connections()} connections`);
  } finally {
    await upstream.close();
  }
});

test('32 informational heads are passed over, and one more is "limit"', async () => {
  const final = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
  for (const head of ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'])
    for (const [count, expected] of [
      [32, /^200$/],
      [33, /^nil .*: the upstream has sent more than 32 informational heads before its response limit$/],
    ] as const)
      await withRaw(head.repeat(count) + final, false, async ({ url }) => {
        const call = `local r, message, code = httpd.fetch('${url}')
          if r then say(r.status) httpd.close(r) else say(r, message, code) end`;
        assert.match(await say(call), expected);
      });
});

test('Chunked bodies and bodies that end with the connection arrive complete', async () => {
  const head = 'HTTP/1.1 200 OK\r\n';
  for (const [bytes, end] of [
    [`${head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n`, false],
    [`${head}connection: close\r\n\r\nabcde`, true],
  ] as const) {
    await withRaw(bytes, end, async ({ url }) => {
      assert.equal(await say(`say(httpd.read(assert(httpd.fetch('${url}')), 'a'))`), 'abcde');
    });
  }
});

test('HTTP/2 upstreams are used over TLS, with bodies both ways', async () => {
  await using(
    http2Upstream((request, response) => {
      response.setHeader('x-version', request.httpVersion);
      request.pipe(response);
    }),
    async ({ url, connections }) => {
      const text = await say(
        `local tls = { verify = false }
        for i = 1, 5 do
          local r = assert(httpd.fetch('${url}', { tls = tls, body = string.rep('x', 300000) }))
          say(r.status, r.headers['x-version'], #httpd.read(r, 'a'))
          local r = assert(httpd.fetch('${url}', { tls = tls, body = httpd.body }))
          say(r.status, #httpd.read(r, 'a'))
        end`,
        {},
        { body: Buffer.alloc(200_000) },
      );
      const lines = text.split('\n');
      assert.equal(lines[0], '200 2.0 300000');
      assert.equal(lines[1], '200 200000');
      assert.equal(lines.at(-2), '200 2.0 300000');
      assert.ok(connections() <= 2, `${connections()} connections`);
    },
  );
});

test('A connection is kept for the next fetch of the worker', async () => {
  await using(
    plainUpstream((_request, response) => response.end('ok')),
    async ({ url, connections }) => {
      await say(`for i = 1, 20 do say(httpd.read(httpd.fetch('${url}'), 'a')) end`);
      // a connection becomes reusable one round of the event loop after its answer
      assert.ok(connections() <= 2, `${connections()} connections`);
    },
  );
});

// ---- redirects -------------------------------------------------------------------------------------------------------

test('Redirects are followed, with methods and fields as the fetch standard has it', async () => {
  const other = await plainUpstream((request, response) => {
    request.resume();
    response.end(
      `${request.method} ${request.url} ${request.headers['authorization']} ${request.headers['cookie']} ${request.headers['x-own']}`,
    );
  });
  const seen: string[] = [];
  try {
    await using(
      plainUpstream((request, response) => {
        const [, status = '', where = ''] = (request.url ?? '').split('/');
        let body = '';
        request.on('data', (chunk) => {
          body += String(chunk);
        });
        request.on('end', () => {
          seen.push(`${request.method} ${request.url} ${request.headers['content-type']} ${body}`);
          if (status === 'end') response.end(`end ${request.headers['authorization']}`);
          else {
            response.writeHead(Number(status), {
              location: where === 'other' ? `${other.url}/there` : '/end',
            });
            response.end('moved');
          }
        });
      }),
      async ({ url }) => {
        const secrets = `headers = { authorization = 'secret', cookie = 'c', ['x-own'] = 'own', ['content-type'] = 't' }`;
        const text = await say(`
          local function get(path, options)
            local r, message, code = httpd.fetch('${url}' .. path, options)
            if not r then say(message, code) else say(r.status, r.url, httpd.read(r, 'a')) end
          end
          get('/301/', { body = 'x', ${secrets} })
          get('/307/', { body = 'x', ${secrets} })
          get('/302/', { body = 'x', method = 'PUT' })
          get('/303/', { body = 'x', method = 'PUT' })
          get('/303/', { method = 'HEAD' })
          get('/308/other', { body = 'x', ${secrets} })
          get('/302/', { redirect = false })
          get('/307/', { body = httpd.body })`);
        assert.equal(
          text,
          [
            `200 ${url}/end end secret`,
            `200 ${url}/end end secret`,
            `200 ${url}/end end undefined`,
            `200 ${url}/end end undefined`,
            `200 ${url}/end `,
            `200 ${other.url}/there POST /there undefined undefined own`,
            `302 ${url}/302/ moved`,
            `Cannot fetch "${url}/307/": it redirects to "${url}/end", and a body that was streamed cannot be sent again invalid`,
          ].join('\n'),
        );
        assert.deepEqual(
          seen.filter((line) => line.includes('/end')),
          [
            'GET /end undefined ',
            'POST /end t x',
            'PUT /end undefined x',
            'GET /end undefined ',
            'HEAD /end undefined ',
          ],
        );
      },
    );
  } finally {
    await other.close();
  }
});

test('A loop of redirects ends with "limit", and a bad place with "invalid"', async () => {
  await using(
    plainUpstream((request, response) => {
      const location =
        request.url === '/bad' ? 'gopher://x/' : request.url === '/split' ? 'http://[bad' : '/loop';
      response.writeHead(302, { location });
      response.end('x'.repeat(200_000));
    }),
    async ({ url }) => {
      const text = await say(`
        say(httpd.fetch('${url}/loop')) say(httpd.fetch('${url}/loop', { redirect = 0 }))
        say(httpd.fetch('${url}/bad')) say(httpd.fetch('${url}/split'))`);
      assert.equal(
        text,
        [
          `nil Cannot fetch "${url}/loop": it redirects, and the limit of redirects is reached limit`,
          `nil Cannot fetch "${url}/loop": it redirects, and the limit of redirects is reached limit`,
          'nil Cannot fetch "gopher://x/": the scheme is neither "http" nor "https" invalid',
          'nil Cannot fetch "http://[bad": it is no URL invalid',
        ].join('\n'),
      );
    },
  );
});

// ---- failures --------------------------------------------------------------------------------------------------------

test('Nobody there is "refused", no such host "notfound"', async () => {
  const port = await deadPort();
  assert.match(
    await say(`say(httpd.fetch('http://127.0.0.1:${port}/')) say(httpd.fetch('http://nowhere.invalid/'))`),
    /^nil Cannot fetch "http:\/\/127\.0\.0\.1:\d+\/": connect ECONNREFUSED .* refused\nnil Cannot fetch "http:\/\/nowhere\.invalid\/": .* notfound$/,
  );
});

test('An upstream that is slow in any way is a "timeout"', async () => {
  const silent = await rawUpstream(() => undefined);
  // gives up after a while, so that the unused connection ends
  const deaf = await rawUpstream((socket) => {
    socket.resume();
    setTimeout(() => socket.destroy(), 500);
  });
  const stalled = await rawUpstream((socket) => {
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'));
  });
  const dripping = await rawUpstream((socket) => {
    socket.on('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n');
      const timer = setInterval(() => socket.write('x'), 10);
      socket.on('close', () => clearInterval(timer));
    });
  });
  try {
    const tls = deaf.url.replace('http:', 'https:');
    const text = await say(`
      say(httpd.fetch('${silent.url}/', { timeout = { head = 0.05 } }))
      say(httpd.fetch('${tls}/', { timeout = { connect = 0.05 } }))
      say(httpd.fetch('${silent.url}/', { timeout = 0.05 }))
      local r = assert(httpd.fetch('${stalled.url}/', { timeout = { idle = 0.05 } }))
      say(httpd.read(r, 9)) say(httpd.read(r, 9))
      local r = assert(httpd.fetch('${dripping.url}/', { timeout = { idle = 5, whole = 0.2 } }))
      say(httpd.read(r, 'a'))`);
    assert.equal(
      text,
      [
        `nil Cannot fetch "${silent.url}/": no response after 0.05 s timeout`,
        `nil Cannot fetch "${tls}/": no connection after 0.05 s timeout`,
        `nil Cannot fetch "${silent.url}/": not complete after 0.05 s timeout`,
        'abc',
        `nil Cannot fetch "${stalled.url}/": the response has stalled for 0.05 s timeout`,
        `nil Cannot fetch "${dripping.url}/": not complete after 0.2 s timeout`,
      ].join('\n'),
    );
  } finally {
    for (const upstream of [silent, deaf, stalled, dripping]) await upstream.close();
  }
});

test('A response that is cut short is "closed", and what came of it can be read', async () => {
  for (const head of ['content-length: 9', 'transfer-encoding: chunked']) {
    const body = head.startsWith('c') ? 'abc' : '3\r\nabc\r\n9\r\nxx';
    await withRaw(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${body}`, true, async ({ url }) => {
      const text = await say(`
        local r = assert(httpd.fetch('${url}/'))
        say(httpd.read(r, 3)) httpd.read(r, 9) say(httpd.read(r))
        say(httpd.read(assert(httpd.fetch('${url}/')), 'a'))
        say(httpd.copy(nil, assert(httpd.fetch('${url}/'))))`);
      assert.match(
        text,
        /^abc\nnil Cannot fetch .* closed\nnil Cannot fetch .* closed\nabc(?:xx)?nil .* closed$/,
      );
    });
  }
});

test('No HTTP is "invalid", a head without end "limit"', async () => {
  await withRaw('SSH-2.0-OpenSSH_9.2\r\n', false, async ({ url }) => {
    assert.match(await say(`say(httpd.fetch('${url}/'))`), /^nil Cannot fetch .* invalid$/);
  });
  await withRaw(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`, false, async ({ url }) => {
    assert.match(
      await say(`say(httpd.fetch('${url}/'))`),
      /^nil Cannot fetch .*: Headers Overflow Error limit$/,
    );
  });
});

test('An endless body is held back, and cannot be read in one piece', async () => {
  let written = 0;
  const chunk = Buffer.alloc(256 * 1024);
  await using(
    plainUpstream((_request, response) => {
      const write = (): void => {
        while (!response.destroyed) {
          written += chunk.length;
          if (!response.write(chunk)) break;
        }
      };
      response.on('drain', write);
      response.on('close', () => response.off('drain', write));
      write();
    }),
    async ({ url, open }) => {
      const harness = await ScriptHarness.run(`
        local r = assert(httpd.fetch('${url}'))
        say(#httpd.read(r, 10)) httpd.read(nil, 1)
        say(httpd.read(r, 'a'))`);
      try {
        const exchange = harness.begin('/run', { body: 'open' });
        await eventually(() => assert.ok(written > 0));
        await untilStill(() => written);
        // what the sockets of both sides hold, and the 128 KiB of the gateway
        assert.ok(written < 16 * 1024 * 1024, `${written} bytes were written`);
        exchange.body.finish();
        await exchange.closed;
        assert.match(
          exchange.text,
          /^10\nnil Cannot read \d+ bytes or more at once: .* 268435456 bytes \(--memory\) limit\n$/,
        );
        await harness.expectNothingOpen();
        await eventually(() => assert.equal(open(), 0));
      } finally {
        await harness.close();
      }
    },
  );
});

test('Certificates that are not trusted are "denied"; a CA, a name and our own certificate can be given', async () => {
  const { cert, key, certPath, keyPath } = testCertificate();
  const lua = (pem: string): string => `[[${pem}]]`;
  await using(
    tlsUpstream((_request, response) => response.end('secure')),
    async ({ url, port }) => {
      const local = `https://localhost:${port}/`;
      const text = await say(
        `local function get(...)
          local r, message, code = httpd.fetch(...)
          say(r and httpd.read(r, 'a') or code)
        end
        get('${url}') get('${url}', { tls = { verify = false } })
        get('${url}', { tls = { ca = ${lua(cert)} } }) get('${local}', { tls = { ca = 'ca.pem' } })
        get('${url}', { tls = { ca = ${lua(cert)}, servername = 'example.org' } })
        get('${url}', { tls = { ca = ${lua(cert)}, cert = ${lua(cert)}, key = ${lua(key)} } })
        get('${url}', { tls = { ca = '${certPath}', cert = '${certPath}', key = '${keyPath}' } })
        get('${url}', { tls = { ca = 'nowhere.pem' } })
        get('${url}', { tls = { verify = false, cert = 'junk.pem', key = 'junk.pem' } })
        get('${url.replace('https', 'http')}')`,
        { files: { 'ca.pem': cert, 'junk.pem': 'junk' } },
      );
      assert.deepEqual(text.split('\n').slice(0, 9), [
        'denied',
        'secure',
        'secure',
        'secure',
        'denied',
        'secure',
        'secure',
        'notfound',
        'invalid',
      ]);
      assert.match(text.split('\n')[9] ?? '', /^(?:closed|invalid|io)$/);
    },
  );
  await using(
    plainUpstream((_request, response) => response.end('plain')),
    async ({ url }) => {
      const text = await say(
        `say(httpd.fetch('${url.replace('http', 'https')}', { tls = { verify = false } }))`,
      );
      assert.match(text, /^nil Cannot fetch .* denied$/);
    },
  );
});

test('A kept connection that the upstream closes meanwhile is no failure where the request may be sent twice', async () => {
  let requests = 0;
  const upstream = await rawUpstream((socket: Socket) => {
    socket.on('data', () => {
      requests += 1;
      if (requests === 3 || requests === 6) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  try {
    const text = await say(`
      for i = 1, 4 do say(httpd.read(assert(httpd.fetch('${upstream.url}')), 'a')) end
      say(httpd.fetch('${upstream.url}', { body = 'x' }))`);
    assert.match(text, /^ok\nok\nok\nok\nnil Cannot fetch .* closed$/);
    assert.equal(requests, 6);
  } finally {
    await upstream.close();
  }
});

// ---- life ------------------------------------------------------------------------------------------------------------

test('A fetch ends with the handler that asked for it', async () => {
  await using(
    plainUpstream((_request, response) => {
      response.writeHead(200);
      response.write('x');
    }),
    async ({ url, open }) => {
      const harness = await ScriptHarness.load(`
        local httpd = require 'httpd'
        httpd.register_handler('/returns', function()
          kept = assert(httpd.fetch('${url}')) httpd.write(nil, httpd.read(kept, 1))
        end)
        httpd.register_handler('/later', function() httpd.write(nil, tostring(kept) .. select(2, pcall(httpd.read, kept))) end)
        httpd.register_handler('/waits', function() httpd.write(nil, 'x') httpd.read(assert(httpd.fetch('${url}')), 'a') end)
        httpd.register_handler('/closes', function() local r <close> = assert(httpd.fetch('${url}')) httpd.write(nil, 'x') end)
        httpd.register_handler('/forgets', function()
          for i = 1, 3 do assert(httpd.fetch('${url}')) end
          collectgarbage() collectgarbage()
          httpd.write(nil, 'x') httpd.read(nil, 1)
        end)`);
      try {
        assert.equal((await harness.request('/returns')).text, 'x');
        await harness.expectNothingOpen();
        assert.match(
          (await harness.request('/later')).text,
          /^stream \(closed\).*attempt to use a closed stream$/,
        );
        const waiting = harness.begin('/waits');
        await eventually(() => assert.equal(harness.counters.get('fetches'), 1));
        waiting.abort();
        await harness.expectNothingOpen();
        assert.equal((await harness.request('/closes')).text, 'x');
        await harness.expectNothingOpen();
        const forgetful = harness.begin('/forgets', { body: 'open' });
        await eventually(() => assert.equal(forgetful.text, 'x'));
        await eventually(() => assert.equal(harness.counters.get('fetches'), 0));
        forgetful.body.finish();
        await forgetful.closed;
        await harness.expectNothingOpen();
        await eventually(() => assert.equal(open(), 0));
      } finally {
        await harness.close();
      }
    },
  );
});

test('One request has at most 64 fetches under way', async () => {
  await using(
    plainUpstream((_request, response) => {
      response.writeHead(200);
      response.write('x');
    }),
    async ({ url }) => {
      const text = await say(`
        local all = {}
        for i = 1, 64 do all[i] = assert(httpd.fetch('${url}')) end
        say(httpd.fetch('${url}'))
        httpd.close(all[1])
        say(httpd.fetch('${url}').status)`);
      assert.equal(
        text,
        'nil Cannot fetch: 64 fetches are under way by this request and the limit is 64 limit\n200',
      );
    },
  );
});

test('A hundred requests of one worker fetch at the same time', async () => {
  const waiting: (() => void)[] = [];
  await using(
    plainUpstream((request, response) => {
      waiting.push(() => response.end(`answer ${request.url}`));
      if (waiting.length === 100) for (const answer of waiting) answer();
    }),
    async ({ url }) => {
      const harness = await ScriptHarness.run(
        `say(httpd.read(assert(httpd.fetch('${url}/' .. env.QUERY_INFO)), 'a'))`,
      );
      try {
        const exchanges = await Promise.all(
          Array.from({ length: 100 }, (_, i) => harness.request(`/run?${i}`)),
        );
        exchanges.forEach((exchange, i) => {
          assert.equal(exchange.text, `answer /${i}\n`);
        });
        await harness.expectNothingOpen();
      } finally {
        await harness.close();
      }
    },
  );
});

test('Large bodies pass in both directions at once, unchanged, and little of them is held', async () => {
  const SIZE = inForm(40, 256) * 1024 * 1024;
  const SAMPLE_BYTES = 2 * 1024 * 1024;
  let passed = 0;
  let sample: (() => void) | undefined;
  await using(
    plainUpstream((request, response) => {
      // each collection takes its time
      request.on('data', ({ length }: Buffer) => {
        if (Math.floor(passed / SAMPLE_BYTES) !== Math.floor((passed + length) / SAMPLE_BYTES)) sample?.();
        passed += length;
      });
      request.pipe(response);
    }),
    async ({ url }) => {
      const harness = await ScriptHarness.run(
        `local f <close> = assert(io.open('big.bin', 'rb'))
        local r = assert(httpd.fetch('${url}', { body = f }))
        local out <close> = assert(io.open('copy.bin', 'wb'))
        say(httpd.copy(out, r))`,
        { files: { 'big.bin': '' } },
      );
      try {
        const block = Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i * 7) % 251));
        harness.writeFile('big.bin', Buffer.concat(Array.from({ length: SIZE / block.length }, () => block)));
        // what nobody holds any more does not count, whenever the engine would find it
        const held = (): number => {
          collectGarbage();
          return process.memoryUsage().arrayBuffers;
        };
        held();
        // the engine frees what it has found a moment later
        await new Promise((resolve) => setTimeout(resolve, 100));
        const before = held();
        let peak = 0;
        let samples = 0;
        sample = () => {
          samples += 1;
          peak = Math.max(peak, held() - before);
        };
        assert.equal(await harness.output(), `${SIZE}\n`);
        assert.equal(samples, SIZE / SAMPLE_BYTES);
        const digest = (name: string): string =>
          createHash('sha256')
            .update(readFileSync(join(harness.folder, name)))
            .digest('hex');
        assert.equal(digest('copy.bin'), digest('big.bin'));
        assert.ok(peak < SIZE / 3, `${peak} bytes`);
        await harness.expectNothingOpen();
      } finally {
        await harness.close();
      }
    },
  );
});

test('Reading one response while another arrives never enters the parser twice', async () => {
  await using(
    plainUpstream((_request, response) => {
      response.end(Buffer.alloc(1_000_000, 'x'));
    }),
    async ({ url }) => {
      const text = await say(`
        local all, total = {}, 0
        for i = 1, 8 do all[i] = assert(httpd.fetch('${url}')) end
        local left = 8
        while left > 0 do
          for i = 1, 8 do
            local s = all[i] and httpd.read(all[i], 50000 + i)
            if s then total = total + #s elseif all[i] then all[i] = false left = left - 1 end
          end
        end
        say(total)`);
      assert.equal(text, '8000000');
    },
  );
});

test('Tasks of a request fetch at the same time, and a timer fetches without one', async () => {
  const waiting: (() => void)[] = [];
  await using(
    plainUpstream((request, response) => {
      if (request.url === '/timer') {
        response.end('timed');
        return;
      }
      waiting.push(() => response.end(`answer ${request.url}`));
      if (waiting.length === 3) for (const answer of waiting) answer();
    }),
    async ({ url }) => {
      const text = await say(`
        local function get(n) return httpd.read(assert(httpd.fetch('${url}/' .. n)), 'a') end
        local a, b = httpd.spawn(get, 'a'), httpd.spawn(get, 'b')
        say(get('c'))
        say(select(2, httpd.wait(a))) say(select(2, httpd.wait(b)))
        httpd.timer(0.001, function() done = get('timer') end)
        while not done do httpd.sleep(0.005) end
        say(done)`);
      assert.equal(text, 'answer /c\ntrue answer /a\ntrue answer /b\ntimed');
    },
  );
});

test('204 and 304 with a content-length end with their heads', async () => {
  for (const status of ['204 No Content', '304 Not Modified']) {
    const head = `HTTP/1.1 ${status}\r\ncontent-length: 300\r\netag: "x"\r\n\r\n`;
    await withRaw(head, false, async ({ url }) => {
      const text = await say(
        `local r = assert(httpd.fetch('${url}')) say(r.status, httpd.read(r, 'a') == '', r.headers.etag)`,
      );
      assert.equal(text, `${status.slice(0, 3)} true "x"`);
    });
  }
});

test('A location with blanks is followed as browsers do', async () => {
  const upstream = await plainUpstream((request, response) => {
    if (request.url === '/') response.writeHead(302, { location: ' /a b?c d ' });
    response.end(request.url);
  });
  try {
    assert.equal(await say(`say(httpd.read(assert(httpd.fetch('${upstream.url}/')), 'a'))`), '/a%20b?c%20d');
  } finally {
    await upstream.close();
  }
});
