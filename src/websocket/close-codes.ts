/** The status codes of a close frame (RFC 6455 §7.4), and which of them an endpoint may send. */

export const CLOSE_CODE = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  /** Stands for a close frame without a code; never sent. */
  noCode: 1005,
  /** Stands for a connection that ended without a close frame; never sent. */
  abnormal: 1006,
  invalidData: 1007,
  policy: 1008,
  tooBig: 1009,
  internalError: 1011,
} as const;

/** True for the codes that may stand in a frame. */
export function isSendable(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (
    code >= 1000 &&
    code <= 1014 &&
    code !== 1004 &&
    code !== CLOSE_CODE.noCode &&
    code !== CLOSE_CODE.abnormal
  );
}

/** The code that answers what the package `ws` calls by these names. What it does not name comes from zlib. */
export function codeOfFault(name: string | undefined): number {
  switch (name) {
    case 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH':
    case 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH':
      return CLOSE_CODE.tooBig;
    case 'WS_ERR_TOO_MANY_BUFFERED_PARTS':
      return CLOSE_CODE.policy;
    case 'WS_ERR_INVALID_UTF8':
      return CLOSE_CODE.invalidData;
    default:
      return name?.startsWith('WS_ERR_') === true ? CLOSE_CODE.protocolError : CLOSE_CODE.invalidData;
  }
}
