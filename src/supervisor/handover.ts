/** What a gateway and the successor that takes its place tell each other over the pipe between them; no code of either side but checks. */
import { isIP } from 'node:net';
import type { InheritedSocket } from '../config/config.ts';
import { FILES_MAX, type NamedFile } from '../opener/opener-messages.ts';
import type { AdminPlace } from './admin-socket.ts';
import type { LoadedTls } from './load-tls.ts';
import type { OnceRecord } from './once-registry.ts';

/** The environment variable of a successor, which removes it at once. */
export const SUCCESSOR_MARK: string = 'LGATEWAY_UPGRADE';

/** Another number is another protocol: a successor that speaks it ends, and its predecessor goes on. */
const PROTOCOL = 1;
/** As many as socket activation takes. */
const SOCKETS_MAX = 64;

/** A listening socket; its descriptor is 3 for the first, 4 for the second, and so on. */
export type HandedSocket = Omit<InheritedSocket, 'descriptor'>;

/** What a successor needs before it starts. It crosses the pipe only: environment and arguments can be read by others. */
export interface Handover {
  readonly sockets: readonly HandedSocket[];
  /** Keys of session tickets, Base64: sessions of the one resume at the other. Undefined without TLS. */
  readonly ticketKeys: string | undefined;
  /** Certificate and key as they are served, where a user without rights may not read them again (`-u`). */
  readonly tls: LoadedTls | undefined;
  /** The files of the opener, whose socket is the descriptor behind those of the sockets. Undefined: there is none. */
  readonly openerFiles?: readonly NamedFile[] | undefined;
  /** Where the admin listener is, whose socket is the last descriptor. Undefined: it has no port, or none that could be handed over. */
  readonly admin?: AdminPlace | undefined;
}

/** Predecessor → successor. */
export type ToSuccessor =
  /** Comes first. */
  | ({ readonly type: 'handover'; readonly protocol: number } & Handover)
  /** Take over: write the pid file, and answer `taken`. */
  | { readonly type: 'go' }
  /** The predecessor begins no run of a once-timer any more; what it knows of those that were. */
  | { readonly type: 'once'; readonly records: readonly OnceRecord[] }
  /** A run that was under way then has ended. */
  | { readonly type: 'onceEnded'; readonly name: string; readonly completed: boolean };

/** Successor → predecessor. */
export type ToPredecessor =
  /** Its workers serve. */
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'taken' };

export function handoverMessage(handover: Handover): ToSuccessor {
  return { type: 'handover', protocol: PROTOCOL, ...handover };
}

/** Why nothing can be taken over by this message, as the end of a sentence; undefined when it can. */
export function whyNoHandover(message: ToSuccessor): string | undefined {
  if (message.type !== 'handover') return `began with ${JSON.stringify(message.type)}`;
  if (message.protocol !== PROTOCOL) return `speaks protocol ${message.protocol}, and this is ${PROTOCOL}`;
  if (!Array.isArray(message.sockets) || message.sockets.length > SOCKETS_MAX)
    return `hands over no list of at most ${SOCKETS_MAX} sockets`;
  const { openerFiles = [] } = message;
  if (!Array.isArray(openerFiles) || openerFiles.length > FILES_MAX)
    return `hands over no list of at most ${FILES_MAX} files of the opener`;
  const { admin } = message;
  if (admin !== undefined && !(isIP(String(admin?.address)) && Number.isInteger(admin?.port)))
    return 'hands over no place of an admin listener';
  return undefined;
}

/** A message of the other process as an object with a `type`; undefined: it is none. */
export function readMessage<Message extends { readonly type: string }>(
  message: unknown,
): Message | undefined {
  if (typeof message !== 'object' || message === null || !('type' in message)) return undefined;
  return message as Message;
}
