/**
 * Patterns of names (`/users/{id}`, `/files/{rest...}`) as a tree of segments. An exact segment goes before a parameter,
 * and a parameter before the rest; where the better branch leads nowhere, the next one is tried.
 */

/** Segments of a pattern: more are no path that somebody reads. */
const PATTERN_SEGMENTS_MAX = 32;
/**
 * Nodes that the worst path may visit. Each pattern adds one for each of its segments where it overlaps with others,
 * so that hundreds of ordinary patterns stay below a hundred; without the limit, a few that overlap at every segment
 * would take 2^32.
 */
const VISITS_MAX = 256;

const PARAMETER = /^\{([A-Za-z_][A-Za-z0-9_]*)(\.\.\.)?\}$/;

interface Segment {
  readonly kind: 'exact' | 'parameter' | 'rest';
  readonly text: string;
}

/** A pattern that has been read. */
export interface Pattern {
  readonly text: string;
  readonly segments: readonly Segment[];
  /** Names of the parameters, from the left. */
  readonly names: readonly string[];
}

export function isPattern(name: string): boolean {
  return name.includes('{') || name.includes('}');
}

/** Reads a pattern, which begins with `/`; a text says what is wrong with it. */
export function readPattern(text: string): Pattern | string {
  const parts = text.slice(1).split('/');
  if (parts.length > PATTERN_SEGMENTS_MAX)
    return `it has ${parts.length} segments and the limit is ${PATTERN_SEGMENTS_MAX}`;
  const segments: Segment[] = [];
  const names: string[] = [];
  for (const [index, part] of parts.entries()) {
    if (!isPattern(part)) {
      segments.push({ kind: 'exact', text: part });
      continue;
    }
    const [, name, dots] = PARAMETER.exec(part) ?? [];
    if (name === undefined)
      return `the segment "${part}" has to be {name} or {name...} and nothing else, with a name of letters, digits and "_"`;
    if (names.includes(name)) return `the name "${name}" stands in it twice`;
    if (dots !== undefined && index !== parts.length - 1) return `{${name}...} has to be its last segment`;
    names.push(name);
    segments.push({ kind: dots === undefined ? 'parameter' : 'rest', text: name });
  }
  return { text, segments, names };
}

class Node<Leaf> {
  readonly exact = new Map<string, Node<Leaf>>();
  parameter: Node<Leaf> | undefined;
  /** What ends here, and what takes all that is left. */
  leaf: Leaf | undefined;
  rest: Leaf | undefined;
  /** Nodes that the worst path visits from here on, and from the worst exact segment on. */
  visits = 1;
  exactVisits = 0;
}

export interface Match<Leaf> {
  readonly leaf: Leaf;
  /** What stood in the place of the parameters, from the left. */
  readonly values: readonly string[];
}

export class PatternTree<Leaf> {
  readonly #root = new Node<Leaf>();

  /** What patterns of this shape share; undefined when there is none yet. */
  get({ segments }: Pattern): Leaf | undefined {
    let node: Node<Leaf> | undefined = this.#root;
    for (const { kind, text } of segments) {
      if (kind === 'rest') return node?.rest;
      node = kind === 'parameter' ? node?.parameter : node?.exact.get(text);
    }
    return node?.leaf;
  }

  /** What is too much about the pattern; undefined when `set` may take it. */
  excess({ segments }: Pattern): string | undefined {
    const visits = visitsWith(this.#root, segments, 0);
    if (visits <= VISITS_MAX) return undefined;
    return `with it, matching a path may take ${visits} steps and the limit is ${VISITS_MAX}: fewer patterns may overlap`;
  }

  /** `excess` has said that it may be. */
  set({ segments }: Pattern, leaf: Leaf): void {
    insert(this.#root, segments, 0, leaf);
  }

  /** Finds the pattern of a name, which begins with `/`. */
  match(name: string): Match<Leaf> | undefined {
    const values: string[] = [];
    const leaf = find(this.#root, { name, segments: [], values }, 1, 0);
    return leaf === undefined ? undefined : { leaf, values };
  }
}

function visitsWith<Leaf>(node: Node<Leaf> | undefined, segments: readonly Segment[], index: number): number {
  const segment = segments[index];
  if (segment === undefined || segment.kind === 'rest') return node?.visits ?? 1;
  let { exactVisits = 0 } = node ?? {};
  let parameterVisits = node?.parameter?.visits ?? 0;
  if (segment.kind === 'parameter') parameterVisits = visitsWith(node?.parameter, segments, index + 1);
  else exactVisits = Math.max(exactVisits, visitsWith(node?.exact.get(segment.text), segments, index + 1));
  return 1 + exactVisits + parameterVisits;
}

function insert<Leaf>(node: Node<Leaf>, segments: readonly Segment[], index: number, leaf: Leaf): void {
  const segment = segments[index];
  if (segment === undefined) node.leaf = leaf;
  else if (segment.kind === 'rest') node.rest = leaf;
  else {
    let next = segment.kind === 'parameter' ? node.parameter : node.exact.get(segment.text);
    next ??= new Node<Leaf>();
    insert(next, segments, index + 1, leaf);
    if (segment.kind === 'parameter') node.parameter = next;
    else {
      node.exact.set(segment.text, next);
      node.exactVisits = Math.max(node.exactVisits, next.visits);
    }
    node.visits = 1 + node.exactVisits + (node.parameter?.visits ?? 0);
  }
}

/** A name under way through the tree. */
interface Search {
  readonly name: string;
  /** Cut as they are reached, and once: a text is hashed once, however many nodes look for it, so that a long path costs its length. */
  readonly segments: string[];
  readonly values: string[];
}

/** `at`: where segment `depth` begins, which the node has to lead on; beyond the end of the name, there is none left. */
function find<Leaf>(node: Node<Leaf>, search: Search, at: number, depth: number): Leaf | undefined {
  const { name, segments, values } = search;
  if (at > name.length) return node.leaf;
  let segment = segments[depth];
  if (segment === undefined) {
    const end = name.indexOf('/', at);
    segment = end === -1 ? name.slice(at) : name.slice(at, end);
    segments.push(segment);
  }
  const next = at + segment.length + 1;
  const exact = node.exact.size === 0 ? undefined : node.exact.get(segment);
  if (exact !== undefined) {
    const leaf = find(exact, search, next, depth + 1);
    if (leaf !== undefined) return leaf;
  }
  if (node.parameter !== undefined && segment !== '') {
    values.push(segment);
    const leaf = find(node.parameter, search, next, depth + 1);
    if (leaf !== undefined) return leaf;
    values.pop();
  }
  if (node.rest === undefined || at === name.length) return undefined;
  values.push(name.slice(at));
  return node.rest;
}
