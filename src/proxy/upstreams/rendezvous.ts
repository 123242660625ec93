/** Rendezvous hashing (highest random weight): a key goes to the server whose score with it is the highest, so that a lost server moves its own keys only. */

/** A hash of a string of bytes in 32 bits (FNV-1a). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mixed(hash);
}

/** The score of a server with a key, both as hashes: 0 to 2^32 - 1, evenly. */
export function scoreOf(key: number, server: number): number {
  return mixed(key ^ Math.imul(server, 0x9e3779b1)) >>> 0;
}

/** Each bit changes half of all (the finaliser of MurmurHash3). */
function mixed(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
