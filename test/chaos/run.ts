/** `npm run chaos -- --minutes 10 [--seed N] [WORD...]`: see run-chaos.ts. Exit status 1 when a bystander has suffered or something leaks. */
import { parseArgs } from 'node:util';
import { formatReport } from './report.ts';
import { runChaos } from './run-chaos.ts';

const { values, positionals } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
  allowPositionals: true,
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0 && minutes <= 600 && Number.isInteger(seed) && seed > 0)) {
  console.error('Usage: npm run chaos -- [--minutes 1..600] [--seed NUMBER] [WORD...]');
  process.exit(2);
}
const report = await runChaos(minutes * 60, seed, (line) => console.log(line), positionals);
console.log(formatReport(report));
process.exit(report.faults.length > 0 ? 1 : 0);
