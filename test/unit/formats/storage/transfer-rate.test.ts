import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../../src/formats/errors.ts';
import { parseTransferRate } from '../../../../src/formats/storage/transfer-rate.ts';
import { codeOf } from '../repository/repository-fixture.ts';

describe('a rate of transfers', () => {
  test('is read in binary units', () => {
    expect(parseTransferRate('64KiB')).toBe(65_536);
    expect(parseTransferRate('10MiB')).toBe(10_485_760);
    expect(parseTransferRate('2GiB')).toBe(2_147_483_648);
  });

  test.each(['', '10', '10MB', '0MiB', '63KiB', '1.5MiB', '-1MiB', '10MiB/s', '12345678MiB'])('is not %j', (text) => {
    expect(codeOf(() => parseTransferRate(text))).toBe('TRANSFER_RATE_INVALID');
    expect(() => parseTransferRate(text)).toThrow(FormatError);
  });
});
