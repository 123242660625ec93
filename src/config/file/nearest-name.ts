/** Finds the name that somebody most likely meant. */

/** Changes, by which a name may differ from the one that is meant. */
const DISTANCE_MAX = 2;
/** A longer word is none that somebody has mistyped (characters). */
const LENGTH_MAX = 64;

/** The nearest of `names`, the first of several; undefined where none is near. A short word has to have more in common than not. */
export function nearestName(word: string, names: readonly string[]): string | undefined {
  if (word.length > LENGTH_MAX) return undefined;
  let nearest: string | undefined;
  let least = Math.min(DISTANCE_MAX + 1, word.length);
  for (const name of names) {
    if (Math.abs(name.length - word.length) >= least) continue;
    const distance = editDistance(word, name);
    if (distance < least) [nearest, least] = [name, distance];
  }
  return nearest;
}

/** Damerau and Levenshtein: characters that are missing, too many, wrong, or have changed places with their neighbour. */
export function editDistance(one: string, other: string): number {
  let before: number[] = [];
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      let cost = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      next.push(cost);
    }
    [before, row] = [row, next];
  }
  return row[other.length] ?? 0;
}
