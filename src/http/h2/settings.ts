/** The settings of both sides (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1). */
import { ERROR_CODE, type H2ErrorCode } from './error-codes.ts';
import { FRAME_PAYLOAD_BYTES_MAX, INITIAL_WINDOW_BYTES, WINDOW_BYTES_MAX } from './frame-types.ts';

export const SETTING = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
  /** RFC 8441 §3. */
  enableConnectProtocol: 0x8,
  noRfc7540Priorities: 0x9,
} as const;

export const SETTING_BYTES = 6;
const FRAME_SIZE_LIMIT = 0xffffff;

/** The settings that the client has sent. */
export class PeerSettings {
  headerTableSize = 4096;
  enablePush = true;
  maxConcurrentStreams: number = Number.POSITIVE_INFINITY;
  initialWindowSize: number = INITIAL_WINDOW_BYTES;

  /** Takes the payload of a SETTINGS frame; returns the error code where a value is not allowed. */
  read(bytes: Buffer, start: number, end: number): H2ErrorCode | undefined {
    for (let at = start; at < end; at += SETTING_BYTES) {
      const value = bytes.readUInt32BE(at + 2);
      switch (bytes.readUInt16BE(at)) {
        case SETTING.headerTableSize:
          this.headerTableSize = value;
          break;
        case SETTING.enablePush:
          if (value > 1) return ERROR_CODE.protocolError;
          this.enablePush = value === 1;
          break;
        case SETTING.maxConcurrentStreams:
          this.maxConcurrentStreams = value;
          break;
        case SETTING.initialWindowSize:
          if (value > WINDOW_BYTES_MAX) return ERROR_CODE.flowControlError;
          this.initialWindowSize = value;
          break;
        case SETTING.maxFrameSize:
          // not kept: the session sends frames that every client takes
          if (value < FRAME_PAYLOAD_BYTES_MAX || value > FRAME_SIZE_LIMIT) return ERROR_CODE.protocolError;
          break;
        case SETTING.noRfc7540Priorities:
          if (value > 1) return ERROR_CODE.protocolError;
          break;
      }
    }
    return undefined;
  }
}
