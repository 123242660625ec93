/** Views of a dictionary's memory that call `die` before the n-th write. */
import { type Views, viewsOf } from '../../src/shared/layout.ts';

type AnyView = Int32Array | Uint8Array | Float64Array | BigInt64Array;

/** Writes to the lock itself do not count. */
export function mortalViews(buffer: SharedArrayBuffer, writes: number, die: () => void): Views {
  let left = writes;
  const count = (): void => {
    left -= 1;
    if (left === 0) die();
  };
  const wrap = <V extends AnyView>(view: V): V =>
    new Proxy(view, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...words: unknown[]): unknown => {
          if (name === 'set' || name === 'fill') count();
          return Reflect.apply(member, target, words);
        };
      },
      set: (target, name, value) => {
        count();
        return Reflect.set(target, name, value, target);
      },
    });
  const views = viewsOf(buffer);
  return {
    lock: views.lock,
    words: wrap(views.words),
    bytes: wrap(views.bytes),
    floats: wrap(views.floats),
    integers: wrap(views.integers),
  };
}
