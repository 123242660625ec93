/** The one file of undici that is loaded (its entry point would load mocks, caches and WebSockets too), and what is used of it. */
declare module 'undici/lib/dispatcher/agent.js' {
  import type { Dispatcher } from 'undici';

  interface RequestOptions {
    origin: string;
    path: string;
    method: string;
    /** Flat names and values. */
    headers: readonly string[];
    body: Uint8Array | AsyncIterable<Uint8Array> | null;
    servername?: string;
  }

  class Agent {
    constructor(options: import('undici').Agent.Options);
    dispatch(options: RequestOptions, handler: Dispatcher.DispatchHandler): boolean;
    close(): Promise<void>;
    destroy(): Promise<void>;
  }

  // biome-ignore lint/style/noDefaultExport: it is what the file has
  export { Agent as default };
}
