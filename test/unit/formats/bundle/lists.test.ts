import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../../src/core/canonical-json.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import { decodeContents, encodeContents } from '../../../../src/formats/bundle/contents.ts';
import { decodeLists, encodeLists } from '../../../../src/formats/bundle/lists.ts';
import { decodePlacement, encodePlacement, planPieces } from '../../../../src/formats/bundle/placement.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import { exampleContents, examplePlacement } from '../../../support/contents-fixture.ts';

const DATABASE = {
  namespace: 'cms',
  host: 'db',
  port: 5432,
  name: 'cms',
  user: 'postgres',
  password: { secret: 'auth', key: 'password' },
  sslMode: 'prefer' as const,
};

const bytesOf = (value: unknown) => new TextEncoder().encode(canonicalJson(value));

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
  return 'accepted';
}

async function codeOfAsync(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
  return 'accepted';
}

describe('contents.json', () => {
  it('comes back as it was, whatever the order of its keys', () => {
    const contents = exampleContents();
    const reordered = Object.fromEntries(Object.entries(contents).reverse()) as typeof contents;
    expect(encodeContents(reordered)).toEqual(encodeContents(contents));
    expect(decodeContents(encodeContents(contents))).toEqual(contents);
  });

  it('carries how to migrate, what to rewrite and whom to tell', () => {
    const contents = exampleContents();
    const image = contents.images[0]?.reference as string;
    const more = {
      ...contents,
      charts: contents.charts.map((chart) => ({
        ...chart,
        imageValues: [{ path: 'a\\.b.c', image, part: 'tag' as const }],
      })),
      database: { ...DATABASE, image },
      receipt: { recipients: ['age1example'] },
    };
    expect(decodeContents(encodeContents(more))).toEqual(more);
    // Without them nothing of them is written: older bundles keep their roots.
    expect(new TextDecoder().decode(encodeContents(contents))).not.toMatch(/imageValues|database|receipt/);
  });

  it('refuses other spellings of the same contents: one bundle has one root', () => {
    const text = new TextDecoder().decode(encodeContents(exampleContents()));
    for (const other of [`${text}\n`, ` ${text}`, text.replace('"demo"', '"\\u0064emo"'), text.replace(':7', ':7.0')]) {
      expect(codeOf(() => decodeContents(new TextEncoder().encode(other)))).toBe('CONTENTS_INVALID');
    }
  });

  const bad: Readonly<Record<string, (contents: ReturnType<typeof exampleContents>) => unknown>> = {
    'an unknown key': (contents) => ({ ...contents, extra: 1 }),
    'another version': (contents) => ({ ...contents, mediaType: contents.mediaType.replace('v1', 'v2') }),
    'a path that climbs': (contents) => ({ ...contents, files: [{ ...contents.files[0], path: '../../etc/passwd' }] }),
    'an absolute path': (contents) => ({ ...contents, files: [{ ...contents.files[0], path: '/etc/passwd' }] }),
    'a path with a backslash': (contents) => ({ ...contents, files: [{ ...contents.files[0], path: 'a\\b' }] }),
    'a chart name with a slash': (contents) => ({ ...contents, charts: [{ ...contents.charts[0], name: 'a/b' }] }),
    'a module file that climbs': (contents) => ({
      ...contents,
      modules: [{ name: 'core', requires: [], files: [{ name: '..', digest: contents.sbomIndex }] }],
    }),
    'set-user-id bits': (contents) => ({ ...contents, files: [{ ...contents.files[0], mode: 0o4755 }] }),
    'paths that clash on FAT': (contents) => ({
      ...contents,
      files: ['K3S', 'k3s'].map((path) => ({ ...contents.files[0], path })),
    }),
    'a file in the place of a folder': (contents) => ({
      ...contents,
      files: ['k3s', 'k3s/k3s'].map((path) => ({ ...contents.files[0], path })),
    }),
    'a blob that is not listed': (contents) => ({ ...contents, sbomIndex: digestOf('elsewhere') }),
    'a blob that is listed twice': (contents) => ({ ...contents, blobs: [...contents.blobs, contents.blobs[0]] }),
    'an empty blob with the digest of another': (contents) => ({
      ...contents,
      blobs: contents.blobs.map((blob) => ({ ...blob, sizeBytes: 0 })),
    }),
    'a negative size': (contents) => ({
      ...contents,
      blobs: contents.blobs.map((blob) => ({ ...blob, sizeBytes: -1 })),
    }),
    'a digest of another kind': (contents) => ({ ...contents, sbomIndex: `sha512:${'a'.repeat(128)}` }),
    'an image value of an image that is not listed': (contents) => ({
      ...contents,
      charts: [{ ...contents.charts[0], imageValues: [{ path: 'image', image: 'x.example/a:1', part: 'reference' }] }],
    }),
    'a database that an image migrates which is not listed': (contents) => ({
      ...contents,
      database: { ...DATABASE, image: 'x.example/portolan:1' },
    }),
    'a receipt for nobody': (contents) => ({ ...contents, receipt: { recipients: [] } }),
    'a prototype key': (contents) => JSON.parse(`{"__proto__":{"a":1},${canonicalJson(contents).slice(1)}`),
  };
  for (const [what, change] of Object.entries(bad)) {
    it(`refuses ${what}`, () => {
      expect(codeOf(() => decodeContents(bytesOf(change(exampleContents()))))).toBe('CONTENTS_INVALID');
    });
  }

  it('refuses every cut and every flipped bit, or reads another contents that is canonical', () => {
    const bytes = encodeContents(exampleContents());
    for (let length = 0; length < bytes.length; length++) {
      expect(codeOf(() => decodeContents(bytes.subarray(0, length)))).toBe('CONTENTS_INVALID');
    }
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const flipped = bytes.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        // Some flips give another valid text; its root differs, and that is what the signature covers.
        const code = codeOf(() => expect(encodeContents(decodeContents(flipped))).toEqual(flipped));
        expect(['CONTENTS_INVALID', 'accepted']).toContain(code);
      }),
    );
  });
});

describe('placement.json', () => {
  const contents = exampleContents();
  const placement = examplePlacement(contents);

  it('gives the runs and the gaps of each piece', () => {
    const [plan] = planPieces(contents, decodePlacement(encodePlacement(placement)), 1);
    expect(plan?.runs.map(({ pieceOffsetBytes, lengthBytes }) => [pieceOffsetBytes, lengthBytes])).toEqual(
      [0, 10, 20, 30, 40, 50, 60, 70].map((offset) => [offset, 10]),
    );
    expect(plan?.zeroRuns).toEqual([{ offsetBytes: 80, lengthBytes: placement.pieceSizeBytes - 80 }]);
  });

  const bad: Readonly<Record<string, () => unknown>> = {
    'a blob without a place': () => ({ ...placement, blobs: placement.blobs.slice(1) }),
    'a blob that is not in the contents': () => ({
      ...placement,
      blobs: [...placement.blobs, { digest: digestOf('x'), extents: [[0, 500, 1]] }],
    }),
    'a blob placed twice': () => ({ ...placement, blobs: [...placement.blobs, placement.blobs[0]] }),
    'a blob placed in part': () => ({
      ...placement,
      blobs: placement.blobs.map((blob) => ({ ...blob, extents: [[0, blob.extents[0]?.[1], 9]] })),
    }),
    'two blobs on the same bytes': () => ({
      ...placement,
      blobs: placement.blobs.map((blob) => ({ ...blob, extents: [[0, 0, 10]] })),
    }),
    'a run beyond its piece': () => ({
      ...placement,
      blobs: placement.blobs.map((blob, index) => ({ ...blob, extents: [[0, placement.pieceSizeBytes - index, 10]] })),
    }),
    'a piece that does not exist': () => ({
      ...placement,
      blobs: placement.blobs.map((blob) => ({ ...blob, extents: [[1, blob.extents[0]?.[1], 10]] })),
    }),
    'another number of pieces': () => ({ ...placement, pieces: 2 }),
    'a piece size beyond all bounds': () => ({ ...placement, pieceSizeBytes: 2 ** 40 }),
    'a negative offset': () => ({
      ...placement,
      blobs: placement.blobs.map((blob) => ({ ...blob, extents: [[0, -10, 10]] })),
    }),
    'an unknown key': () => ({ ...placement, omitted: [] }),
  };
  for (const [what, change] of Object.entries(bad)) {
    it(`refuses ${what}`, () => {
      expect(codeOf(() => planPieces(contents, decodePlacement(bytesOf(change())), 1))).toBe('PLACEMENT_INVALID');
    });
  }
});

describe('the sealed lists', () => {
  it('come back as they were, padded to 64 KiB', async () => {
    const encoded = await encodeLists(exampleContents(), examplePlacement());
    expect(encoded.length).toBe(65_536);
    expect(await encodeLists(exampleContents(), examplePlacement())).toEqual(encoded);
    const lists = await decodeLists(encoded);
    expect(lists.contents).toEqual(exampleContents());
    expect(lists.placement).toEqual(examplePlacement());
    expect(lists.root).toBe(digestOf(encodeContents(exampleContents())));
  });

  it('refuse a placement of other contents', async () => {
    const encoded = await encodeLists({ ...exampleContents(), sequence: 8 }, examplePlacement());
    expect(await codeOfAsync(() => decodeLists(encoded))).toBe('LISTS_INVALID');
  });

  it('refuse every cut within the two lists, and every flipped bit or read the same', async () => {
    const encoded = await encodeLists(exampleContents(), examplePlacement());
    const whole = await decodeLists(encoded);
    const end = Buffer.from(encoded).lastIndexOf('}') + 1;
    for (let length = 0; length < end; length += 7) {
      expect(await codeOfAsync(() => decodeLists(encoded.subarray(0, length)))).toMatch(/_INVALID$/);
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(end * 8 - 1), async (bit) => {
        const flipped = encoded.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        const code = await codeOfAsync(async () =>
          expect((await decodeLists(flipped)).contents).toEqual(whole.contents),
        );
        expect(code).toMatch(/_INVALID$|accepted/);
      }),
    );
  });
});
