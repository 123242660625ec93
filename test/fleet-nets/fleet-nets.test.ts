/** Three gateways in three network namespaces behind HAProxy, with one store: they behave as one. */
import { after, before } from 'node:test';
import { testDisturbances } from './disturbances.ts';
import { testRollingUpgrade } from './rolling-upgrade.ts';
import { testSharedState } from './shared-state.ts';
import { ThreeMachines } from './three-machines.ts';
import { testTimers } from './timers.ts';

let started: ThreeMachines | undefined;
before(async () => {
  started = await ThreeMachines.start();
});
after(() => started?.stop());

function fleet(): ThreeMachines {
  if (started === undefined) throw new Error('The machines did not start');
  return started;
}

testSharedState(fleet);
testTimers(fleet);
testRollingUpgrade(fleet);
testDisturbances(fleet);
