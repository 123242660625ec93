/** What bounds the forms that clients send, where a script does not say otherwise. */

/** Parts of one multipart body: more than any form for people has. */
export const PARTS_MAX = 100;
/** Bytes of the head of one part, without the blank line: names of files are shorter. */
export const PART_HEAD_BYTES_MAX: number = 8 * 1024;
/** Lines of the head of one part: browsers send two. */
export const PART_HEAD_LINES_MAX = 32;
/** Bytes of a part that is no file. */
export const FIELD_BYTES_MAX: number = 1024 * 1024;
/** Characters of a boundary (RFC 2046 §5.1.1). */
export const BOUNDARY_LENGTH_MAX = 70;

/** The limits of one multipart body. */
export interface MultipartLimits {
  /** Parts of it. */
  readonly parts: number;
  /** Bytes of the head of one part. */
  readonly headBytes: number;
  /** Bytes of a part that is no file. */
  readonly fieldBytes: number;
  /** Bytes of the whole body; Infinity: what the server admits. */
  readonly bytes: number;
}

export const MULTIPART_LIMITS: MultipartLimits = {
  parts: PARTS_MAX,
  headBytes: PART_HEAD_BYTES_MAX,
  fieldBytes: FIELD_BYTES_MAX,
  bytes: Number.POSITIVE_INFINITY,
};
