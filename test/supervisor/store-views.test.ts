/** What is known of stores: the store of all machines by the main thread, those of single dictionaries by the workers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStoreAddress } from '../../src/base/store-address.ts';
import { createStoreStates, StoreStates } from '../../src/metrics/store-states.ts';
import type { StoreSettings } from '../../src/settings/store-settings.ts';
import { viewStores } from '../../src/supervisor/store-views.ts';

test('A store is away as long as it is for any worker, and that of all machines when the main thread says so', () => {
  const settings = (port: number, dictionaries: StoreSettings['dictionaries']): StoreSettings => {
    const address = readStoreAddress(`redis://:hidden@127.0.0.1:${port}`);
    assert.ok(address !== undefined);
    return { address, ca: undefined, dictionaries, inMemory: [] };
  };
  const stores = [settings(1, ['a']), settings(2, ['b']), settings(3, 'others')];
  const states = new StoreStates(createStoreStates(3, stores.length), stores.length);
  const faults = (fault?: string) => viewStores(stores, states, fault).map((view) => view.fault);
  assert.deepEqual(faults(), [undefined, undefined, undefined]);
  for (const workerId of [1, 3]) states.set(workerId, 1, true);
  states.set(2, 2, true);
  assert.deepEqual(faults('gone'), [undefined, 'store redis://127.0.0.1:2 is away for 2 workers', 'gone']);
  states.set(1, 1, false);
  assert.match(faults()[1] ?? '', /for 1 worker$/);
  states.set(3, 1, false);
  assert.deepEqual(faults(), [undefined, undefined, undefined]);
});
