/** /metrics of a gateway: what requests, scripts, servers, dictionaries, reloads and the process look like in it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { ALL_FAMILIES } from '../../src/supervisor/metric-families.ts';
import { cleartextPortOf } from '../support/cleartext-port.ts';
import { extractedTool } from '../support/install-tools.ts';
import { askAdmin } from '../support/run-gateway.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local cache = httpd.shared('cache')
httpd.register_handler('/plain', function() httpd.write(nil, 'plain') end)
httpd.register_handler('/status', function(env) httpd.header{[':status'] = tonumber(env.QUERY_INFO)} end)
httpd.register_handler('/late', function()
    httpd.header{[':status'] = 200}
    httpd.write(nil, ('x'):rep(300000))
    httpd.sleep(0.1)
end)
httpd.register_handler('/shared', function()
    cache:set('k', 'v')
    cache:get('k')
    cache:get('none')
end)
httpd.register_handler('/loop', function() while true do end end)
httpd.register_handler('/work', function()
    local t = os.clock()
    while os.clock() - t < 0.02 do end
end)`;

const OPEN = 'application/openmetrics-text; version=1.0.0';

let gateway: TestGateway;
before(async () => {
  const words = [
    '--admin',
    'unix:$FOLDER/admin.sock',
    '--http',
    '127.0.0.1:0',
    '--shared',
    'cache=1M',
    '-l',
    '/up',
    'http://127.0.0.1:9',
  ];
  gateway = await TestGateway.start({ '/': SCRIPT, '/a"b\\c': SCRIPT }, { words, workers: 2 });
});
after(() => gateway.stop());

async function scrape(accept = '*/*'): Promise<string> {
  const answer = await askAdmin(gateway.folder.file('admin.sock'), '/metrics', { headers: { accept } });
  assert.equal(answer.status, 200);
  return answer.body;
}

/** The value of a sample: its name and all its labels, as they stand there. */
function sampleOf(text: string, sample: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${sample} `));
  return line === undefined ? Number.NaN : Number(line.slice(sample.length + 1));
}

/** Counters are written when an exchange is over, which is a moment after its client has the answer. */
async function until(holds: (text: string) => boolean): Promise<string> {
  for (let tries = 0; ; tries++) {
    const text = await scrape();
    if (holds(text)) return text;
    assert.ok(tries < 3000, text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('Requests are counted by mapping, class of the status and protocol, and their times observed', async () => {
  await gateway.ask('h2', '/plain');
  await gateway.ask('h2', '/plain');
  await gateway.ask('h1', '/plain');
  assert.equal((await gateway.ask('h1', '/status?404')).status, 404);
  assert.equal((await gateway.ask('h2', '/a"b\\c/status?503')).status, 503);
  await gateway.ask('h2', '/late');
  const text = await until(
    (now) =>
      sampleOf(now, 'lgateway_request_duration_seconds_count{mapping="/"}') === 5 &&
      /lgateway_requests_total\{mapping="\/a[^}]+code="5xx",protocol="HTTP\/2"\} 1\n/.test(now),
  );
  const requests = (mapping: string, code: string, protocol: string): number =>
    sampleOf(text, `lgateway_requests_total{mapping="${mapping}",code="${code}",protocol="${protocol}"}`);
  assert.equal(requests('/', '2xx', 'HTTP/2'), 3);
  assert.equal(requests('/', '2xx', 'HTTP/1.1'), 1);
  assert.equal(requests('/', '4xx', 'HTTP/1.1'), 1);
  assert.equal(requests('/', '5xx', 'HTTP/2'), 0);
  const sum = (kind: string): number => sampleOf(text, `lgateway_request_${kind}_seconds_sum{mapping="/"}`);
  assert.ok(sum('duration') >= 0.1, 'the end of the late answer came after a tenth of a second');
  assert.ok(sum('duration') - sum('head') > 0.05, 'and its head before');
  assert.equal(sampleOf(text, 'lgateway_request_head_seconds_bucket{mapping="/",le="+Inf"}'), 5);
  assert.match(text, /lgateway_requests_total\{mapping="\/a\\"b\\\\c",code="5xx",protocol="HTTP\/2"\} 1\n/);
});

test('What no mapping has answered is counted, and no path or host of a client becomes a label', async () => {
  await gateway.talk('GET\r\n\r\n');
  await gateway.talk('GET /secret-path?secret=1 HTTP/1.0\r\nHost: secret.example\r\n\r\n');
  const text = await until((now) =>
    / code="4xx"|mapping="none",code="4xx",protocol="HTTP\/1\.[01]"\} [1-9]/.test(now),
  );
  assert.doesNotMatch(text, /secret/);
});

test('promtool finds nothing to say about names, types and help texts', async () => {
  await gateway.ask('h2', '/up/');
  await gateway.ask('h2', '/shared');
  const input = await until((now) => sampleOf(now, 'lgateway_proxy_failures_total') >= 1);
  const checked = spawnSync(extractedTool('promtool'), ['check', 'metrics'], { input, encoding: 'utf8' });
  assert.deepEqual([checked.status, checked.stdout, checked.stderr], [0, '', '']);
});

test('OpenMetrics has each family once, its samples behind it, no sample twice, and EOF at its end', async () => {
  const { headers, body } = await askAdmin(gateway.folder.file('admin.sock'), '/metrics', {
    headers: { accept: OPEN },
  });
  assert.equal(headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
  assert.ok(body.endsWith('\n# EOF\n'));
  const seen = new Set<string>();
  const samples = new Set<string>();
  let family = '';
  let kind = '';
  for (const line of body.split('\n').slice(0, -2)) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram|info)$/.exec(line);
    if (type !== null) {
      [, family = '', kind = ''] = type;
      assert.ok(!seen.has(family), `${family} comes once`);
      seen.add(family);
      continue;
    }
    if (line.startsWith('# HELP ')) continue;
    const [, name = '', labels = '', value = ''] = /^([a-z0-9_]+)(\{.*\})? (\S+)$/.exec(line) ?? [];
    const suffixes =
      { counter: ['_total'], gauge: [''], histogram: ['_bucket', '_sum', '_count'], info: ['_info'] }[kind] ??
      [];
    assert.ok(
      suffixes.some((suffix) => name === `${family}${suffix}`),
      `${line} belongs to ${family}`,
    );
    assert.ok(Number.isFinite(Number(value)), line);
    if (kind === 'counter') assert.ok(Number(value) >= 0, line);
    assert.ok(!samples.has(name + labels), `${line} comes once`);
    samples.add(name + labels);
  }
  const names = new Set(ALL_FAMILIES.map(({ name }) => name.replace(/_total$|_info$/, '')));
  assert.deepEqual(
    [...seen].filter((name) => !names.has(name)),
    [],
  );
  assert.deepEqual(
    [...names].filter((name) => !seen.has(name)),
    [],
  );
});

test('Servers behind proxies, dictionaries, certificates, connections and the process are in it', async () => {
  const session = await gateway.session();
  const text = await scrape();
  const upstream = 'mapping="/up",upstream="http://127.0.0.1:9"';
  assert.ok(sampleOf(text, `lgateway_upstream_failures_total{${upstream}}`) >= 1);
  assert.ok([0, 1].includes(sampleOf(text, `lgateway_upstream_healthy{${upstream}}`)));
  assert.equal(sampleOf(text, 'lgateway_shared_entries{dictionary="cache"}'), 1);
  assert.equal(sampleOf(text, 'lgateway_shared_size_bytes{dictionary="cache"}'), 1024 * 1024);
  assert.equal(sampleOf(text, 'lgateway_shared_bytes{dictionary="cache"}'), 64);
  assert.equal(sampleOf(text, 'lgateway_shared_hits_total{dictionary="cache"}'), 1);
  assert.equal(sampleOf(text, 'lgateway_shared_misses_total{dictionary="cache"}'), 1);
  assert.match(text, /^lgateway_certificate_expiry_seconds\{serial="[0-9A-F]+"\} [1-9]\d{4,}$/m);
  const [secure, plain] = [
    `https://127.0.0.1:${gateway.port}`,
    `http://127.0.0.1:${await cleartextPortOf(gateway)}`,
  ];
  assert.ok(sampleOf(text, `lgateway_connections{listener="${secure}"}`) >= 1);
  assert.ok(sampleOf(text, `lgateway_connections_accepted_total{listener="${secure}"}`) >= 1);
  assert.equal(sampleOf(text, `lgateway_connections_accepted_total{listener="${plain}"}`), 0);
  assert.ok(sampleOf(text, 'lgateway_tls_handshakes_total{version="TLSv1.3",resumed="false"}') >= 1);
  assert.ok(sampleOf(text, 'process_resident_memory_bytes') > 2 ** 20);
  assert.ok(sampleOf(text, 'process_open_fds') > 3);
  assert.ok(Math.abs(sampleOf(text, 'process_start_time_seconds') - Date.now() / 1000) < 3600);
  assert.equal(sampleOf(text, 'lgateway_workers{state="serving"}'), 2);
  session.destroy();
});

test('Processor time, memory, slices and limits of scripts are counted for their mapping', async () => {
  await gateway.ask('h2', '/work');
  assert.equal((await gateway.ask('h2', '/loop')).status, 500);
  const text = await until(
    (now) => sampleOf(now, 'lgateway_lua_limits_total{mapping="/",limit="cpu"}') === 1,
  );
  assert.ok(sampleOf(text, 'lgateway_lua_cpu_seconds_total{mapping="/"}') >= 1, 'the loop had its second');
  assert.ok(sampleOf(text, 'lgateway_lua_slices_total{mapping="/"}') > 10);
  assert.ok(sampleOf(text, 'lgateway_lua_memory_bytes{mapping="/"}') > 2 ** 16);
  assert.equal(sampleOf(text, 'lgateway_lua_limits_total{mapping="/",limit="time"}'), 0);
});

test('A scrape is answered while a worker loops, and asks no worker', async () => {
  const session = await gateway.session();
  // both workers may get one
  const loops = Array.from({ length: 8 }, () =>
    session.request({ ':path': '/loop' }).on('error', () => undefined),
  );
  await until((now) => sampleOf(now, 'lgateway_requests_in_flight') >= 8);
  const startedAt = performance.now();
  const text = await scrape();
  assert.ok(performance.now() - startedAt < 20_000);
  assert.ok(sampleOf(text, 'lgateway_requests_in_flight') >= 1, 'the loops run meanwhile');
  for (const loop of loops) loop.close();
  session.destroy();
});

test('Counts go on over reloads, which are counted by their result', async () => {
  const name = 'lgateway_requests_total{mapping="/",code="2xx",protocol="HTTP/2"}';
  const before = sampleOf(await scrape(), name);
  gateway.running.signal('SIGHUP');
  await until((now) => sampleOf(now, 'lgateway_reloads_total{result="success"}') === 1);
  await gateway.ask('h2', '/plain');
  const after = await until((now) => sampleOf(now, name) === before + 1);
  assert.ok(sampleOf(after, 'lgateway_lua_memory_bytes{mapping="/"}') > 2 ** 16);
  writeFileSync(gateway.folder.file('script-0.lua'), 'not lua');
  gateway.running.signal('SIGHUP');
  const text = await until((now) => sampleOf(now, 'lgateway_reloads_total{result="failure"}') === 1);
  assert.equal(sampleOf(text, name), before + 1);
});

test('A client that stalls amid the answer holds nothing up, and its connection ends', async () => {
  const path = gateway.folder.file('admin.sock');
  const stalled = connect(path);
  stalled.on('error', () => undefined).write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
  stalled.pause();
  assert.match(await scrape(), /lgateway_build_info/);
  stalled.destroy();
});

test('The dashboard asks for metrics that there are, and no others', () => {
  const dashboard = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'docs/grafana-dashboard.json'), 'utf8'));
  const names = new Set(
    ALL_FAMILIES.flatMap(({ name, kind }) =>
      kind === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
  const queries: string[] = dashboard.panels.flatMap((panel: { targets?: { expr: string }[] }) =>
    (panel.targets ?? []).map(({ expr }) => expr),
  );
  const variables: string[] = dashboard.templating.list.flatMap(({ query }: { query: unknown }) =>
    typeof query === 'string' ? [query] : [],
  );
  const asked = [...queries, ...variables].flatMap(
    (query) => query.match(/\b(?:lgateway|process)_[a-z0-9_]+/g) ?? [],
  );
  assert.ok(asked.length > 20);
  assert.deepEqual(
    [...new Set(asked)].filter((name) => !names.has(name)),
    [],
  );
  const rules = queries.map((query, i) => ({ record: `query_${i}`, expr: fill(query) }));
  const file = gateway.folder.file('rules.json');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'all', rules }] }));
  const checked = spawnSync(extractedTool('promtool'), ['check', 'rules', file], { encoding: 'utf8' });
  assert.equal(checked.status, 0, checked.stderr);
});

/** As Grafana sets its variables. */
function fill(query: string): string {
  return query
    .replaceAll('$__rate_interval', '1m')
    .replaceAll('$instance', '.*')
    .replaceAll('$mapping', '.*');
}
