/** Lets the event loop of this thread tell the supervisor that it comes round. */
import { readlinkSync } from 'node:fs';
import { BEAT_INTERVAL_MS, takeHeartbeat } from '../base/heartbeat.ts';

/** Begins with `memory`, and goes on for as long as the thread lives. */
export function beginHeartbeat(memory: SharedArrayBuffer): void {
  const heartbeat = takeHeartbeat(memory);
  heartbeat.systemThread = findSystemThread();
  heartbeat.beat();
  setInterval(() => heartbeat.beat(), BEAT_INTERVAL_MS).unref();
}

/** The number that Linux has for this thread; undefined elsewhere. */
function findSystemThread(): number | undefined {
  try {
    const id = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    return Number.isSafeInteger(id) && id > 0 ? id : undefined;
  } catch {
    return undefined;
  }
}
