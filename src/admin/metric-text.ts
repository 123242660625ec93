/** Writes metrics in the text of OpenMetrics 1.0, or in the older one of Prometheus (0.0.4). */
import type { Histogram } from '../metrics/histogram.ts';

export interface MetricFamily {
  /** With `_total` for a counter, and `_info` for facts that have no value. */
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram' | 'info';
  readonly help: string;
}

export type MetricLabels = Readonly<Record<string, string>>;

/** Content types, and whether OpenMetrics is asked for. */
const OPEN_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
const CLASSIC_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Upper ends of the buckets that are told, ms: from half a millisecond to ten seconds, and ends of buckets that are counted, so that
 * nothing has to be guessed.
 */
const BUCKET_ENDS_MS: readonly number[] = [
  ...Array.from({ length: 15 }, (_, i) => 0.512 * 2 ** i),
  10_485.76,
];

export class MetricText {
  readonly type: string;
  readonly #isOpen: boolean;
  #text = '';
  #name = '';

  /** `accept`: the field of the request. Whoever does not ask for OpenMetrics gets the older text, which all scrapers know. */
  constructor(accept: string) {
    this.#isOpen = asksForOpenMetrics(accept);
    this.type = this.#isOpen ? OPEN_TYPE : CLASSIC_TYPE;
  }

  /** Samples follow; a family comes once. */
  family({ name, kind, help }: MetricFamily): void {
    const isInfo = kind === 'info' && !this.#isOpen;
    const shown = this.#isOpen ? name.replace(/_total$|_info$/, '') : name;
    this.#name = name;
    this.#text += `# HELP ${shown} ${escapeHelp(help, this.#isOpen)}\n# TYPE ${shown} ${isInfo ? 'gauge' : kind}\n`;
  }

  sample(labels: MetricLabels, value: number): void {
    this.#line(this.#name, labels, value);
  }

  /** In seconds. */
  histogram(labels: MetricLabels, observed: Histogram): void {
    const name = this.#name;
    for (const end of BUCKET_ENDS_MS) {
      const le = showNumber(Number((end / 1000).toPrecision(12)));
      this.#line(`${name}_bucket`, { ...labels, le: le.includes('.') ? le : `${le}.0` }, observed.below(end));
    }
    const { count } = observed;
    this.#line(`${name}_bucket`, { ...labels, le: '+Inf' }, count);
    this.#line(`${name}_sum`, labels, observed.sumMs / 1000);
    this.#line(`${name}_count`, labels, count);
  }

  end(): string {
    return this.#isOpen ? `${this.#text}# EOF\n` : this.#text;
  }

  #line(name: string, labels: MetricLabels, value: number): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
    this.#text += `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${showNumber(value)}\n`;
  }
}

/** True where some range of Accept names it with a quality above 0; a wildcard is for the older text. */
export function asksForOpenMetrics(accept: string): boolean {
  return accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    return type === 'application/openmetrics-text' && !parameters.some((one) => /^q=0(\.0*)?$/.test(one));
  });
}

function showNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}

/** OpenMetrics escapes quotes in a help text, the older form does not. */
function escapeHelp(text: string, isOpen: boolean): string {
  const escaped = text.replace(/[\\\n]/g, (character) => (character === '\n' ? '\\n' : '\\\\'));
  return isOpen ? escaped.replaceAll('"', '\\"') : escaped;
}
