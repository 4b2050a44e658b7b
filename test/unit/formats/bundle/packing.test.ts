import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Digest, digestOf } from '../../../../src/core/digest.ts';
import { extentsOf, type Fragment, packPieces } from '../../../../src/formats/bundle/packing.ts';

const PIECE = 1000;

function blob(name: string, sizeBytes: number, rank = 0) {
  return { digest: digestOf(name), sizeBytes, rank };
}

const blobs = fc.uniqueArray(
  fc.record({ name: fc.string(), sizeBytes: fc.integer({ min: 0, max: 5000 }), rank: fc.nat(2) }),
  {
    selector: ({ name }) => name,
    maxLength: 20,
  },
);

/** Every byte of every blob stands exactly once, and no piece holds more than fits. */
function assertWhole(
  wanted: readonly { digest: Digest; sizeBytes: number }[],
  pieces: readonly { content: readonly Fragment[] }[],
) {
  const seen = new Map<string, Fragment[]>();
  for (const { content } of pieces) {
    expect(content.length).toBeGreaterThan(0);
    expect(content.reduce((sum, run) => sum + run.lengthBytes, 0)).toBeLessThanOrEqual(PIECE);
    for (const run of content) seen.set(run.digest, [...(seen.get(run.digest) ?? []), run]);
  }
  expect(new Set(seen.keys())).toEqual(new Set(wanted.filter((one) => one.sizeBytes > 0).map((one) => one.digest)));
  for (const { digest, sizeBytes } of wanted) {
    let offset = 0;
    for (const run of (seen.get(digest) ?? []).sort((a, b) => a.offsetBytes - b.offsetBytes)) {
      expect(run.offsetBytes).toBe(offset);
      offset += run.lengthBytes;
    }
    expect(offset).toBe(sizeBytes);
  }
}

describe('packPieces', () => {
  it('places every byte once', () => {
    fc.assert(
      fc.property(blobs, (list) => {
        const wanted = list.map(({ name, sizeBytes, rank }) => blob(name, sizeBytes, rank));
        assertWhole(wanted, packPieces(wanted, PIECE, []));
      }),
    );
  });

  it('does not depend on the order of the blobs', () => {
    fc.assert(
      fc.property(blobs, (list) => {
        const wanted = list.map(({ name, sizeBytes, rank }) => blob(name, sizeBytes, rank));
        expect(packPieces(wanted.toReversed(), PIECE, [])).toEqual(packPieces(wanted, PIECE, []));
      }),
    );
  });

  it('places every byte once when pieces of a former build are taken again', () => {
    fc.assert(
      fc.property(blobs, blobs, (before, after) => {
        const old = packPieces(
          before.map((one) => blob(one.name, one.sizeBytes, one.rank)),
          PIECE,
          [],
        );
        // Names that both builds have keep their former size: the digest stands for the content.
        const sizes = new Map(before.map(({ name, sizeBytes }) => [name, sizeBytes]));
        const wanted = after.map(({ name, sizeBytes, rank }) => blob(name, sizes.get(name) ?? sizeBytes, rank));
        const packed = packPieces(wanted, PIECE, old);
        assertWhole(wanted, packed);
        for (const { content, reused } of packed) if (reused) expect(content).toBe(reused.content);
      }),
    );
  });

  it('lets a blob of at least a piece start a piece of its own', () => {
    const [large, small] = [blob('large', 2500), blob('small', 100)];
    const packed = packPieces([small, large], PIECE, []);
    const own = packed.filter(({ content }) => content[0]?.digest === large.digest && content[0].lengthBytes === PIECE);
    expect(own.map(({ content }) => content)).toEqual([
      [{ digest: large.digest, offsetBytes: 0, lengthBytes: PIECE }],
      [{ digest: large.digest, offsetBytes: 1000, lengthBytes: PIECE }],
    ]);
    expect(packed).toHaveLength(3);
  });

  it('takes everything again when nothing changed', () => {
    const wanted = [blob('a', 3100), blob('b', 10), blob('c', 999, 1)];
    const first = packPieces(wanted, PIECE, []);
    expect(packPieces(wanted, PIECE, first).every(({ reused }) => reused !== undefined)).toBe(true);
  });

  it('seals one shared piece again when a small blob changed', () => {
    const layers = [blob('layer', 5000, 2), blob('tail', 1300, 2)];
    const first = packPieces([...layers, blob('values 1', 20)], PIECE, []);
    const second = packPieces([...layers, blob('values 2', 20)], PIECE, first);
    expect(second.filter(({ reused }) => reused === undefined)).toHaveLength(1);
  });

  it('never takes a piece again that holds something unwanted', () => {
    const secret = blob('switched off', 50);
    const first = packPieces([secret, blob('wanted', 60)], PIECE, []);
    const second = packPieces([blob('wanted', 60)], PIECE, first);
    expect(second.flatMap(({ content }) => content).some(({ digest }) => digest === secret.digest)).toBe(false);
  });

  it('keeps at most one piece under half full', () => {
    let pieces: { content: readonly Fragment[] }[] = packPieces([blob('0', 10)], PIECE, []);
    const wanted = [blob('0', 10)];
    for (let day = 1; day < 30; day++) {
      wanted.push(blob(String(day), 10));
      pieces = packPieces(wanted, PIECE, pieces);
    }
    expect(pieces.length).toBeLessThanOrEqual(2);
  });
});

describe('extentsOf', () => {
  it('follows each blob through the pieces', () => {
    const [a, b] = [blob('a', 1500), blob('b', 700)];
    const extents = extentsOf(packPieces([a, b], PIECE, []));
    expect(extents.get(a.digest)?.reduce((sum, [, , length]) => sum + length, 0)).toBe(1500);
    expect(extents.get(b.digest)?.reduce((sum, [, , length]) => sum + length, 0)).toBe(700);
  });
});
