/** gatewayBanner(): what stands in it for each kind of configuration. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BannerFacts, gatewayBanner } from '../../src/supervisor/banner.ts';

const FACTS: BannerFacts = {
  version: '1.2.3',
  addresses: [{ scheme: 'https', address: '::', port: 8443 }],
  workerCount: 2,
  mappings: [
    { prefix: '/', script: 'site.lua' },
    { prefix: '/app', script: 'app.lua' },
  ],
  development: undefined,
  notes: [],
};

test('gatewayBanner() names the address, the workers and the scripts', () => {
  assert.equal(
    gatewayBanner(FACTS),
    'lgateway 1.2.3 serves https://localhost:8443/ with 2 workers\n  /     site.lua\n  /app  app.lua\nOpen https://localhost:8443/\n',
  );
});

test('gatewayBanner() shows the modes of scripts', () => {
  const mappings = [
    { prefix: '/', script: 'site.lua', mode: 'luvit' },
    { prefix: '/app', script: 'app.lua' },
  ] as const;
  assert.match(
    gatewayBanner({ ...FACTS, mappings }),
    /\n {2}\/ {5}site\.lua \(luvit\)\n {2}\/app {2}app\.lua\n/,
  );
});

test('gatewayBanner() shows a given address as it is, and the cleartext listener', () => {
  const text = gatewayBanner({
    ...FACTS,
    workerCount: 1,
    addresses: [
      { scheme: 'https', address: '::1', port: 443 },
      { scheme: 'http', address: '127.0.0.1', port: 80 },
    ],
  });
  assert.match(text, /serves https:\/\/\[::1\]:443\/ and http:\/\/127\.0\.0\.1:80\/ with 1 worker\n/);
});

test('gatewayBanner() gives the curl line that trusts the development certificate', () => {
  const certificateFile = "/home/o'hara/my certs/certificate.pem";
  const text = gatewayBanner({ ...FACTS, development: { certificateFile, fingerprint: 'AB:CD' } });
  assert.ok(text.includes('  SHA-256 AB:CD\n'));
  assert.ok(
    text.includes(`  curl --cacert '/home/o'\\''hara/my certs/certificate.pem' https://localhost:8443/\n`),
  );
});

test('gatewayBanner() ends with its notes and the address to open', () => {
  const text = gatewayBanner({ ...FACTS, notes: ['Mind the gap'] });
  assert.ok(text.endsWith('\nMind the gap\nOpen https://localhost:8443/\n'));
});
