/** A full dictionary, and one operation of each kind that changes it: the tests end a thread in the middle of these. */
import { Dictionary } from '../../src/shared/dictionary.ts';
import { HEADER, type Views, viewsOf } from '../../src/shared/layout.ts';
import { SharedDictionary } from '../../src/shared/shared-dictionary.ts';

const DICTIONARY_BYTES = 4096;
export const NOW = 1000;
/** A time at which `expired` has expired and no other entry has. */
export const LATER: number = NOW + 60_000;

export function openAt(views: Views, owner: number, now: number): SharedDictionary {
  return new SharedDictionary(new Dictionary(views, owner, () => now));
}

/** Holds numbers, texts of one block and of many, and an expired entry; a few blocks are free, some of them freed before. */
export function fullDictionary(): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(DICTIONARY_BYTES);
  const views = viewsOf(buffer);
  views.words[HEADER.seed0] = 4711;
  const dictionary = openAt(views, 1, NOW);
  dictionary.set('gone', 'x'.repeat(200));
  dictionary.set('text', 'x'.repeat(150));
  dictionary.set('long', 'y'.repeat(500));
  for (let i = 0; i < 20; i++) dictionary.set(`number ${i}`, i);
  dictionary.set('expired', 'z'.repeat(100), 1);
  dictionary.set('float', 0.5);
  dictionary.delete('gone');
  dictionary.set('short', 'abc');
  return buffer;
}

export interface DeadlyOperation {
  /** The entry that the operation may lose. */
  readonly key: string;
  run(dictionary: SharedDictionary): unknown;
}

export const DEADLY_OPERATIONS: Readonly<Record<string, DeadlyOperation>> = {
  'get that only moves': { key: 'number 3', run: (d) => d.get('number 3') },
  'get of the oldest': { key: 'text', run: (d) => d.get('text') },
  'get of an expired one': { key: 'expired', run: (d) => d.get('expired') },
  'set of a new number': { key: 'new', run: (d) => d.set('new', 1) },
  'set of a new text that pushes others out': { key: 'new', run: (d) => d.set('new', 'n'.repeat(1800)) },
  'set of a text in its place': { key: 'text', run: (d) => d.set('text', 'X'.repeat(160)) },
  'set of a text with another end': { key: 'long', run: (d) => d.set('long', 5, 9) },
  'set of a longer text': { key: 'number 7', run: (d) => d.set('number 7', 'n'.repeat(300)) },
  delete: { key: 'long', run: (d) => d.delete('long') },
  incr: { key: 'number 9', run: (d) => d.incr('number 9', 5) },
  'incr to a float': { key: 'number 9', run: (d) => d.incr('number 9', 0.5) },
  'incr of a new one': { key: 'counter', run: (d) => d.incr('counter', 1, { init: 0, ttl: 5 }) },
  expire: { key: 'number 2', run: (d) => d.expire('number 2', 100) },
  keys: { key: 'expired', run: (d) => d.keys() },
  flush: { key: '', run: (d) => d.flush() },
};
