/** Requests to one ACME server: signed, with a fresh nonce each, bounded in time and size; problems become errors. */

import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { rootCertificates } from 'node:tls';
import { GatewayError, messageOf } from '../base/errors.ts';
import { packageVersion } from '../base/package-info.ts';
import type { AccountKey } from './account-key.ts';

/** From the first byte sent to the last one received. */
const REQUEST_TIME_MS = 30_000;
/** A chain of ten certificates has 20 KiB. */
const ANSWER_BYTES_MAX = 1024 * 1024;
/** A nonce that the server has forgotten is no fault; a server that forgets all of them has one. */
const NONCE_TRIES_MAX = 10;
/** Nonces that wait for their use: each answer brings one. */
const NONCES_MAX = 8;
/** What a server says of a problem goes into the log, and no further (characters). */
const DETAIL_LENGTH_MAX = 500;
const PROBLEM_PREFIX = 'urn:ietf:params:acme:error:';

export interface AcmeAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** Undefined where the server sent none. */
  readonly location: string | undefined;
  /** Seconds that the server wants to be left alone; undefined where it does not say. */
  readonly retryAfter: number | undefined;
}

/** A problem document (RFC 7807) as the server has sent it. */
export class AcmeProblem extends GatewayError {
  /** `rateLimited`, `badNonce`, …; `unknown` for what is no problem document. */
  readonly type: string;
  /** As in `AcmeAnswer`. */
  readonly retryAfter: number | undefined;
  constructor(type: string, message: string, retryAfter?: number) {
    super('LGW_ACME', message);
    this.type = type;
    this.retryAfter = retryAfter;
  }
}

export class AcmeConnection {
  readonly #agent: Agent;
  readonly #key: AccountKey;
  readonly #nonces: string[] = [];
  /** Where a first nonce comes from; set when the directory has been read. */
  newNonceUrl = '';
  /** URL of the account; undefined until there is one, and requests bear the key itself. */
  account: string | undefined;

  /** `trust`: further certificates of authorities, PEM, that the server's own certificate may come from. */
  constructor(key: AccountKey, trust: string | undefined) {
    this.#key = key;
    const ca = trust === undefined ? undefined : [...rootCertificates, trust];
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1, ...(ca === undefined ? {} : { ca }) });
  }

  /** Reads a JSON document that needs no signature. */
  async get(url: string): Promise<unknown> {
    return parseJson(url, checked(url, await this.#send('GET', url)));
  }

  /** POST of `payload`, or a POST-as-GET where it is undefined. Errors: AcmeProblem, GatewayError LGW_ACME. */
  async post(url: string, payload: object | undefined): Promise<AcmeAnswer> {
    for (let tries = 1; ; tries++) {
      const body = this.#key.sign(url, await this.#takeNonce(), payload, this.account);
      const answer = await this.#send('POST', url, JSON.stringify(body));
      try {
        return checked(url, answer);
      } catch (error) {
        const again = error instanceof AcmeProblem && error.type === 'badNonce' && tries < NONCE_TRIES_MAX;
        if (!again) throw error;
      }
    }
  }

  async postJson(url: string, payload: object | undefined): Promise<{ json: unknown; answer: AcmeAnswer }> {
    const answer = await this.post(url, payload);
    return { json: parseJson(url, answer), answer };
  }

  close(): void {
    this.#agent.destroy();
  }

  async #takeNonce(): Promise<string> {
    // the newest: a server forgets old ones first
    const kept = this.#nonces.pop();
    if (kept !== undefined) return kept;
    checked(this.newNonceUrl, await this.#send('HEAD', this.newNonceUrl));
    const fresh = this.#nonces.pop();
    if (fresh === undefined)
      throw new GatewayError('LGW_ACME', `The ACME server gave no nonce at ${this.newNonceUrl}`);
    return fresh;
  }

  #keepNonce(message: IncomingMessage): void {
    const nonce = message.headers['replay-nonce'];
    // RFC 8555 §6.5.1: base64url, and whatever else is ignored
    if (typeof nonce !== 'string' || !/^[A-Za-z0-9_-]{1,256}$/.test(nonce)) return;
    if (this.#nonces.length >= NONCES_MAX) this.#nonces.shift();
    this.#nonces.push(nonce);
  }

  #send(method: string, url: string, body?: string): Promise<AcmeAnswer> {
    if (!/^https:\/\//i.test(url) || !URL.canParse(url))
      throw new GatewayError('LGW_ACME', `An ACME server has https URLs, and "${url.slice(0, 200)}" is none`);
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void =>
        reject(new GatewayError('LGW_ACME', `Cannot ask the ACME server at ${url}: ${reason}`));
      const outgoing = request(url, { method, agent: this.#agent, headers: headersOf(body) });
      const timer = setTimeout(() => {
        fail(`no whole answer in ${REQUEST_TIME_MS / 1000} seconds`);
        outgoing.destroy();
      }, REQUEST_TIME_MS);
      outgoing.on('error', (error) => fail(messageOf(error)));
      outgoing.on('close', () => clearTimeout(timer));
      outgoing.on('response', (message) => {
        const pieces: Buffer[] = [];
        let length = 0;
        message.on('error', (error) => fail(messageOf(error)));
        message.on('data', (piece: Buffer) => {
          length += piece.length;
          pieces.push(piece);
          if (length <= ANSWER_BYTES_MAX) return;
          fail(`the answer is longer than ${ANSWER_BYTES_MAX} bytes`);
          outgoing.destroy();
        });
        message.on('end', () => {
          this.#keepNonce(message);
          resolve(answerOf(message, Buffer.concat(pieces)));
        });
      });
      outgoing.end(body);
    });
  }
}

function headersOf(body: string | undefined): Record<string, string | number> {
  const fields = { 'user-agent': `lgateway/${packageVersion()}`, 'accept-language': 'en' };
  if (body === undefined) return fields;
  return { ...fields, 'content-type': 'application/jose+json', 'content-length': Buffer.byteLength(body) };
}

function answerOf(message: IncomingMessage, body: Buffer): AcmeAnswer {
  return {
    status: message.statusCode ?? 0,
    body,
    location: message.headers.location,
    retryAfter: readRetryAfter(message.headers['retry-after'], Date.now()),
  };
}

/** RFC 9110 §10.2.3: seconds or a date; undefined for what is neither. */
export function readRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - nowMs) / 1000);
}

/** Returns an answer of status 2xx as it is. */
function checked(url: string, answer: AcmeAnswer): AcmeAnswer {
  if (answer.status >= 200 && answer.status <= 299) return answer;
  const problem = problemOf(answer);
  throw new AcmeProblem(
    problem.type,
    `The ACME server refused the request to ${url} with ${answer.status}: ${problem.text}`,
    answer.retryAfter,
  );
}

function problemOf(answer: AcmeAnswer): { type: string; text: string } {
  try {
    return describeProblem(JSON.parse(answer.body.toString('utf8')));
  } catch {
    return { type: 'unknown', text: 'it gives no reason' };
  }
}

/** The parts of a problem document and of its subproblems (RFC 8555 §6.7.1), as a sentence. */
export function describeProblem(problem: unknown): { type: string; text: string } {
  if (typeof problem !== 'object' || problem === null) return { type: 'unknown', text: 'it gives no reason' };
  const { type, detail, subproblems } = problem as Record<string, unknown>;
  const word = typeof type === 'string' ? type.replace(PROBLEM_PREFIX, '').slice(0, 100) : 'unknown';
  const parts = Array.isArray(subproblems) ? subproblems.slice(0, 5) : [];
  const subs = parts.map(
    (sub: unknown) => `; ${describeProblem({ ...asObject(sub), subproblems: [] }).text}`,
  );
  const said = typeof detail === 'string' ? detail : 'no detail';
  return { type: word, text: `${said} (${word})${subs.join('')}`.slice(0, DETAIL_LENGTH_MAX) };
}

function asObject(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}

function parseJson(url: string, answer: AcmeAnswer): unknown {
  try {
    return JSON.parse(answer.body.toString('utf8'));
  } catch (error) {
    throw new GatewayError('LGW_ACME', `The ACME server answered with what is no JSON at ${url}`, {
      cause: error,
    });
  }
}
