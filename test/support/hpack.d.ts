/** Types for the part of hpack.js that the tests use; the package has none. */
declare module 'hpack.js' {
  // biome-ignore lint/style/noNamespace: only a namespace exports types with the `export =` of a CommonJS module
  namespace hpack {
    interface Options {
      readonly table: { readonly size?: number; readonly maxSize: number };
    }
    interface Compressor {
      write(fields: readonly { readonly name: string; readonly value: string }[]): void;
      read(): Buffer | null;
    }
    interface Decompressor {
      on(event: 'error', listener: (error: Error) => void): void;
      write(block: Buffer): void;
      execute(): void;
      read(): { readonly name: string; readonly value: string } | null;
    }
    const compressor: { create(options: Options): Compressor };
    const decompressor: { create(options: Options): Decompressor };
  }
  export = hpack;
}
