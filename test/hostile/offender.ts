/** What the catalogue of the hostile suite is made of: scripts and clients that misbehave, and what each has to get. */
import type { Ask } from '../support/test-gateway.ts';
import type { Target } from './target.ts';

/**
 * Which program a script runs in: without options, with `--sandbox`, with `--root`, or a fresh one for the functions or the
 * limits, which others have not used.
 */
export type Program = 'open' | 'sandbox' | 'root' | 'functions' | 'limits';

interface Offender {
  readonly name: string;
  /** Belongs to the short form, too. */
  readonly brief?: boolean;
  /** What it gets, as one line: `500`, `200 survived 7`, `GOAWAY 11`. */
  readonly gets: RegExp;
  /** Lua cannot suspend it: others wait for the whole limit in place of a slice. The reason. */
  readonly holds?: string;
  /** It costs its own state, so that others of the mapping may get 503. The reason. */
  readonly losesState?: string;
  /** It fills the admin listener, so that others of this machine may have to ask again. The reason. */
  readonly fillsAdmin?: string;
  /** What its script keeps in a global for the next request, so that it is still there. */
  readonly keeps?: string;
  /** Resident memory may grow by so many bytes meanwhile; `GROWTH_BYTES_MAX` when not given. */
  readonly growthBytesMax?: number;
}

/** The body of a handler, with `httpd`, `env` and `header`; what it returns is shown. */
export interface HostileScript extends Offender {
  readonly lua: string;
  readonly program?: Program;
  /** Asked for in place of a handler of its own. */
  readonly path?: string;
  /** How it is asked for; a GET when not given. */
  readonly ask?: Ask;
  /** Requests at the same time, 1 when not given; all of them have to get the same. */
  readonly times?: number;
  /** Seconds of processor time, where it has a lot to do within its rights. */
  readonly cpu?: number;
  /** Seconds it may be silent, where it waits for ever. */
  readonly timeout?: number;
}

/** Talks to the target and tells what it got; ends by itself, and closes what it opened. */
export interface HostileClient extends Offender {
  /** It does little but wait for a limit: in the short form these wait together. */
  readonly waits?: boolean;
  readonly act: (target: Target) => Promise<string>;
}

export type Entry =
  | { readonly kind: 'script'; readonly group: string; readonly offender: HostileScript }
  | { readonly kind: 'client'; readonly group: string; readonly offender: HostileClient };
