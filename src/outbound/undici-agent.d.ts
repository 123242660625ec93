/** The files of undici that are loaded (its entry point would load mocks, caches and WebSockets too), and what is used of it. */
declare module 'undici/lib/dispatcher/agent.js' {
  interface RequestOptions {
    origin: string;
    path: string;
    method: string;
    /** Flat names and values. */
    headers: readonly string[];
    body: Uint8Array | AsyncIterable<Uint8Array> | null;
    servername?: string;
  }

  /** Told what becomes of a request; called by a connection itself, in the midst of its work. */
  interface RequestHandler {
    onConnect(abort: (error: Error) => void): void;
    onHeaders(status: number, rawHeaders: readonly (Buffer | string)[], resume: () => void): boolean;
    onData(chunk: Uint8Array): boolean;
    onComplete(): void;
    onError(error: Error): void;
  }

  class Agent {
    constructor(options: import('undici').Agent.Options);
    on(event: 'connect', listener: (origin: URL, targets: readonly object[]) => void): this;
    dispatch(options: RequestOptions, handler: RequestHandler): boolean;
    close(): Promise<void>;
    destroy(): Promise<void>;
  }

  // biome-ignore lint/style/noDefaultExport: it is what the file has
  export { Agent as default, type RequestHandler };
}

declare module 'undici/lib/core/symbols.js' {
  const symbols: { readonly kSocket: symbol; readonly kParser: symbol };

  // biome-ignore lint/style/noDefaultExport: it is what the file has
  export { symbols as default };
}

declare module 'undici/lib/dispatcher/pool.js' {
  // biome-ignore lint/style/noDefaultExport: it is what the file has
  export { Pool as default } from 'undici';
}
