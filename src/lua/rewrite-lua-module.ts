/** Makes the module that can be bounded of wasmoon's Lua module: the build does it, so that no start has to. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { withFrameNotice } from './frame-notice.ts';
import { findInterruptible } from './interruptible-functions.ts';
import { withOrderFallback } from './order-fallback.ts';
import { rewriteModule } from './wasm-rewriter.ts';

/** `guarded`: its jumps back use fuel. The memory keeps wasmoon's maximum. */
export async function rewriteLuaModule(guarded: boolean): Promise<Uint8Array<ArrayBuffer>> {
  const entry = createRequire(import.meta.url).resolve('wasmoon');
  return rewriteModule(await readFile(join(dirname(entry), 'glue.wasm')), {
    memoryPagesMax: undefined,
    // only os.execute ever called it, and that is replaced
    hostCall: 'env.system',
    fuelName: 'fuel',
    payName: 'pay',
    counts: guarded,
    interruptible: { find: findInterruptible, globalName: 'raiseBelow' },
    editCode: (body, hostCall) => withFrameNotice(withOrderFallback(body), hostCall),
  });
}
