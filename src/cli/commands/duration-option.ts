import { UsageError } from '../errors.ts';

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

export const DURATION_PATTERN = /^([0-9]{1,6})(s|min|h|d|w)$/;
export const PERCENT_PATTERN = /^([0-9]{1,3}(?:\.[0-9]{1,3})?)%?$/;

/** `30d`, `12h`, `90min`, `45s`, `2w` in milliseconds. @throws UsageError USAGE */
export function durationOf(name: string, given: string): number {
  const [, count, unit] = DURATION_PATTERN.exec(given) ?? [];
  const ms = Number(count) * (UNITS[unit ?? ''] ?? Number.NaN);
  if (ms > 0) return ms;
  throw new UsageError('USAGE', `--${name}: not a length of time`, {
    expected: 'a number and s, min, h, d or w, such as 30d',
    found: given,
  });
}

/** The last moment of a day, UTC. @throws UsageError USAGE */
export function endOfDay(name: string, given: string): Date {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(given) ? new Date(`${given}T23:59:59.999Z`) : undefined;
  // 31 February is read as a day of March.
  if (time !== undefined && !Number.isNaN(time.getTime()) && time.toISOString().startsWith(given)) return time;
  throw new UsageError('USAGE', `--${name}: not a day`, {
    expected: 'YEAR-MONTH-DAY, such as 2027-06-30',
    found: given,
  });
}

/** `10%` or `10`: a part of a hundred. @throws UsageError USAGE */
export function percentOf(name: string, given: string): number {
  const [, text] = PERCENT_PATTERN.exec(given) ?? [];
  const percent = Number(text);
  if (percent >= 0 && percent <= 100) return percent;
  throw new UsageError('USAGE', `--${name}: not a percentage`, { expected: '0% to 100%', found: given });
}
