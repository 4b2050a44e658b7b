import { describe, expect, it } from 'vitest';
import { parseSelection } from '../../../src/cli/commands/selection-options.ts';
import { raisedCodes } from '../../support/raised.ts';

const parse = (given: Partial<Parameters<typeof parseSelection>[0]>) =>
  parseSelection({ values: [], feature: [], provider: undefined, platform: [], ...given }, { cwd: '/here' });

describe('the options that choose what is carried', () => {
  it('become a selection', () => {
    expect(
      parse({
        values: ['a.yaml', '/b.yaml'],
        feature: ['shop=on', 'blog=off', 'shop=on'],
        platform: ['linux/arm64', 'linux/arm64'],
      }),
    ).toEqual({
      features: { shop: true, blog: false },
      valuesFiles: ['/here/a.yaml', '/b.yaml'],
      platforms: ['linux/arm64'],
    });
    expect(parse({ provider: 'k3s' }).provider).toBe('k3s');
  });

  it.each([
    { feature: ['shop'] },
    { feature: ['shop=yes'] },
    { feature: ['=on'] },
    { feature: ['shop=on', 'shop=off'] },
    { platform: ['linux'] },
    { platform: ['Linux/amd64'] },
  ])('are refused as %j', async (given) => {
    expect(await raisedCodes(() => parse(given))).toEqual(['UsageError USAGE']);
  });
});
