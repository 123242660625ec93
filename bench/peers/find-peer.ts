/** Says whether a peer is installed here, and in which version. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Peer } from './peers.ts';

export type FoundPeer =
  | { readonly installed: true; readonly version: string }
  | { readonly installed: false; readonly reason: string };

export function findPeer(peer: Peer, gateway: string): FoundPeer {
  const words = peer.name === 'lgateway' ? [gateway, ...peer.versionArguments] : peer.versionArguments;
  const run = spawnSync(peer.program, words, { encoding: 'utf8' });
  const lacking = peer.requires.filter((file) => !existsSync(file));
  if (run.error !== undefined || run.status !== 0 || lacking.length > 0)
    return { installed: false, reason: `not installed; Debian has it in ${peer.packages}` };
  const [version = ''] = `${run.stdout}${run.stderr}`.trim().split('\n');
  return { installed: true, version };
}
