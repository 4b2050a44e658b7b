/**
 * Prometheus' text format, version 0.0.4 (docs/telemetry.md):
 *
 *     # HELP NAME what it is
 *     # TYPE NAME gauge
 *     NAME{LABEL="value",…} number
 *
 * A family without a sample is left out: a series that is not there and one that is 0 say different things.
 */

export const PROMETHEUS_TEXT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Gauge {
  /** `[a-z_]+`, as all names of labels. */
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

export function encodeGauges(gauges: readonly Gauge[]): string {
  return gauges
    .filter(({ samples }) => samples.length > 0)
    .map(encodeGauge)
    .join('');
}

function encodeGauge({ name, help, samples }: Gauge): string {
  const lines = samples.map(({ labels = {}, value }) => `${name}${encodeLabels(labels)} ${encodeNumber(value)}\n`);
  return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} gauge\n${lines.join('')}`;
}

function encodeLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** As Go reads it: JavaScript writes its numbers in the same way but for infinity. */
function encodeNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}
