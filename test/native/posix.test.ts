/** Duplicated descriptors: independent of their originals, closed on exec; failures are reported. */
import { deepEqual, equal, match, notEqual, ok, throws } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { GatewayError } from '../../src/base/errors.ts';
import {
  closeDescriptor,
  duplicateDescriptor,
  isAvailable,
  unavailableReason,
} from '../../src/native/posix.ts';

describe('native/posix', () => {
  let folder = '';
  let file = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'lgw-posix-'));
    file = join(folder, 'abc');
    writeFileSync(file, 'abc');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('is available on this platform', () => {
    equal(unavailableReason(), undefined);
    equal(isAvailable(), true);
  });

  test('duplicateDescriptor() gives a number of its own for the same open file', () => {
    const original = openSync(file, 'r');
    const copy = duplicateDescriptor(original);
    notEqual(copy, original);
    ok(copy > 2);
    const byte = Buffer.alloc(1);
    readSync(original, byte);
    closeDescriptor(original);
    readSync(copy, byte);
    equal(byte.toString(), 'b');
    closeDescriptor(copy);
    throws(() => fstatSync(copy), /EBADF/);
  });

  test('duplicateDescriptor() sets close-on-exec: a started program does not see it', () => {
    const original = openSync(file, 'r');
    const copy = duplicateDescriptor(original);
    try {
      if (process.platform === 'linux') {
        const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${copy}`, 'utf8'))?.[1] ?? '0';
        equal(Number.parseInt(flags, 8) & 0o2000000, 0o2000000);
      }
      throws(() => execFileSync('sh', ['-c', `: <&${copy}`], { stdio: 'ignore' }));
    } finally {
      closeSync(original);
      closeSync(copy);
    }
  });

  test('duplicateDescriptor() refuses a number that is not open, with the name of the error', () => {
    throws(
      () => duplicateDescriptor(987_654),
      (error) => {
        ok(error instanceof GatewayError);
        deepEqual(
          [error.code, error.message],
          ['LGW_DESCRIPTOR', 'Cannot duplicate descriptor 987654: EBADF'],
        );
        return true;
      },
    );
  });

  test('closeDescriptor() refuses a number that is not open', () => {
    throws(
      () => closeDescriptor(987_654),
      (error) => {
        ok(error instanceof GatewayError);
        match(error.message, /^Cannot close descriptor 987654: EBADF$/);
        return true;
      },
    );
  });

  test('says so on a platform whose numbers it does not know', async () => {
    const before = Object.getOwnPropertyDescriptor(process, 'platform') as PropertyDescriptor;
    Object.defineProperty(process, 'platform', { ...before, value: 'sunos' });
    try {
      // a new instance of the module, which has not looked for the function yet
      const address = new URL('../../src/native/posix.js?sunos', import.meta.url).href;
      const posix: typeof import('../../src/native/posix.ts') = await import(address);
      equal(posix.isAvailable(), false);
      equal(posix.unavailableReason(), 'Descriptors cannot be duplicated on sunos');
      throws(() => posix.duplicateDescriptor(0), { code: 'LGW_NATIVE_UNAVAILABLE' });
    } finally {
      Object.defineProperty(process, 'platform', before);
    }
  });

  test('a server on a duplicate keeps accepting when the server on the original has closed', async () => {
    const first = createServer();
    first.listen(0, '127.0.0.1');
    await once(first, 'listening');
    const { port } = first.address() as AddressInfo;
    const { _handle: handle } = first as unknown as { _handle: { fd: number } };
    const second = createServer((socket) => socket.end('second'));
    second.listen({ fd: duplicateDescriptor(handle.fd) });
    await once(second, 'listening');
    first.close();
    await once(first, 'close');
    const client = connect(port, '127.0.0.1');
    let received = '';
    client.on('data', (bytes: Buffer) => {
      received += bytes.toString();
    });
    await once(client, 'close');
    equal(received, 'second');
    second.close();
    await once(second, 'close');
  });
});
