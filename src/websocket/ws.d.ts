/** What is used of the package `ws`: its parts that know frames and compression, none of its sockets or servers. */
declare module 'ws' {
  import type { Writable } from 'node:stream';

  /** Parameters of an extension: each name has the values that it was given, in order. */
  type ExtensionParameters = Record<string, (string | true)[]>;
  /** The parameters that hold for a connection. */
  type AgreedParameters = Record<string, string | number | boolean>;
  type Extensions = Record<string, PerMessageDeflate>;

  interface ReceiverOptions {
    readonly isServer: boolean;
    readonly extensions: Extensions;
    /** Bytes of a message, inflated or not; 0 = no limit. */
    readonly maxPayload: number;
    readonly maxFragments: number;
  }

  interface ReceiverEvents {
    message: [data: Buffer, isBinary: boolean];
    ping: [data: Buffer];
    pong: [data: Buffer];
    /** The close frame has come; 1005: it has no code. */
    conclude: [code: number, reason: Buffer];
    error: [error: Error & { readonly code?: string }];
  }

  /** Reads the frames of one connection. */
  class Receiver extends Writable {
    constructor(options: ReceiverOptions);
    on<Name extends keyof ReceiverEvents>(
      event: Name,
      listener: (...given: ReceiverEvents[Name]) => void,
    ): this;
  }

  /** What a Sender asks of its socket. */
  interface SenderSocket {
    readonly destroyed: boolean;
    cork(): void;
    uncork(): void;
    write(bytes: Uint8Array, written?: (error?: Error | null) => void): void;
  }

  interface SendOptions {
    readonly binary: boolean;
    readonly compress: boolean;
    /** False: another fragment of the message follows. */
    readonly fin: boolean;
    readonly mask: boolean;
  }

  /** Writes the frames of one connection. */
  class Sender {
    constructor(socket: SenderSocket, extensions: Extensions);
    send(data: Uint8Array, options: SendOptions, sent?: (error?: Error) => void): void;
    ping(data: Uint8Array, mask: boolean): void;
    pong(data: Uint8Array, mask: boolean): void;
    /** Undefined: no code. */
    close(code: number | undefined, reason: Uint8Array, mask: boolean, sent: (error?: Error) => void): void;
  }

  interface DeflateOptions {
    readonly isServer: boolean;
    /** Bytes of an inflated message. */
    readonly maxPayload: number;
    readonly serverNoContextTakeover: boolean;
    /** Bytes; shorter messages are not compressed. */
    readonly threshold: number;
    /** Jobs in the pool at once; the first instance of a thread sets it for all. */
    readonly concurrencyLimit: number;
    readonly zlibDeflateOptions: { readonly level: number; readonly memLevel: number };
  }

  class PerMessageDeflate {
    static readonly extensionName: 'permessage-deflate';
    readonly params: AgreedParameters;
    constructor(options: DeflateOptions);
    /** Takes the first offer that it can; throws when there is none. */
    accept(offers: readonly ExtensionParameters[]): AgreedParameters;
    /** Frees its contexts; none of its jobs that inflate may be under way. */
    cleanup(): void;
  }

  const extension: {
    /** Throws SyntaxError. */
    parse(value: string): Record<string, ExtensionParameters[] | undefined>;
    format(extensions: Record<string, AgreedParameters[]>): string;
  };

  interface Parts {
    readonly Receiver: typeof Receiver;
    readonly Sender: typeof Sender;
    readonly PerMessageDeflate: typeof PerMessageDeflate;
    readonly extension: typeof extension;
  }

  export { type Extensions, extension, type Parts, PerMessageDeflate, Receiver, Sender, type SenderSocket };
}
