/** Says what is wrong with what an offender got and with what the honest clients had to bear. */
import { type Experiences, PLACES } from './honest-clients.ts';
import type { Entry } from './offender.ts';
import { CPU_LIMIT_MS, type Observation, STATE_BYTES_MAX } from './stage.ts';

/**
 * Processor time the worker may use for others while an honest request waits: some slices, collections of garbage, and
 * what the request itself takes. Time on a processor grows little with the load of the machine, the wait does. Whoever is
 * held up by a whole limit waits longer than this.
 */
const WORK_MS_MAX = 250;
/** Where Lua cannot be suspended the limit ends the work, within 100 ms. */
const HELD_WORK_MS_MAX: number = CPU_LIMIT_MS + 100 + WORK_MS_MAX;
/** To load the script of all offenders anew, which is a long one, where a state was lost or has grown. */
const REBUILD_WORK_MS_MAX = 150;
/** A worker that waits for something takes no processor time: then the clock on the wall has to tell, generously. */
const WAIT_MS_MAX = 5000;
/** A wait this much longer than the calm one is allowed on a machine on which even calm ones take long. */
const WAIT_FACTOR_MAX = 50;
/** A lost state, the one that takes its place, and what a state holds outside. */
const GROWTH_BYTES_MAX: number = 3 * STATE_BYTES_MAX + 64 * 1024 * 1024;

export interface Row {
  readonly entry: Entry;
  readonly observation: Observation;
  /** Empty: all is as it has to be. */
  readonly faults: readonly string[];
}

/** `together`: those that acted at the same time; each may take its part, and what one fills is full for all. */
export function judge(
  entry: Entry,
  observation: Observation,
  calm: Experiences,
  together: readonly Entry[],
): Row {
  const { offender } = entry;
  const { got, experiences, resident, statesLost, workerLives, defects, left } = observation;
  const faults: string[] = [];
  if (!offender.gets.test(got)) faults.push(`it got "${got}", not ${offender.gets}`);
  if (!workerLives) faults.push('the worker has ended');
  if (statesLost > 0 && offender.losesState === undefined) faults.push('a state was given up');
  for (const line of defects) faults.push(`the log says "${line.slice(0, 200)}"`);
  if (left !== undefined && offender.keeps === undefined)
    faults.push(`something is left: ${left.slice(0, 200)}`);
  const grown = resident.peak - resident.before;
  const grownMax = offender.growthBytesMax ?? GROWTH_BYTES_MAX;
  if (grown > grownMax) faults.push(`memory grew by ${mebibytes(grown)} MiB, not ${mebibytes(grownMax)}`);
  const ownWorkMax = offender.holds === undefined ? WORK_MS_MAX : HELD_WORK_MS_MAX;
  const workMax = (ownWorkMax + (observation.rebuilt ? REBUILD_WORK_MS_MAX : 0)) * Math.sqrt(together.length);
  for (const place of PLACES) {
    const { wrong, unavailable, answers, workMs, waitMs } = experiences[place];
    if (wrong.length > 0) faults.push(`${place}: ${wrong.length} wrong answers, "${wrong[0]}"`);
    const mayLack =
      (place === 'same mapping' && statesLost > 0) ||
      (place === 'metrics' && together.some((one) => one.offender.fillsAdmin !== undefined));
    if (unavailable > 0 && !mayLack)
      faults.push(`${place}: ${unavailable} × ${place === 'metrics' ? 'closed' : '503'}`);
    if (answers === 0 && !mayLack) faults.push(`${place}: no answer`);
    if (workMs > workMax) faults.push(`${place}: ${Math.round(workMs)} ms of work stood before an answer`);
    const waitMax = Math.max(WAIT_MS_MAX, WAIT_FACTOR_MAX * calm[place].waitMs);
    if (waitMs > waitMax && !(mayLack && place === 'metrics'))
      faults.push(`${place}: an answer took ${Math.round(waitMs)} ms`);
  }
  return { entry, observation, faults };
}

export function mebibytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}
