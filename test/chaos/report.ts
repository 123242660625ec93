/** What has happened to whom, as a table. */
import type { ChaosReport } from './run-chaos.ts';

export function formatReport(report: ChaosReport): string {
  const { before, after } = report;
  const rows = Object.entries(report.bystanders).map(
    ([name, { answers, cuts, refusals, failures, longestMs }]) => [
      name,
      String(answers),
      String(cuts.length),
      String(refusals.length),
      (longestMs / 1000).toFixed(1),
      String(failures.length),
    ],
  );
  const cuts = new Map<string, number>();
  for (const [name, experience] of Object.entries(report.bystanders))
    for (const { text } of experience.cuts)
      cuts.set(`${name}: ${text}`, (cuts.get(`${name}: ${text}`) ?? 0) + 1);
  const reasons = [...cuts].map(([text, count]) => [text, String(count)]);
  const held = (['processes', 'threads', 'descriptors', 'megabytes'] as const).map((name) => [
    name,
    String(before[name]),
    String(after[name]),
  ]);
  return [
    `\nSeed ${report.seed}, ${report.seconds} seconds of trouble`,
    table(
      ['trouble', 'times'],
      Object.entries(report.troubles).map(([name, count]) => [name, String(count)]),
    ),
    table(
      ['bystander', 'answers', 'cut, asked again', '503, asked again', 'longest wait s', 'failures'],
      rows,
    ),
    ...(reasons.length === 0 ? [] : [table(['asked again because', 'times'], reasons)]),
    table(['held', 'before', 'after'], held),
    report.faults.length === 0 ? 'All is well.' : `WRONG:\n${report.faults.join('\n')}`,
  ].join('\n\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((text, i) => Math.max(text.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
