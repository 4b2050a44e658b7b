/** How many bytes may be transferred in a second: `500KiB`, `10MiB`, `1GiB`. */
import { FormatError } from '../errors.ts';

const UNITS: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** Below, a transfer would look as if it stood still. */
const MIN_BYTES_PER_SECOND = 64 * 1024;

export const TRANSFER_RATE_PATTERN = /^([1-9][0-9]{0,6})(KiB|MiB|GiB)$/;

/** @throws FormatError TRANSFER_RATE_INVALID */
export function parseTransferRate(text: string): number {
  const [, count, unit] = TRANSFER_RATE_PATTERN.exec(text) ?? [];
  const bytesPerSecond = Number(count) * (UNITS[unit ?? ''] ?? Number.NaN);
  if (bytesPerSecond >= MIN_BYTES_PER_SECOND) return bytesPerSecond;
  throw new FormatError('TRANSFER_RATE_INVALID', 'this is no rate of a transfer', {
    expected: 'at least 64KiB: a number with KiB, MiB or GiB, such as 10MiB, for each second',
    found: text,
    hint: 'Correct --limit-upload or --limit-download.',
  });
}
