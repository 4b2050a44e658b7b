import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../../src/formats/errors.ts';
import { choosePlatform, formatPlatform, parsePlatform } from '../../../../src/formats/oci/platform.ts';
import { raised } from '../../../support/raised.ts';

describe('platforms', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['Linux/x86_64', 'linux/amd64'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/8', 'linux/arm64'],
    ['linux/arm64/v9', 'linux/arm64/v9'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['linux/arm/6', 'linux/arm/v6'],
    ['linux/i386', 'linux/386'],
    ['macos/arm64', 'darwin/arm64'],
    ['windows/amd64', 'windows/amd64'],
  ])('normalises %s', (text, normal) => {
    expect(formatPlatform(parsePlatform(text))).toBe(normal);
    expect(formatPlatform(parsePlatform(normal))).toBe(normal);
  });

  it.each(['', 'linux', 'linux/', '/amd64', 'linux//v7', 'linux/arm/v7/x', 'linux/a b', 'linux/amd64\n'])(
    'refuses %j',
    async (text) => {
      const error = await raised(() => parsePlatform(text));
      expect(error).toBeInstanceOf(FormatError);
      expect(error.code).toBe('PLATFORM_INVALID');
    },
  );

  const choose = (wanted: string, ...candidates: string[]) => {
    const platforms = candidates.map((text) => ({ text, platform: parsePlatform(text) }));
    return choosePlatform(parsePlatform(wanted), platforms)?.text;
  };

  it('chooses the same variant, else the highest lower one, and never a higher one', () => {
    expect(choose('linux/arm/v7', 'linux/arm/v5', 'linux/arm/v7', 'linux/arm/v6')).toBe('linux/arm/v7');
    expect(choose('linux/arm/v7', 'linux/arm/v5', 'linux/arm/v6')).toBe('linux/arm/v6');
    expect(choose('linux/arm/v6', 'linux/arm/v7')).toBeUndefined();
    expect(choose('linux/amd64', 'linux/amd64/v3')).toBeUndefined();
    expect(choose('linux/amd64/v3', 'linux/amd64', 'linux/amd64/v2')).toBe('linux/amd64/v2');
    expect(choose('linux/arm64', 'linux/arm64/v8')).toBe('linux/arm64/v8');
  });

  it('never crosses systems or architectures', () => {
    expect(choose('linux/amd64', 'windows/amd64', 'linux/arm64', 'linux/386')).toBeUndefined();
    expect(choose('linux/arm64', 'linux/arm/v7')).toBeUndefined();
    expect(choose('linux/amd64')).toBeUndefined();
  });

  it('reads what it wrote (property)', () => {
    const part = fc.stringMatching(/^[a-z0-9_.-]{1,12}$/);
    fc.assert(
      fc.property(part, part, fc.option(part, { nil: undefined }), (os, architecture, variant) => {
        const text = formatPlatform(parsePlatform([os, architecture, variant].filter(Boolean).join('/')));
        expect(formatPlatform(parsePlatform(text))).toBe(text);
      }),
    );
  });
});
