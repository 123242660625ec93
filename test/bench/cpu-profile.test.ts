/** Tests what the bench reads from a CPU profile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type CpuProfile, summarizeProfile } from '../../bench/cpu-profile.ts';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';

interface Frame {
  readonly name: string;
  readonly url?: string;
  readonly line?: number;
}

/** Makes a profile with one sample every 100 µs from 1000 µs on, with these frames. */
function profileOf(...frames: readonly Frame[]): CpuProfile {
  return {
    startTime: 1000,
    nodes: frames.map(({ name, url = '', line = -1 }, id) => ({
      id,
      callFrame: { functionName: name, url, lineNumber: line, columnNumber: 0 },
    })),
    samples: frames.map((_, id) => id),
    timeDeltas: frames.map(() => 100),
  };
}

test('summarizeProfile() adds up a function and shares out the time that was not idle', () => {
  const [f, g, idle] = [{ name: 'f', url: 'node:net', line: 9 }, { name: 'g' }, { name: '(idle)' }];
  const { busyPercent, functions } = summarizeProfile(profileOf(g, f, f, idle, f), 10);
  assert.equal(busyPercent, 80);
  assert.deepEqual(functions, [
    { percent: 75, name: 'f', place: 'node:net:10' },
    { percent: 25, name: 'g', place: '' },
  ]);
});

test('summarizeProfile() keeps to the time and the number of functions it is given', () => {
  const profile = profileOf({ name: 'a' }, { name: 'b' }, { name: 'b' }, { name: 'c' }, { name: '' });
  assert.deepEqual(
    summarizeProfile(profile, 2, 1150, 1450).functions.map(({ name }) => name),
    ['b', 'c'],
  );
  assert.equal(summarizeProfile(profile, 9).functions.at(-1)?.name, '(anonymous)');
  assert.deepEqual(summarizeProfile(profile, 2, 5000, 6000).functions, []);
});

test('summarizeProfile() names lines of the source, and of the compiled file where it has no map', () => {
  const urlOf = (path: string): string => pathToFileURL(`${PACKAGE_ROOT}/${path}`).href;
  const profile = profileOf(
    { name: 'mapped', url: urlOf('dist/bench/cpu-profile.js'), line: 20 },
    { name: 'bare', url: urlOf('dist/bench/absent.js'), line: 20 },
    { name: 'dependency', url: 'file:///anywhere/node_modules/undici/index.js', line: 0 },
    { name: 'wasm', url: 'wasm://wasm/0011b61e', line: 0 },
  );
  const places = summarizeProfile(profile, 9).functions.map(({ place }) => place);
  assert.match(places[0] ?? '', /^bench\/cpu-profile\.ts:\d+$/);
  assert.deepEqual(places.slice(1), [
    'dist/bench/absent.js:21',
    'node_modules/undici/index.js:1',
    'wasm://wasm/0011b61e',
  ]);
});
