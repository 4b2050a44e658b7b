import { describe, expect, test } from 'vitest';
import { durationOf, endOfDay, percentOf } from '../../../src/cli/commands/duration-option.ts';
import { UsageError } from '../../../src/cli/errors.ts';

describe('what a person writes', () => {
  test('a length of time', () => {
    expect(['30s', '90min', '12h', '30d', '2w'].map((text) => durationOf('floor', text) / 60_000)).toEqual([
      0.5, 90, 720, 43_200, 20_160,
    ]);
    for (const text of ['', '0d', '5', '1.5h', '-1d', '3m'])
      expect(() => durationOf('floor', text)).toThrow(UsageError);
  });

  test('a part of a hundred', () => {
    expect(['0', '10%', '12.5%', '100%'].map((text) => percentOf('read-data', text))).toEqual([0, 10, 12.5, 100]);
    for (const text of ['', '101%', '-1', '10 %', '1e1'])
      expect(() => percentOf('read-data', text)).toThrow(UsageError);
  });

  test('a day, to its last moment', () => {
    expect(endOfDay('not-after', '2028-02-29').toISOString()).toBe('2028-02-29T23:59:59.999Z');
    for (const text of ['', '2027-02-29', '2027-13-01', '27-01-01', '2027-1-1', '2027-01-01T00:00Z']) {
      expect(() => endOfDay('not-after', text)).toThrow(UsageError);
    }
  });
});
