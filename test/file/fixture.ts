/** A file system on a temporary folder, with promises in place of callbacks, for the tests of the file layer. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ByteSource } from '../../src/base/byte-stream.ts';
import { createLogger } from '../../src/base/logger.ts';
import { ProcessGroups } from '../../src/base/process-groups.ts';
import { Scope } from '../../src/base/scope.ts';
import type { ByteFile, ProcessExit, Whence } from '../../src/file/byte-file.ts';
import type { FileError } from '../../src/file/file-error.ts';
import { FileSystem, type FileSystemOptions } from '../../src/file/file-system.ts';
import { OperationOwner } from '../../src/file/operation-queue.ts';
import type { PipeFile } from '../../src/file/pipe-file.ts';
import {
  type PipeMode,
  type ProcessOwner,
  ProcessTable,
  type ProcessTableOptions,
} from '../../src/file/process-table.ts';
import { type Share, Shares } from '../../src/mapping/shares.ts';
import { Counters } from '../../src/metrics/worker-metrics.ts';
import { duplicateDescriptor } from '../../src/native/posix.ts';

const { PATH = '' } = process.env;

export type FixtureOptions = Partial<FileSystemOptions & ProcessTableOptions> & {
  /** Default: any command is allowed and runs in a shell. */
  readonly allowedCommands?: readonly string[];
  readonly filesMax?: number;
  readonly processesMax?: number;
};

/** Every test has to end its fixture. */
export class Fixture {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'lgateway-file-'));
  readonly counters: Counters = new Counters();
  readonly files: FileSystem;
  readonly processes: ProcessTable;
  /** Counts all files and processes of the test. */
  readonly share: Share;
  readonly owner: ProcessOwner;

  constructor(options: FixtureOptions = {}) {
    const { folder, counters } = this;
    const { filesMax: files = 1000, processesMax: processes = 64 } = options;
    const limits = {
      files,
      processes,
      fetches: 0,
      sockets: 0,
      tasks: 0,
      timers: 0,
      subscriptions: 10,
      messageBytes: 10,
      storeCalls: 10,
      websockets: 1,
    };
    this.share = new Shares({ limits, percent: 50 }).of('/');
    const logger = options.logger ?? createLogger('error', 'test', () => undefined);
    const { allowedCommands } = options;
    this.owner = {
      scope: new Scope(),
      share: this.share,
      loading: false,
      workingDirectory: folder,
      allowedCommands,
      logger,
    };
    const shared = { counters, logger: undefined };
    this.files = new FileSystem({
      ...shared,
      workingDirectory: folder,
      root: undefined,
      operationsMax: 16,
      duplicate: duplicateDescriptor,
      ...options,
    });
    this.processes = new ProcessTable({
      ...shared,
      environment: { PATH },
      groups: new ProcessGroups(),
      blocks: this.files.blocks,
      ...options,
    });
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  open(name: string, mode: string): Promise<ByteFile> {
    return new Promise((resolve, reject) => {
      this.files.open(
        name,
        mode,
        (error, file) => (file === undefined ? reject(error) : resolve(file)),
        new OperationOwner(this.share),
      );
    });
  }

  popen(command: string, mode: PipeMode): Promise<PipeFile> {
    return new Promise((resolve, reject) => {
      this.processes.openPipe(command, mode, this.owner, (error, file) =>
        file === undefined ? reject(error) : resolve(file),
      );
    });
  }

  /** Waits until everything is closed, then removes the folder. */
  async end(): Promise<void> {
    this.files.stop();
    this.processes.stop();
    await until(() => this.counters.get('files') === 0 && this.counters.get('pipes') === 0);
    assert.equal(this.files.files, 0);
    assert.equal(this.files.operations.inFlight, 0);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Runs a test with a fixture, and ends the fixture afterwards. */
export function withFixture(
  test: (fixture: Fixture) => Promise<void>,
  options: FixtureOptions = {},
): () => Promise<void> {
  return async () => {
    const fixture = new Fixture(options);
    try {
      await test(fixture);
    } finally {
      await fixture.end();
    }
  };
}

/** Nothing that is tested: a wait that lasts longer stands still, on the slowest machine too. */
const WAIT_MAX_MS = 60_000;

/** Waits until `condition` holds, `WAIT_MAX_MS` at most. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MAX_MS;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `in time: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export function request(source: ByteSource, size: number): Promise<void> {
  return new Promise((resolve) => {
    let returned = false;
    source.request(size, () => {
      assert.ok(returned, 'ready is not called synchronously');
      resolve();
    });
    returned = true;
  });
}

/** Reads like f:read(size): at most `size` bytes. */
export async function read(source: ByteSource, size: number): Promise<string> {
  if (source.queue.length < size) await request(source, size);
  return taken(source, size);
}

export function taken(source: ByteSource, size: number): string {
  const chunk = source.queue.take(Math.min(size, source.queue.length));
  source.consumed();
  return Buffer.from(chunk).toString('latin1');
}

export function flush(file: ByteFile): Promise<FileError | undefined> {
  return new Promise((resolve) => {
    let returned = false;
    file.flush((error) => {
      assert.ok(returned, 'done is not called synchronously');
      resolve(error);
    });
    returned = true;
  });
}

export function seek(file: ByteFile, whence: Whence, offset: number): Promise<number | FileError> {
  return new Promise((resolve) => {
    let returned = false;
    file.seek(whence, offset, (error, position) => {
      assert.ok(returned, 'done is not called synchronously');
      resolve(error ?? position);
    });
    returned = true;
  });
}

export function close(
  file: ByteFile,
): Promise<{ error: FileError | undefined; exit: ProcessExit | undefined }> {
  return new Promise((resolve) => {
    let returned = false;
    file.close((error, exit) => {
      assert.ok(returned, 'done is not called synchronously');
      resolve({ error, exit });
    });
    returned = true;
  });
}

export function drained(file: ByteFile): Promise<void> {
  return new Promise((resolve) => file.whenDrained(resolve));
}
