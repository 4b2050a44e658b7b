import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Digest, digestOf } from '../../../../src/core/digest.ts';
import { SSL_MODES } from '../../../../src/formats/bundle/definition-types.ts';
import { decodeLock, encodeLock, LOCK_MEDIA_TYPE } from '../../../../src/formats/bundle/lock.ts';
import { lockChanges } from '../../../../src/formats/bundle/lock-changes.ts';
import type { BundleLock } from '../../../../src/formats/bundle/lock-types.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import { raisedCodes } from '../../../support/raised.ts';

const digest: fc.Arbitrary<Digest> = fc.string({ maxLength: 4 }).map((text) => digestOf(text));
const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
const words = fc.array(word, { maxLength: 3 });
const pinned = { digest, sizeBytes: fc.nat() };

const lockArbitrary: fc.Arbitrary<BundleLock> = fc.record(
  {
    mediaType: fc.constant(LOCK_MEDIA_TYPE),
    name: word,
    version: word,
    sequence: fc.integer({ min: 1, max: 1e9 }),
    audience: words,
    platforms: fc.array(word, { minLength: 1, maxLength: 2 }),
    provider: word,
    valuesFiles: fc.array(word, { minLength: 1, maxLength: 2 }),
    features: fc.dictionary(word, fc.boolean()),
    signers: words,
    pieceSizeBytes: fc.integer({ min: 1, max: 2 ** 30 }),
    charts: fc.array(
      fc.record({
        ...pinned,
        name: word,
        release: word,
        namespace: word,
        stage: fc.constantFrom('data' as const, 'app' as const),
        version: word,
        source: word,
        values: fc.record(pinned),
      }),
      { maxLength: 3 },
    ),
    database: fc.record(
      {
        namespace: word,
        host: word,
        port: fc.integer({ min: 1, max: 65535 }),
        name: word,
        user: word,
        password: fc.record({ secret: word, key: word }),
        sslMode: fc.constantFrom(...SSL_MODES),
        image: word,
      },
      { requiredKeys: ['namespace', 'host', 'port', 'name', 'user', 'password', 'sslMode'] },
    ),
    receipt: fc.record({ recipients: fc.array(word, { minLength: 1, maxLength: 2 }) }),
    images: fc.array(
      fc.record({
        reference: word,
        digest,
        mediaType: word,
        platforms: words,
        attachments: fc.array(digest, { maxLength: 2 }),
        found: fc.array(
          fc.oneof(fc.constant('list' as const), fc.record({ chart: word, template: fc.string(), path: word })),
          { maxLength: 3 },
        ),
      }),
      { maxLength: 3 },
    ),
    modules: fc.array(
      fc.record({ name: word, source: word, requires: words, files: fc.array(fc.record({ ...pinned, name: word })) }),
      { maxLength: 2 },
    ),
    configuration: fc.array(
      fc.record({ ...pinned, path: word, source: word, kind: fc.constantFrom('json' as const, 'values' as const) }),
      { maxLength: 2 },
    ),
    files: fc.array(fc.record({ ...pinned, path: word, source: word, mode: fc.integer({ min: 0, max: 0o777 }) }), {
      maxLength: 2,
    }),
  },
  {
    requiredKeys: [
      'mediaType',
      'name',
      'version',
      'sequence',
      'audience',
      'platforms',
      'features',
      'signers',
      'pieceSizeBytes',
      'charts',
      'images',
      'modules',
      'configuration',
      'files',
    ],
  },
) as fc.Arbitrary<BundleLock>;

describe('bundle.lock.json', () => {
  it('comes back as it was, and is written in one way only', () => {
    fc.assert(
      fc.property(lockArbitrary, (lock) => {
        const text = encodeLock(lock);
        const decoded = decodeLock(text, 'bundle.lock.json');
        expect(decoded).toEqual(lock);
        expect(encodeLock(decoded)).toBe(text);
        expect(text.endsWith('}\n')).toBe(true);
        expect(lockChanges(lock, decoded)).toEqual([]);
      }),
    );
  });

  it('does not depend on the order of keys', () => {
    const [lock] = fc.sample(lockArbitrary, 1);
    const reversed = Object.fromEntries(Object.entries(lock as BundleLock).reverse()) as unknown as BundleLock;
    expect(encodeLock(reversed)).toBe(encodeLock(lock as BundleLock));
  });

  it.each([
    ['no JSON', '{'],
    ['null', 'null'],
    ['another version', '{"mediaType":"application/vnd.portolan.bundle.lock.v2+json"}'],
    ['nothing but its kind', JSON.stringify({ mediaType: LOCK_MEDIA_TYPE })],
  ])('refuses %s', async (_, text) => {
    expect(await raisedCodes(() => decodeLock(text, 'bundle.lock.json'))).toEqual(['FormatError LOCK_INVALID']);
  });

  it('refuses keys that it does not know and paths that leave the bundle', async () => {
    const [lock] = fc.sample(lockArbitrary, 1) as [BundleLock];
    const file = { path: '../x', source: 'x', mode: 0o644, sizeBytes: 1, digest: digestOf('x') };
    for (const wrong of [
      { ...lock, extra: 1 },
      { ...lock, files: [file] },
      { ...lock, platforms: [] },
    ]) {
      expect(await raisedCodes(() => decodeLock(JSON.stringify(wrong), 'f'))).toEqual(['FormatError LOCK_INVALID']);
    }
  });

  it('is whole or refused at every length', () => {
    const [lock] = fc.sample(lockArbitrary, 1);
    const text = encodeLock(lock as BundleLock);
    for (let length = 0; length < text.length - 1; length++) {
      expect(() => decodeLock(text.slice(0, length), 'f')).toThrow(FormatError);
    }
  });
});

describe('the changes between two locks', () => {
  it('say what moved, came and went', () => {
    const [lock] = fc.sample(lockArbitrary, 1) as [BundleLock];
    const image = (reference: string, content: string) => ({
      reference,
      digest: digestOf(content),
      mediaType: 'm',
      platforms: [],
      attachments: [],
      found: [],
    });
    const before = { ...lock, features: { shop: false }, images: [image('a:1', 'x'), image('b:1', 'x')] };
    const after = { ...lock, features: { shop: true }, images: [image('a:1', 'y'), image('c:1', 'x')] };
    expect(lockChanges(before, after)).toEqual([
      { what: 'feature', name: 'shop', from: 'off', to: 'on' },
      { what: 'image', name: 'a:1', from: digestOf('x'), to: digestOf('y') },
      { what: 'image', name: 'b:1', from: digestOf('x') },
      { what: 'image', name: 'c:1', to: digestOf('x') },
    ]);
  });

  it('are the same backwards with both sides swapped', () => {
    fc.assert(
      fc.property(lockArbitrary, lockArbitrary, (a, b) => {
        const swapped = lockChanges(b, a).map(({ from, to, ...rest }) => ({
          ...rest,
          ...(to === undefined ? {} : { from: to }),
          ...(from === undefined ? {} : { to: from }),
        }));
        expect(lockChanges(a, b)).toEqual(swapped);
      }),
    );
  });
});
