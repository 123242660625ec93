/** `npm run hostile`: lets every offender of the catalogue loose on the real program, prints a table and writes docs/hostile.md. */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { catalogue } from './catalogue.ts';
import type { Row } from './judge.ts';
import { formatLegend, formatPage, formatRow, formatSum } from './report.ts';
import { runSuite } from './suite.ts';

const USAGE = `Usage: npm run hostile -- [--brief] [WORD]...
Runs the offenders whose group or name contains one of the words, such as 'below a root' or 'HTTP/2'; all of them
without words, and then writes docs/hostile.md. --brief: those of npm run test:all. Exit status 1 when somebody suffered
who should not; what was wrong, and what the log said, stands below its row.
`;

async function main(all: readonly string[]): Promise<number> {
  const isBrief = all.includes('--brief');
  const words = all.filter((word) => word !== '--brief');
  if (words.includes('--help')) {
    console.log(USAGE);
    return 0;
  }
  const entries = await catalogue();
  const chosen = entries.filter(
    ({ kind, group, offender }) =>
      (!isBrief || offender.brief === true) &&
      (words.length === 0 || words.some((word) => `${kind} ${group} ${offender.name}`.includes(word))),
  );
  if (chosen.length === 0) {
    console.error('No offender is named like that');
    return 2;
  }
  console.log(formatLegend());
  const rows: Row[] = [];
  const calms = await runSuite(chosen, isBrief, (row) => {
    rows.push(row);
    console.log(formatRow(row));
  });
  console.log(`\n${formatSum(rows)}`);
  if (words.length === 0 && !isBrief) {
    const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Node.js ${process.version}`;
    writeFileSync(join(PACKAGE_ROOT, 'docs', 'hostile.md'), formatPage(rows, calms, machine));
  }
  return rows.some(({ faults }) => faults.length > 0) ? 1 : 0;
}

process.exit(await main(process.argv.slice(2)));
