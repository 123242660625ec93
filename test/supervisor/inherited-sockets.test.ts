/** takeInheritedSockets(): the variables of systemd's protocol, and what is wrong with them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inheritedVariables, takeInheritedSockets } from '../../src/supervisor/inherited-sockets.ts';

const PID = 4711;

test('takeInheritedSockets() counts from descriptor 3 and removes the variables', () => {
  const environment = {
    LISTEN_FDS: '2',
    LISTEN_PID: '4711',
    LISTEN_FDNAMES: 'http:web.socket',
    PATH: '/bin',
  };
  assert.deepEqual(takeInheritedSockets(environment, PID, 'https'), {
    sockets: [
      { descriptor: 3, scheme: 'http' },
      { descriptor: 4, scheme: 'https' },
    ],
  });
  assert.deepEqual(environment, { PATH: '/bin' });
});

test('takeInheritedSockets() takes sockets without LISTEN_PID and names', () => {
  assert.deepEqual(takeInheritedSockets({ LISTEN_FDS: '1' }, PID, 'http').sockets, [
    { descriptor: 3, scheme: 'http' },
  ]);
});

test('takeInheritedSockets() leaves the sockets of another process alone, says so, and removes the variables', () => {
  const environment = { LISTEN_FDS: '1', LISTEN_PID: '1' };
  const { sockets, notice } = takeInheritedSockets(environment, PID, 'https');
  assert.deepEqual(sockets, []);
  assert.match(notice ?? '', /^LISTEN_PID is "1" and this process is 4711/);
  assert.deepEqual(environment, {});
});

test('takeInheritedSockets() finds nothing where nothing is said, and none in 0', () => {
  assert.deepEqual(takeInheritedSockets({}, PID, 'https'), { sockets: [] });
  assert.deepEqual(takeInheritedSockets({ LISTEN_FDS: '0', LISTEN_FDNAMES: '' }, PID, 'https'), {
    sockets: [],
  });
});

test('takeInheritedSockets() accepts 64 sockets and refuses 65, and what is no number', () => {
  assert.equal(takeInheritedSockets({ LISTEN_FDS: '64' }, PID, 'https').sockets.length, 64);
  for (const count of ['65', '-1', '1.5', 'three', '', ' 1'])
    assert.throws(() => takeInheritedSockets({ LISTEN_FDS: count }, PID, 'https'), {
      code: 'LGW_SOCKETS',
      message: `LISTEN_FDS is "${count}" and has to be a number of sockets from 0 to 64`,
    });
});

test('takeInheritedSockets() refuses more or fewer names than sockets', () => {
  assert.throws(() => takeInheritedSockets({ LISTEN_FDS: '2', LISTEN_FDNAMES: 'http' }, PID, 'https'), {
    message: 'LISTEN_FDNAMES "http" has 1 names and LISTEN_FDS is 2',
  });
});

test('inheritedVariables() says what takeInheritedSockets() read', () => {
  const { sockets } = takeInheritedSockets({ LISTEN_FDS: '2', LISTEN_FDNAMES: 'http:x' }, PID, 'https');
  assert.deepEqual(takeInheritedSockets({ ...inheritedVariables(sockets) }, 1, 'https').sockets, sockets);
  assert.deepEqual(inheritedVariables([]), {});
});
