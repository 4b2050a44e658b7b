import { describe, expect, test } from 'vitest';
import { partsOf } from '../../../src/cli/commands/parts-option.ts';
import { UsageError } from '../../../src/cli/errors.ts';

const PARTS = ['images', 'charts', 'tables'] as const;

describe('--only', () => {
  test('takes all without it, and what is named in the order of the work', () => {
    expect(partsOf([], PARTS)).toEqual(PARTS);
    expect(partsOf(['tables', 'images'], PARTS)).toEqual(['images', 'tables']);
    expect(partsOf(['tables,images', 'images'], PARTS)).toEqual(['images', 'tables']);
  });

  test.each(['image', 'images,', 'images, charts', ''])('refuses %j', (text) => {
    expect(() => partsOf([text], PARTS)).toThrow(UsageError);
  });
});
