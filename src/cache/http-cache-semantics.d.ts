/** What is used of the package `http-cache-semantics`: which answers may be kept and used, and for how long (RFC 9111, RFC 5861). */
declare module 'http-cache-semantics' {
  type Headers = Readonly<Record<string, string>>;

  interface CacheRequest {
    readonly method?: string;
    readonly headers: Headers;
  }

  interface CacheResponse {
    readonly status: number;
    readonly headers: Headers;
  }

  interface CacheOptions {
    readonly shared: boolean;
    /** The part of the age of a document for which it counts as fresh where nothing is said. */
    readonly cacheHeuristic: number;
    readonly immutableMinTimeToLive: number;
  }

  interface Evaluation {
    /** The answer may be used now. */
    readonly response: unknown;
    /** The server has to be asked: before the answer is used, or behind it. */
    readonly revalidation: { readonly synchronous: boolean } | undefined;
  }

  class CachePolicy {
    constructor(request: CacheRequest, response: CacheResponse, options: CacheOptions);
    now(): number;
    storable(): boolean;
    /** Seconds. */
    maxAge(): number;
    /** Seconds. */
    age(): number;
    evaluateRequest(request: CacheRequest): Evaluation;
    /** `modified` is false where an answer that fails is replaced by the one that is kept (RFC 5861 §4). */
    revalidatedPolicy(request: CacheRequest, response: CacheResponse): { readonly modified: boolean };
  }

  // biome-ignore lint/style/noDefaultExport: the package has it so
  export default CachePolicy;
}
