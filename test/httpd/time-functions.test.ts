/** httpd.now, date, parsedate, log and worker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseHttpDate } from '../../src/http/semantics/http-date.ts';
import { ScriptHarness } from '../support/script-harness.ts';

/** The example of RFC 9110 §5.6.7. */
const SECONDS = 784_111_777;
const FORMS = ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'];
const YEAR_2026 = Date.UTC(2026, 0, 1);

async function outputOf(body: string): Promise<string> {
  const harness = await ScriptHarness.run(body);
  try {
    return (await harness.output()).trimEnd();
  } finally {
    await harness.close();
  }
}

test('httpd.now() gives seconds as a float', async () => {
  const [type, now] = (await outputOf(`say(math.type(httpd.now()), httpd.now())`)).split(' ');
  assert.equal(type, 'float');
  assert(Math.abs(Number(now) - Date.now() / 1000) < 60);
});

test('httpd.date() gives the form of HTTP for now, for whole and for broken seconds', async () => {
  const output =
    await outputOf(`say(httpd.date(${SECONDS})) say(httpd.date(${SECONDS}.9)) say(httpd.date(-1.5))
    say(httpd.parsedate(httpd.date()) - math.floor(httpd.now()) <= 1)`);
  assert.equal(output, `${FORMS[0]}\n${FORMS[0]}\nWed, 31 Dec 1969 23:59:58 GMT\ntrue`);
});

test('httpd.date() refuses what is no time of a year with four digits', async () => {
  for (const given of ['0/0', 'math.huge', '-math.huge', '253402300800', '-62167219201', '"x"', '{}'])
    assert.match(await outputOf(`say(pcall(httpd.date, ${given}))`), /^false bad argument #1/);
  assert.equal(
    await outputOf(`say(httpd.date(253402300799)) say(httpd.date(-62167219200))`),
    'Fri, 31 Dec 9999 23:59:59 GMT\nSat, 01 Jan 0000 00:00:00 GMT',
  );
});

test('httpd.parsedate() reads the three forms as an integer', async () => {
  for (const form of FORMS)
    assert.equal(
      await outputOf(`local t = httpd.parsedate('${form}') say(t, math.type(t))`),
      `${SECONDS} integer`,
    );
});

test('httpd.parsedate() gives nil, message, "invalid" for anything else', async () => {
  assert.equal(
    await outputOf(`say(httpd.parsedate('yesterday'))`),
    `nil Cannot read the date: "yesterday" has none of HTTP's three forms invalid`,
  );
  assert.match(await outputOf(`say(httpd.parsedate(('x'):rep(100000)))`), /^nil .{80,110} invalid$/);
});

test('parseHttpDate() refuses what only looks like a date', () => {
  const wrong = [
    '',
    'Sun, 06 Nov 1994 08:49:37 UTC',
    'sun, 06 nov 1994 08:49:37 gmt',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 00 Nov 1994 08:49:37 GMT',
    'Sun, 31 Nov 1994 08:49:37 GMT',
    'Sun, 29 Feb 1995 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:49:37 GMT',
    'Sun, 06 Nov 1994 08:60:37 GMT',
    'Sun, 06 Nov 1994 08:49:61 GMT',
    'Sun, 06 Nov 94 08:49:37 GMT',
    'Sunday, 06-Nov-1994 08:49:37 GMT',
    'Sun Nov 06 08:49:37 1994 GMT',
    ' Sun, 06 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT\n',
    'Xxx, 06 Nov 1994 08:49:37 GMT',
    '1994-11-06T08:49:37Z',
  ];
  for (const text of wrong) assert.equal(parseHttpDate(text), undefined, text);
});

test('parseHttpDate() puts years of two digits at most fifty years ahead', () => {
  const yearOf = (text: string): number =>
    new Date((parseHttpDate(text, YEAR_2026) ?? Number.NaN) * 1000).getUTCFullYear();
  assert.equal(yearOf('Sunday, 06-Nov-76 08:49:37 GMT'), 2076);
  assert.equal(yearOf('Sunday, 06-Nov-77 08:49:37 GMT'), 1977);
  assert.equal(yearOf('Sunday, 06-Nov-00 08:49:37 GMT'), 2000);
  assert.equal(parseHttpDate('Sat, 31 Dec 2016 23:59:60 GMT'), Date.UTC(2017, 0, 1) / 1000);
});

test('parseHttpDate() reads back every second that httpd.date can write', () => {
  fc.assert(
    fc.property(fc.integer({ min: -62_167_219_200, max: 253_402_300_799 }), (seconds) => {
      assert.equal(parseHttpDate(new Date(seconds * 1000).toUTCString()), seconds);
    }),
  );
});

test('httpd.log() writes lines of its level with the id of the request', async () => {
  const harness = await ScriptHarness.run(`
    httpd.log('error', 'a', 1, nil, 2.5, true)
    httpd.log('warn') httpd.log('info', 'x') httpd.log('debug', setmetatable({}, {__tostring = function() return 'own' end}))
    say(env.REQUEST_ID)
    say(pcall(httpd.log, 'fatal', 'x'))
    say(pcall(httpd.log))`);
  try {
    const lines = (await harness.output()).split('\n');
    const tail = ` mapping=/ request=${lines[0]}`;
    assert.deepEqual(harness.log, [
      `error a 1 nil 2.5 true${tail}`,
      `warn ${tail}`,
      `info x${tail}`,
      `debug own${tail}`,
    ]);
    assert.match(lines[1] ?? '', /unknown level 'fatal' \(error, warn, info, debug\)/);
    assert.match(lines[2] ?? '', /string expected, got no value/);
  } finally {
    await harness.close();
  }
});

test('httpd.log() works while a script is loaded, and cuts what is too long', async () => {
  const harness = await ScriptHarness.load(`require 'httpd'.log('info', ('x'):rep(100000))`, {
    mode: 'lhttpd',
  });
  try {
    assert.equal(harness.log[0]?.length, 'info '.length + 64 * 1024 + ' mapping=/ request=undefined'.length);
  } finally {
    await harness.close();
  }
});

test('httpd.worker tells the number of this worker, how many there are, and the process', async () => {
  const harness = await ScriptHarness.run(`say(httpd.worker.id, httpd.worker.count, httpd.worker.pid)`, {
    workerId: 3,
    workerCount: 5,
  });
  try {
    assert.equal(await harness.output(), `3 5 ${process.pid}\n`);
  } finally {
    await harness.close();
  }
});
