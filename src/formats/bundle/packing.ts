/**
 * Lays blobs out in pieces (docs/format-bundle.md, "Pieces"). A blob of at least a piece's size starts a piece of its
 * own and fills whole pieces; tails and small blobs follow each other, end to end, in shared pieces. Pieces that were
 * sealed before are taken again when everything in them is still wanted: a piece with anything else in it never is, for
 * what is not in the contents must not be in the bundle.
 */
import type { Digest } from '../../core/digest.ts';
import type { Extent } from './placement.ts';

/** A run of a blob, in bytes. */
export interface Fragment {
  readonly digest: Digest;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** The plaintext of one piece: fragments end to end, then zeros. */
export type PieceContent = readonly Fragment[];

export interface PackedBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Blobs of a lower rank come first in the shared pieces, so that what changes often lies together. */
  readonly rank: number;
}

export interface PackedPiece<Reused> {
  readonly content: PieceContent;
  readonly reused?: Reused;
}

/**
 * @param reusable pieces sealed before for the same recipients and size, newest first.
 * @returns pieces in the order of the manifest; deterministic for the same arguments.
 */
export function packPieces<Reused extends { readonly content: PieceContent }>(
  blobs: readonly PackedBlob[],
  pieceSizeBytes: number,
  reusable: readonly Reused[],
): PackedPiece<Reused>[] {
  const open = new Map(
    blobs.map((blob) => [blob.digest, { blob, gaps: blob.sizeBytes > 0 ? [{ from: 0, to: blob.sizeBytes }] : [] }]),
  );
  const pieces: PackedPiece<Reused>[] = [];
  let sparse = 0;
  for (const reused of reusable) {
    const used = reused.content.reduce((sum, fragment) => sum + fragment.lengthBytes, 0);
    // One piece under half full may stay; more of them would let a bundle that grows a little each day fill with zeros.
    if (used * 2 < pieceSizeBytes && sparse > 0) continue;
    if (!reused.content.every((fragment) => covers(open.get(fragment.digest)?.gaps, fragment))) continue;
    if (used * 2 < pieceSizeBytes) sparse++;
    for (const fragment of reused.content) take(open.get(fragment.digest)?.gaps ?? [], fragment);
    pieces.push({ content: reused.content, reused });
  }

  const shared: Fragment[] = [];
  for (const { blob, gaps } of [...open.values()].sort((a, b) => byRank(a.blob, b.blob))) {
    for (const gap of gaps) {
      // Only pieces at multiples of the size: so a second build finds the same ones.
      let offset = Math.ceil(gap.from / pieceSizeBytes) * pieceSizeBytes;
      if (offset + pieceSizeBytes > gap.to) offset = gap.to;
      if (gap.from < offset) shared.push(fragment(blob, gap.from, Math.min(offset, gap.to)));
      for (; offset + pieceSizeBytes <= gap.to; offset += pieceSizeBytes) {
        pieces.push({ content: [fragment(blob, offset, offset + pieceSizeBytes)] });
      }
      if (offset < gap.to) shared.push(fragment(blob, offset, gap.to));
    }
  }
  for (const content of endToEnd(shared, pieceSizeBytes)) pieces.push({ content });

  const ranks = new Map(blobs.map((blob) => [blob.digest, blob.rank]));
  const key = (piece: PackedPiece<Reused>) => piece.content[0] as Fragment;
  return pieces.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return (
      (ranks.get(x.digest) ?? 0) - (ranks.get(y.digest) ?? 0) ||
      compare(x.digest, y.digest) ||
      x.offsetBytes - y.offsetBytes
    );
  });
}

/** Where each blob lies in the pieces: the extents of placement.json, in the order of the blob's bytes. */
export function extentsOf(pieces: readonly { readonly content: PieceContent }[]): Map<Digest, Extent[]> {
  const found = new Map<Digest, { at: number; extent: Extent }[]>();
  pieces.forEach(({ content }, piece) => {
    let pieceOffset = 0;
    for (const { digest, offsetBytes, lengthBytes } of content) {
      const extents = found.get(digest) ?? [];
      extents.push({ at: offsetBytes, extent: [piece, pieceOffset, lengthBytes] });
      found.set(digest, extents);
      pieceOffset += lengthBytes;
    }
  });
  return new Map(
    [...found].map(([digest, extents]) => [digest, extents.sort((a, b) => a.at - b.at).map(({ extent }) => extent)]),
  );
}

interface Gap {
  from: number;
  to: number;
}

function covers(gaps: readonly Gap[] | undefined, { offsetBytes, lengthBytes }: Fragment): boolean {
  return gaps?.some((gap) => gap.from <= offsetBytes && offsetBytes + lengthBytes <= gap.to) ?? false;
}

function take(gaps: Gap[], { offsetBytes, lengthBytes }: Fragment): void {
  const at = gaps.findIndex((gap) => gap.from <= offsetBytes && offsetBytes + lengthBytes <= gap.to);
  const gap = gaps[at];
  if (gap === undefined) return;
  const rest = [
    { from: gap.from, to: offsetBytes },
    { from: offsetBytes + lengthBytes, to: gap.to },
  ].filter(({ from, to }) => from < to);
  gaps.splice(at, 1, ...rest);
}

function fragment(blob: PackedBlob, from: number, to: number): Fragment {
  return { digest: blob.digest, offsetBytes: from, lengthBytes: to - from };
}

function* endToEnd(fragments: readonly Fragment[], pieceSizeBytes: number): Generator<PieceContent> {
  let content: Fragment[] = [];
  let free = pieceSizeBytes;
  for (let { digest, offsetBytes, lengthBytes } of fragments) {
    while (lengthBytes > 0) {
      const part = Math.min(lengthBytes, free);
      content.push({ digest, offsetBytes, lengthBytes: part });
      offsetBytes += part;
      lengthBytes -= part;
      free -= part;
      if (free === 0) {
        yield content;
        content = [];
        free = pieceSizeBytes;
      }
    }
  }
  if (content.length > 0) yield content;
}

function byRank(a: PackedBlob, b: PackedBlob): number {
  return a.rank - b.rank || compare(a.digest, b.digest);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
