/** What lies in docs/deployment/: systemd takes its units and finds them tight, all give the gateway its time, and what they name is there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { testCertificate } from '../support/certificate.ts';
import { GatewayFolder, GatewayProcess, MAIN } from '../support/run-gateway.ts';

const UNITS = fileURLToPath(new URL('../../../docs/deployment/', import.meta.url));
const EXPOSURE_MAX = 2.0;

let folder: string;
const read = (name: string): string => readFileSync(join(UNITS, name), 'utf8');

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-units-'));
  // a program that is there
  const service = read('lgateway.service').replace('/usr/bin/lgateway', process.execPath);
  writeFileSync(join(folder, 'lgateway.service'), service);
  writeFileSync(join(folder, 'lgateway.socket'), read('lgateway.socket'));
});
after(() => rmSync(folder, { recursive: true }));

function analyze(...words: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', words, { encoding: 'utf8', cwd: folder });
  return { status, output: stdout + stderr };
}

test('systemd-analyze verify has nothing to say of the units', () => {
  assert.deepEqual(analyze('verify', './lgateway.service', './lgateway.socket'), { status: 0, output: '' });
});

test('systemd-analyze security rates the service as tight as docs/deployment.md says', () => {
  const { output } = analyze('security', '--offline=true', './lgateway.service');
  const rating = /Overall exposure level for lgateway\.service: ([\d.]+)/.exec(output)?.[1];
  assert.ok(Number(rating) <= EXPOSURE_MAX, output);
  assert.ok(
    readFileSync(join(UNITS, '../deployment.md'), 'utf8').includes(`rates the unit ${rating} `),
    rating,
  );
});

test('The service has longer to stop than the gateway takes to drain', () => {
  const seconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(read('lgateway.service'))?.[1]);
  assert.ok(seconds * 1000 >= DEFAULT_LIMITS.drainTimeoutMs + 2000);
});

const MANIFESTS = ['kubernetes.yaml', 'kubernetes-fleet.yaml'];

function manifestsOf(file: string): Record<string, unknown>[] {
  return parseAllDocuments(read(file)).map((one) => {
    assert.deepEqual(one.errors, []);
    return one.toJS() as Record<string, unknown>;
  });
}

/** Of the manifests, the object of one kind; the gateway's, where a store has one, too. */
function manifest(kind: string, file = 'kubernetes.yaml', name = 'lgateway'): Record<string, unknown> {
  const found = manifestsOf(file).find(
    (one) => one['kind'] === kind && member(one, 'metadata', 'name') === name,
  );
  assert.ok(found, `${kind} ${name} in ${file}`);
  return found;
}

/** The member at a path of names and numbers. */
function member(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce((one, name) => (one as Record<string | number, unknown>)[name], value);
}

for (const file of MANIFESTS) {
  test(`A pod has longer to end than its pause and the drain take: ${file}`, () => {
    const pod = member(manifest('Deployment', file), 'spec', 'template', 'spec');
    const pause = Number(member(pod, 'containers', 0, 'lifecycle', 'preStop', 'exec', 'command', 1));
    const data = member(manifest('ConfigMap', file), 'data', 'lgateway.toml');
    const drain = Number(/^drain-timeout = (\d+)$/m.exec(String(data))?.[1]);
    assert.ok(Number(member(pod, 'terminationGracePeriodSeconds')) >= pause + drain + 2);
  });

  test(`The configuration of the manifests is sound, and they mount what it names: ${file}`, () => {
    const data = member(manifest('ConfigMap', file), 'data') as Record<string, string>;
    const { certPath, keyPath } = testCertificate();
    writeFileSync(join(folder, 'store-secret'), `${'5'.repeat(64)}\n`, { mode: 0o600 });
    const toml = (data['lgateway.toml'] ?? '')
      .replace('/etc/lgateway/tls/tls.crt', certPath)
      .replace('/etc/lgateway/tls/tls.key', keyPath)
      .replace('/etc/lgateway/store/secret', join(folder, 'store-secret'));
    writeFileSync(join(folder, 'lgateway.toml'), toml);
    writeFileSync(join(folder, 'app.lua'), data['app.lua'] ?? '');
    const { env = [], volumeMounts } = member(
      manifest('Deployment', file),
      'spec',
      'template',
      'spec',
      'containers',
      0,
    ) as { env?: { name: string }[]; volumeMounts: { mountPath: string }[] };
    // what has an address here has it by a secret there
    const variables = Object.fromEntries(env.map(({ name }) => [name, 'redis://127.0.0.1:1']));
    const { status, stderr } = spawnSync(
      process.execPath,
      [MAIN, 'check', '--run', '--config', join(folder, 'lgateway.toml')],
      { encoding: 'utf8', env: { ...process.env, ...variables } },
    );
    assert.equal(status, 0, stderr);
    const paths = volumeMounts.map(({ mountPath }) => mountPath);
    for (const path of ['/etc/lgateway/lgateway.toml', '/etc/lgateway/app.lua', '/etc/lgateway/tls'])
      assert.ok(paths.includes(path), path);
  });
}

test('The store of the fleet is reached by the name, the port and the user that the manual gives', () => {
  const file = 'kubernetes-fleet.yaml';
  const container = member(
    manifest('StatefulSet', file, 'valkey'),
    'spec',
    'template',
    'spec',
    'containers',
    0,
  );
  const { args } = container as { args: string[] };
  const after = (word: string): string | undefined => args[args.indexOf(word) + 1];
  const service = member(manifest('Service', file, 'valkey'), 'spec', 'ports', 0);
  const policy = member(manifest('NetworkPolicy', file, 'valkey'), 'spec', 'ingress', 0);
  assert.equal(member(service, 'port'), Number(after('--port')));
  assert.equal(member(container, 'ports', 0, 'name'), member(service, 'targetPort'));
  assert.equal(member(policy, 'ports', 0, 'port'), member(service, 'targetPort'));
  assert.deepEqual(
    member(policy, 'from', 0, 'podSelector', 'matchLabels'),
    member(manifest('Deployment', file), 'spec', 'template', 'metadata', 'labels'),
  );
  const manual = readFileSync(join(UNITS, '../many-machines.md'), 'utf8');
  const secret = /create secret generic lgateway-store[\s\S]*?kubectl apply/.exec(manual)?.[0] ?? '';
  const keys = [...secret.matchAll(/--from-literal=([\w.]+)=/g)].map(([, key]) => key);
  assert.deepEqual(keys, ['url', 'secret', 'users.acl']);
  for (const key of keys) assert.match(read(file), new RegExp(`key: ${key}\\b`));
  assert.match(secret, /=redis:\/\/gateway:\$PASSWORD@valkey /);
  assert.match(after('--aclfile') ?? '', /users\.acl$/);
});

test('HAProxy takes the configuration of the fleet, whose port the manual gives the machines', () => {
  const { status, stderr } = spawnSync('haproxy', ['-c', '-f', join(UNITS, 'haproxy.cfg')], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  assert.match(read('haproxy.cfg'), /server a 10\.0\.0\.11:8443/);
});

test('Probes and the health check of the image ask what the admin listener answers', async () => {
  const container = member(manifest('Deployment'), 'spec', 'template', 'spec', 'containers', 0);
  const commands = ['startupProbe', 'readinessProbe', 'livenessProbe'].map(
    (name) => (member(container, name, 'exec', 'command') as string[])[2] ?? '',
  );
  const health = /^HEALTHCHECK .*CMD (\[.*\])$/m.exec(read('Containerfile'))?.[1] ?? '[]';
  const [, , inImage = ''] = JSON.parse(health) as string[];
  const gatewayFolder = new GatewayFolder();
  const words = [
    '-p',
    '0',
    '-w',
    '1',
    '--admin',
    '127.0.0.1:0',
    '-c',
    gatewayFolder.certificate,
    '-k',
    gatewayFolder.key,
  ];
  const gateway = new GatewayProcess(gatewayFolder, words);
  try {
    await gateway.ready();
    const port = /admin[^\n]*127\.0\.0\.1:(\d+)/i.exec(gateway.stderr)?.[1] ?? '';
    for (const command of new Set([...commands, inImage])) {
      const asked = command.replace(':9443/', `:${port}/`);
      assert.notEqual(asked, command);
      assert.equal(spawnSync(process.execPath, ['-e', asked]).status, 0, asked);
      const nobody = command.replace(':9443/', ':1/');
      assert.equal(spawnSync(process.execPath, ['-e', nobody]).status, 1, nobody);
    }
  } finally {
    await gateway.stop();
    gatewayFolder.remove();
  }
});

test('The image copies what there is', () => {
  const copies = [...read('Containerfile').matchAll(/^COPY (?!\.)(.*)$/gm)].map(([, words = '']) => words);
  const sources = copies.flatMap((words) => words.replace('--from=build ', '').split(' ').slice(0, -1));
  assert.ok(sources.length > 6);
  for (const source of sources) {
    const name = source.replace('/build/', '');
    assert.ok(existsSync(join(PACKAGE_ROOT, name)), name);
  }
});
