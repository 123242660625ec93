/**
 * Draws the chart of CPU time per request for each server: an SVG file with no scripts and no external fonts, in light and dark
 * colours.
 */
import type { PeerName } from './peers/peers.ts';
import type { BenchResult, ScenarioResult } from './result.ts';

/** Names of the servers as the documents show them. */
export const PEER_TITLES: Readonly<Partial<Record<PeerName, string>>> = {
  lgateway: 'lgateway',
  node: 'Node.js alone',
  'nginx-lua': 'nginx + Lua',
  'haproxy-lua': 'HAProxy + Lua',
  'lighttpd-magnet': 'lighttpd magnet',
  'h2o-mruby': 'h2o + mruby',
  'apache-lua': 'Apache mod_lua',
  caddy: 'Caddy, static',
};

/** Sizes are in units of the drawing. The drawing is narrow so that its letters are readable on a screen 360 pixels wide. */
const WIDTH = 480;
const MARGIN = 16;
const ROW = 24;
const BAR = 15;
const LABELS = 128;
/** Width of the column of values, to the right of the longest bar. */
const VALUES = 56;
/** Height of the line with the name of a scenario, above its bars. */
const NAME = 34;
const HEAD = 66;
const LINE = 17;
/** A bar longer than this multiple of the median bar is cut; the gap stands at this part of the bar's length. */
const TIMES_MIDDLE_MAX = 4;
const CUT_AT = 0.9;
/** Width of the image in a document, in pixels, where the page is wide enough. */
const SHOWN_WIDTH = 600;

const STYLE = `
  .ground { fill: #ffffff; stroke: #d1d9e0 }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .name, .own { font-weight: 600 }
  .note { font-size: 12px; fill: #59636e }
  rect.bar { fill: #a3adb8 }
  rect.bar.own { fill: #0b66c3 }
  .cut { stroke: #ffffff; stroke-width: 4 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .note { fill: #9198a1 }
    rect.bar { fill: #565f6b }
    rect.bar.own { fill: #4493f8 }
    .cut { stroke: #0d1117 }
  }`;

/** Leaves out scenarios that the run did not measure. */
export function drawChart(result: BenchResult, names: readonly string[]): string {
  const scenarios = names.flatMap((name) => result.scenarios.filter(({ scenario }) => scenario === name));
  const parts: string[] = [];
  let y = HEAD;
  for (const scenario of scenarios) {
    parts.push(text(MARGIN, y + NAME - 12, 'name', scenario.title));
    y += NAME;
    parts.push(...drawBars(scenario, y));
    y += barsOf(scenario).length * ROW;
  }
  y += 12;
  for (const line of notesOf(result)) {
    y += LINE;
    parts.push(text(MARGIN, y, 'note', line));
  }
  const height = y + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${SHOWN_WIDTH}" height="${Math.round((height * SHOWN_WIDTH) / WIDTH)}" role="img" aria-labelledby="title description">`,
    '<title id="title">CPU time of the server for one request</title>',
    `<desc id="description">${escapeXml(describe(scenarios))}</desc>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="ground" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>`,
    text(MARGIN, 30, 'title', 'CPU time of the server for one request'),
    text(MARGIN, 51, 'note', 'microseconds, one worker each; shorter is better'),
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

interface Bar {
  readonly peer: PeerName;
  readonly title: string;
  readonly value: number;
}

/** Sorted by CPU time, the smallest first. */
export function barsOf({ peers }: ScenarioResult): Bar[] {
  return peers
    .flatMap(({ peer, values }) => {
      const title = PEER_TITLES[peer];
      const value = values['cpuUs'];
      return title === undefined || value === undefined ? [] : [{ peer, title, value }];
    })
    .sort((a, b) => a.value - b.value);
}

/** Each scenario has its own scale. */
function drawBars(scenario: ScenarioResult, top: number): string[] {
  const bars = barsOf(scenario);
  const longest = longestOf(bars);
  const room = WIDTH - 2 * MARGIN - LABELS - VALUES;
  return bars.flatMap(({ peer, title, value }, row) => {
    const own = peer === 'lgateway' ? ' own' : '';
    const y = top + row * ROW;
    const isCut = value > longest;
    const width = isCut ? room : Math.max(1, (value / longest) * room);
    const x = MARGIN + LABELS;
    const base = y + BAR - 3;
    return [
      text(MARGIN, base, `label${own}`, title),
      `<rect class="bar${own}" x="${x}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2"/>`,
      ...(isCut ? [drawCut(x + width * CUT_AT, y)] : []),
      text(x + width + 6, base, `value${own}`, formatUs(value)),
    ];
  });
}

/** The longest value drawn to scale. One very slow server would otherwise make all other bars too short to read. */
function longestOf(bars: readonly Bar[]): number {
  const middle = bars[Math.floor((bars.length - 1) / 2)]?.value ?? 0;
  return Math.max(...bars.map(({ value }) => value).filter((value) => value <= middle * TIMES_MIDDLE_MAX));
}

/** Draws the gap that shows that a bar is longer than its drawing. */
function drawCut(x: number, y: number): string {
  return `<path class="cut" d="M${x.toFixed(1)} ${y + BAR + 2}l6 -${BAR + 4}"/>`;
}

export function formatUs(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}

function notesOf({ machine, startedAt, scenarios }: BenchResult): string[] {
  const rounds = Math.max(...scenarios.map((scenario) => scenario.rounds));
  return [
    `Median of ${rounds === 1 ? '1 round' : `${rounds} rounds`}. Each group has a scale of its own; a bar with a gap is cut.`,
    `${machine['cpu']}, ${machine['cores']} cores; Node.js ${machine['node']}; ${startedAt.slice(0, 10)}`,
    'npm run bench -- --publish',
  ];
}

function describe(scenarios: readonly ScenarioResult[]): string {
  return scenarios
    .map((scenario) => {
      const bars = barsOf(scenario).map(({ title, value }) => `${title} ${formatUs(value)}`);
      return `${scenario.title}: ${bars.join(', ')}.`;
    })
    .join(' ');
}

function text(x: number, y: number, className: string, words: string): string {
  return `<text class="${className}" x="${x.toFixed(1).replace(/\.0$/, '')}" y="${y}">${escapeXml(words)}</text>`;
}

function escapeXml(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
