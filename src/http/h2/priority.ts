/** Reads what a client asks of the order of responses (RFC 9218). */

export const URGENCY_DEFAULT = 3;
export const URGENCIES = 8;

export interface Priority {
  /** 0 is first, 7 last. */
  readonly urgency: number;
  /** Takes turns with others of its urgency; otherwise it is sent as a whole. */
  readonly incremental: boolean;
}

/**
 * Whoever asks for nothing takes turns: RFC 9218 §4.2 would serve such streams one after the other, but a client that
 * does not know priorities expects all its responses to come along.
 */
export const DEFAULT_PRIORITY: Priority = { urgency: URGENCY_DEFAULT, incremental: true };

/** Reads `u=…` and `i` of a priority field; what is malformed or unknown is ignored (RFC 9218 §4). */
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

/** A dictionary of two members needs few; the rest is extensions nobody here knows. */
const PRIORITY_CHARACTERS_MAX = 64;
const MEMBER = /^[ \t]*(?:u=([0-7])|i(=\?[01])?)(?:;[^,]*)?[ \t]*$/;
