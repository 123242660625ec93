/** Reads in which order a client wants its responses (RFC 9218). */

export const URGENCY_DEFAULT = 3;
export const URGENCIES = 8;

export interface Priority {
  /** 0 is first, 7 last. */
  readonly urgency: number;
  /** True: the response takes turns with others of its urgency. False: it is sent as a whole. */
  readonly incremental: boolean;
}

/**
 * The priority of a request that names none. By RFC 9218 §4.2 such responses would come one after the other, but a client that does
 * not know priorities expects all its responses to make progress.
 */
export const DEFAULT_PRIORITY: Priority = { urgency: URGENCY_DEFAULT, incremental: true };

/** Reads `u=…` and `i` of a priority field, and ignores what is malformed or unknown (RFC 9218 §4). */
export function parsePriority(value: string): Priority {
  let urgency = URGENCY_DEFAULT;
  let incremental = false;
  for (const member of value.slice(0, PRIORITY_CHARACTERS_MAX).split(',')) {
    const match = MEMBER.exec(member);
    if (match === null) continue;
    if (match[1] !== undefined) urgency = Number(match[1]);
    else incremental = match[2] !== '=?0';
  }
  return { urgency, incremental };
}

/** A dictionary of two members is much shorter; what follows them are extensions, which this server does not know. */
const PRIORITY_CHARACTERS_MAX = 64;
const MEMBER = /^[ \t]*(?:u=([0-7])|i(=\?[01])?)(?:;[^,]*)?[ \t]*$/;
