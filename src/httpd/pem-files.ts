/** Reads the certificates and keys that a fetch names by files: regular ones, of bounded size, without blocking the worker. */
import { GatewayError } from '../base/errors.ts';
import type { ByteFile } from '../file/byte-file.ts';
import { describeAction, FileError } from '../file/file-error.ts';
import type { FileSystem } from '../file/file-system.ts';
import { OpenFile } from '../file/open-file.ts';
import type { OperationOwner } from '../file/operation-queue.ts';
import { errnoOf } from '../file/strerror.ts';

/** A certificate with its chain, a key, or a bundle of authorities; what is longer was not meant. */
export const PEM_BYTES_MAX: number = 1024 * 1024;

/** Called once, never before `readPemFiles` returns: the texts in the order of the names, or what has failed first. */
export type PemRead = (failure: GatewayError | undefined, texts: readonly string[]) => void;

/** Reads one after the other. The result gives up, and `done` is not called any more. */
export function readPemFiles(
  fileSystem: FileSystem,
  owner: OperationOwner,
  names: readonly string[],
  done: PemRead,
): () => void {
  const texts: string[] = [];
  let cancel: () => void = () => undefined;
  const next = (): void => {
    const name = names[texts.length];
    if (name === undefined) {
      done(undefined, texts);
      return;
    }
    const opening = fileSystem.open(
      name,
      'r',
      (error, file) => {
        const failure = error ?? refusalOf(name, file as ByteFile);
        if (failure === undefined) read(name, file as OpenFile);
        else done(failure, []);
      },
      owner,
    );
    cancel = () => opening.cancel();
  };
  const read = (name: string, file: OpenFile): void => {
    cancel = () => file.destroy();
    // it may grow while it is read
    file.request(PEM_BYTES_MAX + 1, () => {
      const failure = file.takeError() ?? lengthFailure(name, file.queue.length);
      if (failure === undefined)
        texts.push(Buffer.from(file.queue.take(file.queue.length)).toString('latin1'));
      file.destroy();
      if (failure === undefined) next();
      else done(failure, []);
    });
  };
  next();
  return () => cancel();
}

/** Whatever is no regular file is closed: reading it might wait for ever. */
function refusalOf(name: string, file: ByteFile): GatewayError | undefined {
  const isRegular = file instanceof OpenFile && file.kind === 'regular';
  const failure = isRegular
    ? lengthFailure(name, file.stat().size)
    : new FileError(describeAction('read', name), errnoOf('EINVAL'), 'it is not a regular file');
  if (failure !== undefined) file.destroy();
  return failure;
}

function lengthFailure(name: string, bytes: number): GatewayError | undefined {
  if (bytes <= PEM_BYTES_MAX) return undefined;
  const message = `${describeAction('read', name)}: it has ${bytes} bytes and the limit is ${PEM_BYTES_MAX}`;
  return new GatewayError('LGW_FETCH_LIMIT', message, { luaCode: 'limit' });
}
