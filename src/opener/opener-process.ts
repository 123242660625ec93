/**
 * The opener: a process of root that opens, again and again, the files of a list that is closed before the gateway gives its rights up, and does
 * nothing else. It runs no event loop: it waits for a request, answers, and ends when the last gateway that holds the other end has ended.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { messageOf, systemCodeOf } from '../base/errors.ts';
import { APPEND_FLAGS, LOG_FILE_MODE } from '../base/open-file.ts';
import {
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  executeWithLess,
  forbidDumps,
} from '../native/reduce-rights.ts';
import { receiveMessage, sendMessage } from '../native/unix-messages.ts';
import {
  FILES_MAX,
  LIST_END,
  type NamedFile,
  type OpenerReply,
  type OpenerRequest,
  PATH_BYTES_MAX,
  REFUSED,
  REQUEST_BYTES,
  readFileMessage,
  readRequest,
  readUser,
  replyMessage,
} from './opener-messages.ts';
import { changeableFolder } from './safe-way.ts';

/** The other end of it is the gateway's. Nothing else is open but the three that every process has, which lead nowhere. */
const SOCKET = 3;
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
/** Files that it makes are for the owner and the group. */
const UMASK = 0o027;
/** Exit codes. */
const ENDED = 0;
const CANNOT_BEGIN = 1;
const WRONG_MESSAGE = 2;

/** The word for the second of two lives: the first gives rights away, which only counts for all threads of the program that comes next. */
const REDUCED = 'reduced';

function main(): never {
  const [kind, stage] = process.argv.slice(2);
  // the end of the gateway is its end, and no signal to a group of processes
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  if (stage !== REDUCED) {
    const [node, bundle = ''] = process.argv;
    const capabilities = [CAP_DAC_READ_SEARCH, ...(kind === 'append' ? [CAP_DAC_OVERRIDE] : [])];
    executeWithLess(
      [node, ...process.execArgv, bundle, kind ?? '', REDUCED].map(String),
      capabilities,
      SOCKET,
    );
    process.exit(CANNOT_BEGIN);
  }
  forbidDumps();
  process.umask(UMASK);
  const { uid, files } = receiveList();
  for (;;) answer(receive(REQUEST_BYTES + 1), uid, files);
}

function receiveList(): { readonly uid: number; readonly files: readonly NamedFile[] } {
  const uid = readUser(receive(PATH_BYTES_MAX));
  if (uid === undefined) process.exit(WRONG_MESSAGE);
  const files: NamedFile[] = [];
  for (;;) {
    const message = receive(PATH_BYTES_MAX + 2);
    if (message.equals(LIST_END)) return { uid, files };
    const file = readFileMessage(message);
    if (file === undefined || message.length > PATH_BYTES_MAX + 1 || files.length >= FILES_MAX)
      process.exit(WRONG_MESSAGE);
    files.push(file);
  }
}

/** Ends the process with the gateway. No descriptor is taken. */
function receive(bytesMax: number): Buffer {
  const message = receiveMessage(SOCKET, bytesMax);
  if (message === undefined || message === 'ECONNRESET') process.exit(ENDED);
  if (typeof message === 'string') process.exit(CANNOT_BEGIN);
  if (message.descriptor !== undefined) process.exit(WRONG_MESSAGE);
  return message.bytes;
}

function answer(message: Buffer, uid: number, files: readonly NamedFile[]): void {
  const request = readRequest(message, files.length);
  const file = request && files[request.number];
  // the gateway sends none: whoever does has taken it over
  if (request === undefined || file === undefined) process.exit(WRONG_MESSAGE);
  let descriptor: number | undefined;
  let reply: OpenerReply;
  try {
    const folder = changeableFolder(file.path, uid);
    if (folder !== undefined) reply = refusal(request, `user ${uid} may change the folder "${folder}"`);
    else if (request.action === 'look')
      reply = { ...success(request), facts: statSync(file.path, { bigint: true }) };
    else {
      descriptor = open(file);
      const isWanted = file.kind === 'append' || fstatSync(descriptor).isFile();
      reply = isWanted ? success(request) : refusal(request, 'it is no regular file');
    }
  } catch (error) {
    reply = failure(request, error);
  }
  const isSent = sendMessage(SOCKET, replyMessage(reply), reply.result === 0 ? descriptor : undefined);
  if (descriptor !== undefined) closeSync(descriptor);
  if (isSent !== undefined) process.exit(ENDED);
}

function open({ path, kind }: NamedFile): number {
  return kind === 'read' ? openSync(path, READ_FLAGS) : openSync(path, APPEND_FLAGS, LOG_FILE_MODE);
}

function success({ serial }: OpenerRequest): OpenerReply {
  return { serial, result: 0, text: '', facts: undefined };
}

function refusal({ serial }: OpenerRequest, text: string): OpenerReply {
  return { serial, result: REFUSED, text, facts: undefined };
}

function failure({ serial }: OpenerRequest, error: unknown): OpenerReply {
  const errno = Object.entries(osConstants.errno).find(([name]) => name === systemCodeOf(error))?.[1];
  return { serial, result: errno ?? REFUSED, text: messageOf(error), facts: undefined };
}

main();
