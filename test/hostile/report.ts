/** The rows of the hostile suite as a table: for a terminal, and as a page of the documentation. */
import { type Experiences, PLACES } from './honest-clients.ts';
import { mebibytes, type Row } from './judge.ts';

const HEADS = [
  'offender',
  'got',
  'after ms',
  'honest answers',
  'longest wait ms: same mapping, other, new connection, metrics',
  'work before an answer ms',
  'resident MiB: before, peak, after',
  'worker',
  'states lost',
  'verdict',
] as const;

function cells({ entry, observation, faults }: Row): string[] {
  const { got, afterMs, experiences, resident, workerLives, statesLost } = observation;
  const all = PLACES.map((place) => experiences[place]);
  const unavailable = all.reduce((sum, { unavailable: n }) => sum + n, 0);
  const wrong = all.reduce((sum, { wrong: list }) => sum + list.length, 0);
  const answers = all.reduce((sum, { answers: n }) => sum + n, 0);
  return [
    entry.offender.name,
    got.slice(0, 50),
    String(Math.round(afterMs)),
    [
      answers,
      ...(unavailable > 0 ? [`${unavailable} × 503`] : []),
      ...(wrong > 0 ? [`${wrong} wrong`] : []),
    ].join(', '),
    all.map(({ waitMs }) => Math.round(waitMs)).join(' '),
    String(Math.round(Math.max(...all.map(({ workMs }) => workMs)))),
    [resident.before, resident.peak, resident.after].map(mebibytes).join(' '),
    workerLives ? 'lives' : 'ended',
    String(statesLost),
    faults.length === 0 ? 'ok' : 'WRONG',
  ];
}

/** One line for each row as it comes; its faults and what the log said below. */
export function formatRow(row: Row): string {
  const [name = '', got = '', after = '', answers = '', waits = '', work = '', memory = '', , lost = ''] =
    cells(row);
  const line = [
    row.faults.length === 0 ? 'ok   ' : 'WRONG',
    name.padEnd(58),
    got.slice(0, 26).padEnd(26),
    `${after} ms`.padStart(8),
    answers.padStart(5),
    waits.padStart(13),
    work.padStart(4),
    memory.padStart(11),
    lost === '0' ? '' : `${lost} lost`,
  ].join('  ');
  const said = row.faults.length === 0 ? [] : row.observation.said.map((one) => `log: ${one.slice(0, 200)}`);
  return [line.trimEnd(), ...[...row.faults, ...said].map((fault) => `        ${fault}`)].join('\n');
}

export function formatLegend(): string {
  return 'verdict, offender, what it got and when, answers of honest clients, their longest waits (same mapping, other mapping,\nnew connection, metrics; ms), work of the worker before one of their answers (ms), resident MiB (before, peak, after)\n';
}

export function formatSum(rows: readonly Row[]): string {
  const scripts = rows.filter(({ entry }) => entry.kind === 'script').length;
  const wrong = rows.filter(({ faults }) => faults.length > 0).length;
  return `${scripts} scripts and ${rows.length - scripts} clients; ${wrong === 0 ? 'all as they have to be' : `${wrong} WRONG`}`;
}

/** The page docs/hostile.md. */
export function formatPage(
  rows: readonly Row[],
  calms: ReadonlyMap<string, Experiences>,
  machine: string,
): string {
  const groups = [...new Set(rows.map(({ entry }) => `${entry.kind}s: ${entry.group}`))];
  return `${[
    '# Hostile scripts and clients',
    '',
    '`npm run hostile` writes this page. It starts the real program with one worker and lets each offender loose on it, one after',
    'the other, while four honest clients ask all the time: one on the same mapping, one on another mapping, one over a new',
    'connection for each request (every other of them behind a PROXY head, where clients misbehave), one for the metrics of the admin',
    'listener. Nobody but the offender may suffer.',
    '',
    `${formatSum(rows)}. Measured on ${machine}; other machines have other figures, and should have the same verdicts.`,
    '',
    "`npm run hostile -- WORD...` runs a part: those whose group or name contains one of the words, such as `'HTTP/2'`, `'limits of'`,",
    "`'below a root'` or `'httpd.fetch with'`. `--brief` runs what `npm run test:all` does. With WRONG rows the exit status is 1, and what was",
    'wrong stands below them, with what the log said.',
    '',
    '- *Got*: what the offender was answered, and after how many milliseconds. Scripts may use 300 ms and 64 MiB, those that',
    '  have much to do up to 10 s.',
    '- *Longest wait*: of the four honest clients, by the clock on the wall. It grows with the load of the machine.',
    '- *Work before an answer*: processor time of the worker while an honest request waited. It decides, because it does not.',
    '- *Worker*: whether the thread is the one it was. *States lost*: Lua states that had to be given up.',
    '',
    'When nobody misbehaves:',
    '',
    '| program | longest wait ms: same mapping, other, new connection, metrics | work before an answer ms |',
    '|---|---|---|',
    ...[...calms].map(([name, calm]) => {
      const all = PLACES.map((place) => calm[place]);
      const waits = all.map(({ waitMs }) => Math.round(waitMs)).join(' ');
      return `| ${name} | ${waits} | ${Math.round(Math.max(...all.map(({ workMs }) => workMs)))} |`;
    }),
    ...groups.flatMap((group) => [
      '',
      `## ${group[0]?.toUpperCase()}${group.slice(1)}`,
      '',
      `| ${HEADS.join(' | ')} |`,
      `|${HEADS.map(() => '---|').join('')}`,
      ...rows
        .filter(({ entry }) => `${entry.kind}s: ${entry.group}` === group)
        .map((row) => `| ${cells(row).map(escapeCell).join(' | ')} |`),
    ]),
    ...footnotes(rows),
  ].join('\n')}\n`;
}

function footnotes(rows: readonly Row[]): string[] {
  const held = rows.flatMap(({ entry: { offender } }) => [
    ...(offender.holds === undefined
      ? []
      : [`| ${offender.name} | the worker, up to its limit: ${offender.holds} |`]),
    ...(offender.losesState === undefined
      ? []
      : [`| ${offender.name} | its state: ${offender.losesState} |`]),
    ...(offender.fillsAdmin === undefined
      ? []
      : [`| ${offender.name} | places of the admin listener, for seconds: ${offender.fillsAdmin} |`]),
    ...(offender.keeps === undefined
      ? []
      : [`| ${offender.name} | what is kept in a global until the state ends: ${offender.keeps} |`]),
  ]);
  if (held.length === 0) return [];
  return ['', '## What may cost more than a slice', '', '| offender | what it costs |', '|---|---|', ...held];
}

function escapeCell(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what an offender may have got
  const shown = text.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, '\u00b7');
  return shown.replaceAll(/[|\\<*`]/g, '\\$&');
}
