/** Handles the frames that control a session or a stream: settings, windows, priorities, resets, PING, GOAWAY (RFC 9113 §6, RFC 9218 §7). */

import { readLatin1 } from '../../native/node-internals.ts';
import { RESET_BY_CLIENT } from './closed-streams.ts';
import { ERROR_CODE } from './error-codes.ts';
import { FLAG, PING_BYTES, STREAM_ID_MAX } from './frame-types.ts';
import { parsePriority } from './priority.ts';
import type { SessionStreams } from './session-streams.ts';
import { SETTING_BYTES } from './settings.ts';

export class ControlFrames {
  readonly #streams: SessionStreams;
  /** The client has sent its settings, and has acknowledged ours. */
  settingsSeen = false;
  settingsAcknowledged = false;

  constructor(streams: SessionStreams) {
    this.#streams = streams;
  }

  takePriority(streamId: number, bytes: Buffer, start: number, end: number): void {
    const streams = this.#streams;
    if (streamId === 0) streams.life.fail(ERROR_CODE.protocolError, 'PRIORITY on stream 0');
    else if (!streams.life.countControlFrame()) return;
    else if (end - start !== 5)
      streams.failOn(streamId, ERROR_CODE.frameSizeError, 'PRIORITY has a wrong size');
    else if ((bytes.readUInt32BE(start) & STREAM_ID_MAX) === streamId)
      streams.failOn(streamId, ERROR_CODE.protocolError, 'the stream depends on itself');
  }

  takeReset(streamId: number, size: number): void {
    const streams = this.#streams;
    const { life, table } = streams;
    if (size !== 4) life.fail(ERROR_CODE.frameSizeError, 'RST_STREAM has a wrong size');
    else if (table.isIdle(streamId)) life.fail(ERROR_CODE.protocolError, 'RST_STREAM on an idle stream');
    else {
      const stream = table.get(streamId);
      if (stream === undefined) {
        if ((streamId & 1) === 1) table.remember(streamId, RESET_BY_CLIENT);
        // the client may have sent the reset before the answer of the stream reached it
        life.countControlFrame();
        return;
      }
      // a stream whose answer is complete has cost as much as any other request
      const isUntimely = !stream.pushed && !stream.localEnded;
      streams.cut(stream);
      if (isUntimely) life.countReset('too many streams were reset');
    }
  }

  takeSettings(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const { life, peer, codec, output, table } = this.#streams;
    if (streamId !== 0) {
      life.fail(ERROR_CODE.protocolError, `SETTINGS on stream ${streamId}`);
      return;
    }
    if ((flags & FLAG.ack) !== 0) {
      this.#takeAcknowledgement(end - start);
      return;
    }
    if ((end - start) % SETTING_BYTES !== 0) {
      life.fail(ERROR_CODE.frameSizeError, 'SETTINGS has a wrong size');
      return;
    }
    if (this.settingsSeen && !life.countControlFrame()) return;
    this.settingsSeen = true;
    const windowBefore = peer.initialWindowSize;
    const error = peer.read(bytes, start, end);
    if (error !== undefined) {
      life.fail(error, 'a setting has a value that is not allowed');
      return;
    }
    codec.setPeerTableSize(peer.headerTableSize);
    output.acknowledgeSettings();
    const change = peer.initialWindowSize - windowBefore;
    if (change === 0) return;
    for (const stream of table.all()) {
      if (stream.openSendWindow(change)) continue;
      life.fail(ERROR_CODE.flowControlError, 'the window of a stream is larger than 2^31-1');
      return;
    }
  }

  #takeAcknowledgement(size: number): void {
    const { life, bodies } = this.#streams;
    if (size !== 0) life.fail(ERROR_CODE.frameSizeError, 'an acknowledgement of SETTINGS has content');
    else if (this.settingsAcknowledged) life.countControlFrame();
    else {
      this.settingsAcknowledged = true;
      bodies.measured(performance.now() - life.clock.startedAt);
    }
  }

  takePing(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const { life, output } = this.#streams;
    if (streamId !== 0) life.fail(ERROR_CODE.protocolError, `PING on stream ${streamId}`);
    else if (end - start !== PING_BYTES) life.fail(ERROR_CODE.frameSizeError, 'PING has a wrong size');
    else if (!life.countControlFrame()) return;
    else if ((flags & FLAG.ack) === 0) output.acknowledgePing(bytes, start);
    else life.pingAnswered(bytes, start, end);
  }

  takeGoAway(streamId: number, size: number): void {
    const { life } = this.#streams;
    if (streamId !== 0) life.fail(ERROR_CODE.protocolError, `GOAWAY on stream ${streamId}`);
    else if (size < 8) life.fail(ERROR_CODE.frameSizeError, 'GOAWAY is too short');
    else {
      life.peerLeaves = true;
      life.countControlFrame();
    }
  }

  takeWindowUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
    const streams = this.#streams;
    const { life, output, table } = streams;
    if (end - start !== 4) {
      life.fail(ERROR_CODE.frameSizeError, 'WINDOW_UPDATE has a wrong size');
      return;
    }
    if (!life.countWindowUpdate()) return;
    const increment = bytes.readUInt32BE(start) & STREAM_ID_MAX;
    if (streamId === 0) {
      output.sendWindow += increment;
      if (increment === 0) life.fail(ERROR_CODE.protocolError, 'WINDOW_UPDATE adds nothing');
      else if (output.sendWindow > STREAM_ID_MAX)
        life.fail(ERROR_CODE.flowControlError, 'the window of the connection is larger than 2^31-1');
      return;
    }
    if (table.isIdle(streamId)) {
      life.fail(ERROR_CODE.protocolError, 'WINDOW_UPDATE on an idle stream');
      return;
    }
    const stream = table.get(streamId);
    if (stream === undefined) return;
    if (increment === 0) streams.fail(stream, ERROR_CODE.protocolError, 'WINDOW_UPDATE adds nothing');
    else if (!stream.openSendWindow(increment))
      streams.fail(stream, ERROR_CODE.flowControlError, 'the window of a stream is larger than 2^31-1');
  }

  /** RFC 9218 §7.1. */
  takePriorityUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
    const { life, output, table } = this.#streams;
    if (streamId !== 0) {
      life.fail(ERROR_CODE.protocolError, `PRIORITY_UPDATE on stream ${streamId}`);
      return;
    }
    if (end - start < 4) {
      life.fail(ERROR_CODE.frameSizeError, 'PRIORITY_UPDATE is too short');
      return;
    }
    if (!life.countControlFrame()) return;
    const prioritised = bytes.readUInt32BE(start) & STREAM_ID_MAX;
    if (prioritised === 0) {
      life.fail(ERROR_CODE.protocolError, 'PRIORITY_UPDATE names stream 0');
      return;
    }
    const stream = table.get(prioritised);
    if (stream === undefined) return;
    const { urgency, incremental } = parsePriority(readLatin1(bytes, start + 4, end));
    output.scheduler.reprioritise(stream, urgency, incremental);
  }
}
