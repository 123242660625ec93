/** What a path below a static mapping stands for: the file and its precompressed forms, as they were when somebody last looked. */
import type { Coding } from './file-answer.ts';
import type { StaticCache } from './static-cache.ts';
import { type FormParts, StaticForm } from './static-form.ts';

/** The ending of each precompressed form. */
const ENDINGS: Readonly<Record<Coding, string>> = { br: '.br', zstd: '.zst', gzip: '.gz' };

export class StaticEntry {
  readonly path: string;
  readonly original: StaticForm;
  /** Somebody has asked for it since the cache last looked for what nobody asks for. */
  isUsed = false;
  readonly #parts: FormParts;
  readonly #cache: StaticCache;
  readonly #siblings: Map<string, StaticEntry>;
  #variants: Partial<Record<Coding, StaticForm>> = {};
  /** The name that the variants belong to. */
  #variantsOf = '';

  /** `siblings`: the entries of the mapping by path, which this one is in as long as it is of use. */
  constructor(path: string, parts: FormParts, cache: StaticCache, siblings: Map<string, StaticEntry>) {
    this.path = path;
    this.#parts = parts;
    this.#cache = cache;
    this.#siblings = siblings;
    const isDirectory = path.endsWith('/');
    this.original = new StaticForm(parts, {
      names: isDirectory ? parts.settings.index.map((name) => path + name) : [path],
      directory: isDirectory ? path : undefined,
      coding: undefined,
      original: undefined,
      onChecked: this.#onChecked,
    });
  }

  /** The best form for a client that takes these codings, as far as what is known was true at `notBefore`; undefined: look. */
  formFor(codings: readonly Coding[], notBefore: number): StaticForm | undefined {
    const { original } = this;
    if (original.state !== 'file' || !original.isKnownSince(notBefore)) return undefined;
    for (let i = 0; i < codings.length; i++) {
      const variant = this.variant(codings[i] as Coding);
      if (variant === undefined) break;
      if (!variant.isKnownSince(notBefore)) return undefined;
      if (variant.state === 'file') return variant;
    }
    return original;
  }

  /** A precompressed form of the file, which is known; undefined for what is no file. */
  variant(coding: Coding): StaticForm | undefined {
    const { name, isListing } = this.original;
    if (isListing) return undefined;
    if (this.#variantsOf !== name) {
      this.#forgetVariants();
      this.#variants = {};
      this.#variantsOf = name;
    }
    let variant = this.#variants[coding];
    if (variant === undefined) {
      const names = [name + ENDINGS[coding]];
      const place = { names, directory: undefined, coding, original: name, onChecked: this.#onChecked };
      variant = new StaticForm(this.#parts, place);
      this.#variants[coding] = variant;
    }
    return variant;
  }

  /** Bytes of all its forms. */
  get bytes(): number {
    const { br, zstd, gzip } = this.#variants;
    return this.original.bytes + (br?.bytes ?? 0) + (zstd?.bytes ?? 0) + (gzip?.bytes ?? 0);
  }

  /** It is not found by its path any more. */
  forget(): void {
    if (this.#siblings.get(this.path) === this) this.#siblings.delete(this.path);
    this.original.forget();
    this.#forgetVariants();
  }

  #forgetVariants(): void {
    for (const variant of Object.values(this.#variants)) variant.forget();
  }

  /** What is there is kept, what is not is asked for anew: nobody fills the memory with names. */
  readonly #onChecked = (): void => {
    const { state } = this.original;
    if (this.#siblings.get(this.path) !== this) return;
    if (state === 'file' || state === 'directory') this.#cache.keep(this);
    else this.#cache.drop(this);
  };
}
