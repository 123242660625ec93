/** Numbers of the HTTP/2 framing layer: types, flags, sizes (RFC 9113 §4 and §6, RFC 9218 §7.1). */

export const FRAME_TYPE = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
  priorityUpdate: 0x10,
} as const;

export const FLAG = {
  endStream: 0x1,
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const FRAME_HEAD_BYTES = 9;
/** The largest payload that a session accepts and sends: it leaves SETTINGS_MAX_FRAME_SIZE at its initial value (RFC 9113 §6.5.2). */
export const FRAME_PAYLOAD_BYTES_MAX: number = 16 * 1024;
export const STREAM_ID_MAX = 0x7fffffff;
/** The largest flow-control window (RFC 9113 §6.9.1). */
export const WINDOW_BYTES_MAX = 0x7fffffff;
/** The size of every window at the start of a connection (RFC 9113 §6.9.2). */
export const INITIAL_WINDOW_BYTES = 65_535;
export const PING_BYTES = 8;
