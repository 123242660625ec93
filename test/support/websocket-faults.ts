/** What a client sends that breaks a rule of RFC 6455 or a limit of ten bytes, and the code that the WebSocket is closed with (§7.4.1). */

export interface WebSocketFault {
  readonly bytes: Buffer;
  readonly code: number;
  /** What whoever serves the WebSocket is told; undefined: nobody is in time to be told. */
  readonly why?: RegExp;
  readonly kind: 'invalid' | 'limit';
}

/** The limit that the cases go by. */
export const FAULT_MESSAGE_BYTES_MAX = 10;

function fault(bytes: readonly number[], code: number, why?: RegExp): WebSocketFault {
  return { bytes: Buffer.from(bytes), code, kind: code === 1009 ? 'limit' : 'invalid', ...(why && { why }) };
}

export const WEBSOCKET_FAULTS: readonly WebSocketFault[] = [
  fault([0x81, 0x01, 0x61], 1002, /MASK must be set$/),
  fault([0xc1, 0x81, 0, 0, 0, 0, 0x61], 1002, /RSV1/),
  fault([0x83, 0x80, 0, 0, 0, 0], 1002, /opcode 3/),
  fault([0x80, 0x80, 0, 0, 0, 0], 1002, /opcode 0/),
  fault([0x09, 0x80, 0, 0, 0, 0], 1002, /FIN/),
  fault([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007, /UTF-8/),
  fault([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed], 1002, /status code 1005/),
  // the head alone
  fault([0x82, 0x8b, 0, 0, 0, 0], 1009),
  fault([0x82, 0xff, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0], 1009, /Max payload/),
];
