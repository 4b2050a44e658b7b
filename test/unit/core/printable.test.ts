import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printable } from '../../../src/core/printable.ts';

describe('printable text', () => {
  it('keeps ordinary text of any script', () => {
    for (const text of ['registry said no', 'Größe 5 × 7', '画像がありません', '🙂'])
      expect(printable(text)).toBe(text);
  });

  it('drops what steers a terminal or the direction of writing', () => {
    expect(printable('\u001b[31mred\u0007 \u202eevil\u2028line\n')).toBe('[31mred   evil line');
  });

  it('is bounded and free of control characters, whatever comes in (property)', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 500 }), (text) => {
        const shown = printable(text, 100);
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(shown.length).toBeLessThanOrEqual(101);
      }),
    );
  });
});
