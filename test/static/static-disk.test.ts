/** What clients get of files on a disk that fails or does not answer: the real program, and a file system that does so. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { eventually } from '../support/script-harness.ts';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const SMALL_BYTES = 1000;
const LARGE_BYTES = 8 * 1024 * 1024;
/** Behind what is read before the head leaves. */
const MIDDLE = 2 * 1024 * 1024;
/** More than a mapping may have operations under way. */
const HANGING = 10;

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/read', function()
    local file <close> = assert(io.open('$FOLDER/plain/small.txt'))
    httpd.write(nil, file:read('a'))
end)`;

let gateway: TestGateway;
let disk: FaultyDisk;

before(async () => {
  gateway = await TestGateway.start(
    { '/script': SCRIPT },
    {
      words: ['-l', '/disk', '$FOLDER/disk', '-l', '/plain', '$FOLDER/plain'],
      apart: true,
      prepare: (folder) => {
        mkdirSync(folder.file('plain'));
        mkdirSync(folder.file('disk'));
        writeFileSync(folder.file('plain/small.txt'), 'small');
      },
    },
  );
  // a file system that was mounted later is another folder: the mapping looks for its folder anew
  disk = await FaultyDisk.mount(gateway.folder.file('disk'));
});
after(async () => {
  await disk?.remove();
  await gateway?.stop();
});

/** Files that the program has open on the disk. */
function filesOpen(): string[] {
  const folder = `/proc/${gateway.process.pid}/fd`;
  const names = readdirSync(folder).map((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`);
    } catch {
      return '';
    }
  });
  return names.filter((name) => name.startsWith(disk.folder));
}

for (const protocol of PROTOCOLS) {
  test(`A file that cannot be opened or read gets 503 for what the machine lacks, else 500 (${protocol})`, async () => {
    for (const [error, status] of [
      ['ENOMEM', 503],
      ['EMFILE', 503],
      ['ENFILE', 503],
      ['EIO', 500],
      ['ESTALE', 500],
    ] as const) {
      for (const fault of ['open', 'read'])
        for (const size of [SMALL_BYTES, LARGE_BYTES]) {
          const got = await gateway.ask(protocol, `/disk/${size}@${fault}=${error}`);
          assert.deepEqual([got.status, got.cut], [status, false], `${fault} ${error} of ${size}`);
          const id = /Error id: ([\w-]+)/.exec(got.text)?.[1];
          await gateway.untilLog(new RegExp(`File not sent .*request=${id}`));
        }
    }
    await gateway.untilIdle();
    assert.deepEqual(filesOpen(), []);
  });

  test(`An error in the middle of a file breaks the answer off (${protocol})`, async () => {
    for (const error of ['ENOMEM', 'EIO', 'ESTALE', 'EMFILE']) {
      const got = await gateway.ask(protocol, `/disk/${LARGE_BYTES}@read=${error}@${MIDDLE}`);
      assert.equal(got.status, 200, error);
      assert.equal(got.cut, true, error);
      assert.ok(got.body.length <= MIDDLE);
    }
    await gateway.untilIdle();
    assert.deepEqual(filesOpen(), []);
  });
}

test('A disk that hangs in the middle of files holds up no other answer, and leaves nothing open', async () => {
  const hanging = await Promise.all(
    Array.from({ length: HANGING }, async (_, i) => {
      const session = await gateway.session();
      const stream = session.request({ ':path': `/disk/${LARGE_BYTES}@read=hang@${MIDDLE + i}` });
      stream.on('error', () => undefined);
      stream.resume();
      await new Promise((resolve) => stream.once('data', resolve));
      return session;
    }),
  );
  // names that nobody has asked for: each takes its turn in the pool, which has one thread left
  for (let i = 0; i < 20; i++) {
    const name = `file-${i}.txt`;
    writeFileSync(gateway.folder.file(`plain/${name}`), name);
    assert.equal((await gateway.ask('h2', `/plain/${name}`)).text, name);
    assert.equal((await gateway.ask('h1', '/script/read')).text, 'small');
  }
  for (const session of hanging) session.destroy();
  await disk.remove();
  await gateway.untilIdle();
  await eventually(() => assert.deepEqual(filesOpen(), []));
});
