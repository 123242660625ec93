/**
 * A file system that fails as its names say, in a process of its own: FUSE's protocol (linux/fuse.h) on /dev/fuse, spoken without a library.
 * `node faulty-disk-server.js FOLDER` mounts it there and serves until it is killed, by which all that hangs ends with an error.
 *
 * A name is `SIZE[@open=ERROR|@read=ERROR@OFFSET]…`: so many bytes, opened or read from the offset on with that error of Linux, or `hang`.
 */
import { openSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';

const OPCODE = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  release: 18,
  flush: 25,
  init: 26,
  interrupt: 36,
  batchForget: 42,
} as const;
const IN_HEADER_BYTES = 40;
const OUT_HEADER_BYTES = 16;
const ATTRIBUTE_BYTES = 88;
const REQUEST_BYTES_MAX = 1024 * 1024 + 4096;
const MINOR_VERSION = 31;
const ASYNC_READ = 1;
/** FOPEN_DIRECT_IO: each read comes here. */
const DIRECT = 1;
const FILE_MODE = 0o100444;
const DIRECTORY_MODE = 0o40555;
const ROOT = 1;
const SECONDS = 1_700_000_000;

interface Fault {
  readonly at: 'open' | 'read';
  /** Number of the error; undefined: it hangs. */
  readonly errno: number | undefined;
  readonly offset: number;
}

interface Served {
  readonly size: number;
  readonly faults: readonly Fault[];
}

const files: Served[] = [];
const numbers = new Map<string, number>();

function parse(name: string): Served | undefined {
  const [size = '', ...faults] = name.split(/@(?=open|read)/);
  if (!/^\d+$/.test(size)) return undefined;
  return {
    size: Number(size),
    faults: faults.map((fault) => {
      const [, at, error = '', offset] = /^(open|read)=(\w+)(?:@(\d+))?/.exec(fault) ?? [];
      const errno = constants.errno[error as keyof typeof constants.errno];
      return { at: at as Fault['at'], errno, offset: Number(offset ?? 0) };
    }),
  };
}

/** The number of the node; undefined: there is no such name. */
function nodeOf(name: string): number | undefined {
  const known = numbers.get(name);
  if (known !== undefined) return known;
  const file = parse(name);
  if (file === undefined) return undefined;
  files.push(file);
  numbers.set(name, ROOT + files.length);
  return ROOT + files.length;
}

function fileOf(node: number): Served {
  return files[node - ROOT - 1] as Served;
}

function attributes(node: number): Buffer {
  const isRoot = node === ROOT;
  const out = Buffer.alloc(ATTRIBUTE_BYTES);
  out.writeBigUInt64LE(BigInt(node), 0);
  out.writeBigUInt64LE(BigInt(isRoot ? 0 : fileOf(node).size), 8);
  for (const at of [24, 32, 40]) out.writeBigUInt64LE(BigInt(SECONDS), at);
  out.writeUInt32LE(isRoot ? DIRECTORY_MODE : FILE_MODE, 60);
  out.writeUInt32LE(1, 64);
  out.writeUInt32LE(4096, 80);
  return out;
}

function words(...values: number[]): Buffer {
  const out = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => {
    out.writeUInt32LE(value, i * 4);
  });
  return out;
}

type Reply = Buffer | number | 'none';

function answer(opcode: number, node: number, body: Buffer): Reply {
  switch (opcode) {
    case OPCODE.init:
      return Buffer.concat([words(7, MINOR_VERSION, 65536, ASYNC_READ, 0, 1024 * 1024, 1), Buffer.alloc(36)]);
    case OPCODE.lookup: {
      const found = nodeOf(body.subarray(0, body.indexOf(0)).toString());
      if (found === undefined) return constants.errno.ENOENT;
      const entry = Buffer.alloc(40);
      entry.writeBigUInt64LE(BigInt(found), 0);
      return Buffer.concat([entry, attributes(found)]);
    }
    case OPCODE.getattr:
      return Buffer.concat([Buffer.alloc(16), attributes(node)]);
    case OPCODE.open: {
      const fault = fileOf(node).faults.find(({ at }) => at === 'open');
      if (fault !== undefined) return fault.errno ?? 'none';
      return words(0, 0, DIRECT, 0);
    }
    case OPCODE.read: {
      const offset = Number(body.readBigUInt64LE(8));
      const length = body.readUInt32LE(16);
      const { size, faults } = fileOf(node);
      const fault = faults.find((each) => each.at === 'read' && offset + length > each.offset);
      if (fault !== undefined && offset >= fault.offset) return fault.errno ?? 'none';
      const end = Math.min(size, offset + length, fault?.offset ?? Number.POSITIVE_INFINITY);
      return Buffer.alloc(Math.max(0, end - offset), 'x');
    }
    case OPCODE.release:
    case OPCODE.flush:
      return Buffer.alloc(0);
    case OPCODE.forget:
    case OPCODE.batchForget:
    case OPCODE.interrupt:
      return 'none';
    default:
      return constants.errno.ENOSYS;
  }
}

function serve(device: number): never {
  const request = Buffer.alloc(REQUEST_BYTES_MAX);
  for (;;) {
    const length = readSync(device, request);
    const reply = answer(
      request.readUInt32LE(4),
      Number(request.readBigUInt64LE(16)),
      request.subarray(IN_HEADER_BYTES, length),
    );
    if (reply === 'none') continue;
    const data = typeof reply === 'number' ? Buffer.alloc(0) : reply;
    const head = Buffer.alloc(OUT_HEADER_BYTES);
    head.writeUInt32LE(OUT_HEADER_BYTES + data.length, 0);
    head.writeInt32LE(typeof reply === 'number' ? -reply : 0, 4);
    request.copy(head, 8, 8, 16);
    writeSync(device, Buffer.concat([head, data]));
  }
}

const device = openSync('/dev/fuse', 'r+');
const koffi: typeof import('koffi') = createRequire(import.meta.url)(
  `@koromix/koffi-${process.platform}-${process.arch}`,
);
const mount = koffi
  .load('libc.so.6')
  .func('int mount(const char *, const char *, const char *, unsigned long, const char *)');
const data = `fd=${device},rootmode=40000,user_id=0,group_id=0,allow_other`;
if (mount('faulty-disk', process.argv[2], 'fuse', 0, data) !== 0) {
  process.stderr.write(`mount: ${koffi.errno()}\n`);
  process.exit(1);
}
process.stdout.write('mounted\n');
serve(device);
