/** Finds out whether a peer is installed, and its version. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Peer } from './peers.ts';

export type FoundPeer =
  | { readonly installed: true; readonly version: string }
  | { readonly installed: false; readonly reason: string };

export function findPeer(peer: Peer): FoundPeer {
  const run = spawnSync(peer.program, peer.versionArguments, { encoding: 'utf8' });
  const lacking = peer.requires.filter((file) => !existsSync(file));
  const runs = run.error === undefined && run.status === 0 && lacking.length === 0;
  if (!runs && peer.packages !== undefined)
    return { installed: false, reason: `not installed: apt-get install ${peer.packages}` };
  // a peer of this project that fails here also fails when it is started, with a more exact message
  const version = runs ? `${run.stdout}${run.stderr}`.trim().split('\n')[0] : undefined;
  return { installed: true, version: version ?? 'unknown' };
}
