/** Runs entries of the catalogue, each on its stage, one after the other. */
import type { Experiences } from './honest-clients.ts';
import { judge, type Row } from './judge.ts';
import type { Entry, HostileScript, Program } from './offender.ts';
import { type Observation, Stage } from './stage.ts';

/** Honest clients are watched so long before anybody misbehaves. */
const CALM_MS = 500;

type StageName = Program | 'clients';

/** One after the other; in the short form those that wait do so together. `done` is told of each row as soon as it is there. */
export async function runSuite(
  entries: readonly Entry[],
  isBrief: boolean,
  done: (row: Row) => void,
): Promise<ReadonlyMap<StageName, Experiences>> {
  const calms = new Map<StageName, Experiences>();
  for (const name of ['open', 'functions', 'limits', 'sandbox', 'root', 'clients'] as const) {
    const own = entries.filter((entry) => stageOf(entry, isBrief) === name);
    if (own.length > 0) calms.set(name, await runStage(name, own, isBrief, done));
  }
  return calms;
}

async function runStage(
  name: StageName,
  entries: readonly Entry[],
  isBrief: boolean,
  done: (row: Row) => void,
): Promise<Experiences> {
  let stage = await startStage(name, entries, isBrief);
  try {
    const calm = await stage.calm(CALM_MS);
    for (const some of rounds(entries, isBrief)) {
      if (!stage.usable) {
        await stage.stop();
        stage = await startStage(name, entries, isBrief);
      }
      const observations = await stage.observe(some);
      for (const [n, entry] of some.entries()) done(judge(entry, observations[n] as Observation, calm, some));
    }
    return calm;
  } finally {
    await stage.stop();
  }
}

function rounds(entries: readonly Entry[], isBrief: boolean): Entry[][] {
  const together = entries.filter(
    (entry) => isBrief && entry.kind === 'client' && entry.offender.waits === true,
  );
  const alone = entries.filter((entry) => !together.includes(entry)).map((entry) => [entry]);
  return together.length === 0 ? alone : [together, ...alone];
}

/** Few scripts share a gateway whose program has more than they need. */
function stageOf({ kind, offender }: Entry, isBrief: boolean): StageName {
  if (kind === 'client') return 'clients';
  const { program = 'open' } = offender;
  return isBrief && program === 'open' ? 'functions' : program;
}

function startStage(name: StageName, entries: readonly Entry[], isBrief: boolean): Promise<Stage> {
  if (name === 'clients') return Stage.forClients(isBrief);
  const scripts = entries.map(({ offender }) => offender as HostileScript);
  return Stage.forScripts(scripts, name, isBrief);
}
