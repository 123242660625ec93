/** Limits of the cache for answers: how much it keeps, how large, for how many, how long somebody waits. */
import { TAGS_MAX } from '../base/answer-tags.ts';

/** Answers that a worker keeps. */
export const CACHE_ENTRIES_MAX = 65_536;
/** What an answer takes beside the bytes of its body, its fields and its key: objects, and the head that was made ready. */
export const ENTRY_OVERHEAD_BYTES = 1024;
/** Bytes of a body that is kept. A longer one goes to its client as it comes: who has many of these has a disk for them. */
export const STORED_BODY_BYTES_MAX: number = 1024 * 1024;
/** Bytes of bodies that are being received to be kept, for all of a worker; beyond it answers go to their clients only. */
export const RECORDING_BYTES_MAX: number = 32 * 1024 * 1024;
/** Bytes of bodies that slow clients still hold and that are not kept any more; beyond it requests for large answers are passed on. */
export const LENT_BYTES_MAX: number = 32 * 1024 * 1024;
/** A body up to this size is kept as a text, which costs less to send. */
export const TEXT_BODY_BYTES_MAX: number = 4 * 1024;
/** Bytes of an answer that is passed on and waits for its client before its server is held back. */
export const PASSED_BYTES_MAX: number = 128 * 1024;

/** Bytes of scheme, host and target. Longer ones are passed on: they come once. */
export const KEY_BYTES_MAX: number = 8 * 1024;
/** Fields that `Vary` names; an answer that names more is not kept. */
export const VARY_FIELDS_MAX = 10;
/** Bytes of the values of those fields in a request; one that has more is passed on. */
export const VARY_VALUES_BYTES_MAX: number = 4 * 1024;
/** Answers that are kept for one target, which differ by such fields; the oldest goes. */
export const VARIANTS_MAX = 32;
/** Marks of one answer: of its target, of its tags, and of as many tags that its source has. */
export const MARKS_MAX: number = 1 + 2 * TAGS_MAX;
/** Bytes of a Cache-Control that is read; a longer one is not well-formed. */
export const DIRECTIVES_BYTES_MAX: number = 4 * 1024;
/** Seconds that a directive may name: what RFC 9111 §1.2.2 asks for. */
export const DELTA_SECONDS_MAX: number = 2 ** 31;

/** Requests of a worker that wait for an answer that another one has asked for; further ones go to the server. */
export const WAITING_MAX = 4096;
/** The longest such wait; then the request goes to the server. */
export const WAIT_MS_MAX = 5000;
/** Targets whose answers could not be kept, and whose requests therefore do not wait for each other. */
export const UNKEPT_MAX = 4096;
/** For so long. */
export const UNKEPT_MS = 10_000;
/** Answers that are fetched again while their clients have got a stale one. */
export const BACKGROUND_MAX = 256;
/**
 * Where machines share a store: an answer is used for so long after the store was heard of last, or after the server was asked. So a machine that
 * is cut off from the others uses nothing longer that they have purged.
 */
export const CUT_OFF_MS = 10_000;

/**
 * Bytes of an answer in the store. Every call of a worker shares its connection: this takes it for 2 ms of a network of 1 Gbit/s. What is larger a
 * server seldom makes anew for each request, and each machine asks it once.
 */
export const COMMON_ENTRY_BYTES_MAX: number = 256 * 1024;
/** Of these, of status, fields and marks. */
export const ENTRY_HEAD_BYTES_MAX: number = 128 * 1024;
/** A request waits no longer for the store before its server is asked: longer than most servers need, and shorter than clients notice. */
export const COMMON_READ_MS_MAX = 200;
/** An answer that is fresh for less is not worth its way. */
export const COMMON_TTL_MS_MIN = 1000;
/** Answers of a worker on their way to the store, and their bytes; further ones stay on this machine. */
export const COMMON_WRITES_MAX = 64;
export const COMMON_WRITE_BYTES_MAX: number = 4 * 1024 * 1024;
export const COMMON_WRITE_MS_MAX = 1000;
