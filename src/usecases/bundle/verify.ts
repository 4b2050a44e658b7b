import type { Digest } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import { runAll } from '../../core/run-all.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { Trust } from '../../formats/sigstore/trust.ts';
import type { Medium } from '../../ports/medium.ts';
import type { Progress } from '../../ports/progress.ts';
import type { SealingEngine } from '../../ports/sealing.ts';
import { collect } from '../refuse.ts';
import { assertBundleFile, checkBundleFile } from './bundle-file.ts';
import { type OpenedLists, openLists } from './open-lists.ts';
import { blobNotTrue, sealedRunsOf } from './read-blob.ts';
import { type FoundSignature, readSignatures } from './read-signatures.ts';
import { acceptedKeys, notSigned, refusedByTrust, signerNotNamed } from './require-trusted.ts';
import { resolveBundle } from './resolve-bundle.ts';

export interface VerifyRequest {
  readonly tag?: string;
  readonly trust: Trust;
  /** Empty: integrity and signature only. */
  readonly identities: readonly string[];
}

export interface VerifyReport {
  readonly tag: string;
  readonly manifestDigest: Digest;
  /** The publisher whose signature was accepted. */
  readonly signedBy?: { readonly name: string; readonly keyHint: string };
  readonly signatures: readonly FoundSignature[];
  /** Files that were hashed. */
  readonly files: number;
  readonly sizeBytes: number;
  /** Set when an identity opened the lists: only those of a bundle that a trusted key signed. */
  readonly root?: Digest;
  readonly blobs?: number;
  /** Everything that is wrong, each with its file. Empty: the bundle is right. */
  readonly problems: readonly PortolanError[];
  /** What is not as it should be, but hurts nothing. */
  readonly remarks: readonly PortolanError[];
}

interface VerifyDependencies {
  readonly medium: Medium;
  readonly engine: SealingEngine;
  readonly progress: Progress;
}

/**
 * Checks a bundle whole and names everything that is wrong: the signature, each file by its digest; with an identity also
 * each chunk's authenticity, the padding, the lists, and each blob by its true digest. Nothing is written.
 */
export async function verifyBundle(
  request: VerifyRequest,
  { medium, engine, progress }: VerifyDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<VerifyReport> {
  const bundle = await resolveBundle(medium, request.tag);
  const { manifest } = bundle;
  const problems: PortolanError[] = [];
  const note = (check: () => Promise<void>) => collect(problems, check);

  const signatures = await readSignatures(medium, bundle, request.trust.keys);
  const accepted = acceptedKeys(signatures);
  if (accepted.length === 0) problems.push(notSigned(medium, bundle, signatures));

  const sizeBytes = [manifest.lists, ...manifest.pieces].reduce((sum, { size }) => sum + size, 0);
  const task = progress.task('Verifying', sizeBytes);
  const engineOptions = { ...options, onBytes: (bytes: number) => task.advance(bytes) };
  let lists: OpenedLists | undefined;
  await note(async () => {
    await checkBundleFile(medium, engine, manifest.lists, engineOptions);
    // What nobody trusted has signed is not looked into.
    if (request.identities.length > 0 && accepted.length > 0)
      lists = await openLists(medium, bundle, request.identities);
  });
  const work = manifest.pieces.map((layer, index) => () => {
    const opened = lists;
    return note(() =>
      opened === undefined
        ? checkBundleFile(medium, engine, layer, engineOptions)
        : checkPiece(medium, engine, layer, { lists: opened, index }, request.identities, engineOptions),
    );
  });
  await runAll(work, engine.workers * 2, options);
  if (lists !== undefined) {
    const opened = lists;
    // What a damaged piece carries was named already.
    if (problems.length === 0) {
      const checks = spreadBlobs(opened).map((digest) => async () => {
        const runs = sealedRunsOf(medium, bundle, opened, digest);
        const found = await engine.digestSealed(runs, request.identities, options);
        if (found !== digest) throw blobNotTrue(digest, found);
      });
      await runAll(
        checks.map((check) => () => note(check)),
        engine.workers * 2,
        options,
      );
    }
    problems.push(...refusedByTrust(medium, request.trust, opened.contents));
    const { signers } = opened.contents;
    if (accepted[0] !== undefined && !accepted.some(({ keyHint }) => signers.includes(keyHint))) {
      problems.push(signerNotNamed(medium, accepted[0].keyHint, signers));
    }
  }
  task.done();

  return {
    tag: bundle.tag,
    manifestDigest: bundle.descriptor.digest,
    ...(accepted[0] === undefined ? {} : { signedBy: { name: accepted[0].name, keyHint: accepted[0].keyHint } }),
    signatures,
    files: manifest.pieces.length + 2,
    sizeBytes,
    ...(lists === undefined ? {} : { root: lists.root, blobs: lists.contents.blobs.length }),
    problems,
    remarks: accepted.length === 0 ? [] : signatures.flatMap(({ error }) => (error === undefined ? [] : [error])),
  };
}

/**
 * Reads a piece whole: its digest, every chunk, the padding, and every blob that lies whole in it.
 *
 * @throws what `checkBundleFile` and the engine throw
 */
export async function checkPiece(
  medium: Medium,
  engine: SealingEngine,
  layer: Descriptor,
  piece: { readonly lists: OpenedLists; readonly index: number },
  identities: readonly string[],
  options: { readonly signal?: AbortSignal; readonly onBytes: (bytes: number) => void },
): Promise<void> {
  const path = await assertBundleFile(medium, layer);
  const { plans, placement, sizes } = piece.lists;
  const plan = plans[piece.index];
  if (plan === undefined) throw new Error(`no plan for piece ${piece.index}`);
  const job = {
    path,
    expected: { digest: layer.digest, sizeBytes: layer.size },
    plaintextBytes: placement.pieceSizeBytes,
    writes: [],
    zeroRuns: plan.zeroRuns,
    wholeBlobs: plan.runs
      .filter((run) => run.lengthBytes === sizes.get(run.digest))
      .map((run) => ({ digest: run.digest, offsetBytes: run.pieceOffsetBytes, lengthBytes: run.lengthBytes })),
  };
  try {
    await engine.open(job, identities, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    // Was it cut, altered or swapped on its way, or packed wrongly by the publisher?
    await checkBundleFile(medium, engine, layer, options.signal === undefined ? {} : { signal: options.signal });
    throw error;
  }
}

/** Blobs that lie in more than one piece: no single piece can vouch for them. */
function spreadBlobs({ placement, sizes }: OpenedLists): Digest[] {
  return placement.blobs
    .filter(({ digest, extents: [first] }) => first !== undefined && first[2] !== sizes.get(digest))
    .map(({ digest }) => digest);
}
