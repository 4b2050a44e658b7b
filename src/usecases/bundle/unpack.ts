import type { Digest } from '../../core/digest.ts';
import { runAll } from '../../core/run-all.ts';
import { encodeContents } from '../../formats/bundle/contents.ts';
import { encodeLayoutIndex, LAYOUT_MARKER } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { Trust } from '../../formats/sigstore/trust.ts';
import type { Medium } from '../../ports/medium.ts';
import type { Progress } from '../../ports/progress.ts';
import type { SealingEngine } from '../../ports/sealing.ts';
import type { UnpackTarget } from '../../ports/unpack-target.ts';
import { UseCaseError } from '../errors.ts';
import { assertBundleFile, checkBundleFile } from './bundle-file.ts';
import { type OpenedLists, openLists } from './open-lists.ts';
import { blobNotTrue } from './read-blob.ts';
import { refusedByTrust, requireTrusted } from './require-trusted.ts';
import { resolveBundle } from './resolve-bundle.ts';
import { filesOf, imageIndexOf, type UnpackForm } from './unpack-layout.ts';

export interface UnpackRequest {
  readonly tag?: string;
  readonly trust: Trust;
  readonly identities: readonly string[];
  readonly form: UnpackForm;
}

export interface UnpackReport {
  readonly tag: string;
  readonly root: Digest;
  readonly signedBy: { readonly name: string; readonly keyHint: string };
  readonly files: number;
  readonly sizeBytes: number;
}

interface UnpackDependencies {
  readonly medium: Medium;
  readonly engine: SealingEngine;
  readonly target: UnpackTarget;
  readonly progress: Progress;
}

/**
 * Opens a bundle into a folder. The signature comes first, then every piece is read once: every chunk is authenticated and
 * the padding checked while the workers write the blobs in place; then what was written is hashed against the contents,
 * which are signed: the digests of the pieces would tell nothing more. Only then does the folder get its name.
 */
export async function unpackBundle(
  request: UnpackRequest,
  { medium, engine, target, progress }: UnpackDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<UnpackReport> {
  const bundle = await resolveBundle(medium, request.tag);
  const signatures = await requireTrusted(medium, bundle, request.trust);
  const lists = await openLists(medium, bundle, request.identities);
  const { contents, sizes } = lists;
  signatures.assertNamed(contents.signers);
  const [refused] = refusedByTrust(medium, request.trust, contents);
  if (refused !== undefined) throw refused;
  // Before anything is written: is every piece there, and of its length?
  for (const layer of bundle.manifest.pieces) await assertBundleFile(medium, layer);

  const files = filesOf(contents, request.form);
  const first = new Map<Digest, string>();
  for (const { digest, path } of files) if (!first.has(digest)) first.set(digest, path);
  const neededBytes = files.reduce((sum, { digest }) => sum + (sizes.get(digest) ?? 0), 0);
  await assertSpace(target, neededBytes);
  const paths = new Map<Digest, string>();
  for (const [digest, path] of first) paths.set(digest, await target.createFile(path, sizes.get(digest) ?? 0));

  const task = progress.task(
    'Unpacking',
    bundle.manifest.pieces.reduce((sum, { size }) => sum + size, 0),
  );
  const engineOptions = { ...options, onBytes: (bytes: number) => task.advance(bytes) };
  const pending = countRuns(lists, paths);
  const blaming = (pieces: readonly Descriptor[], act: () => Promise<void>) =>
    act().catch(async (error) => {
      // Was a piece cut, altered or swapped on its way, or packed wrongly by the publisher?
      for (const piece of pieces) await checkBundleFile(medium, engine, piece, options);
      throw error;
    });
  const opened = bundle.manifest.pieces.map((layer, index) => async () => {
    const plan = lists.plans[index];
    if (plan === undefined) throw new Error(`no plan for piece ${index}`);
    const runs = plan.runs.filter(({ digest }) => paths.has(digest));
    if (runs.length === 0) return;
    const job = {
      path: medium.blobPath(layer.digest),
      expected: { digest: layer.digest, sizeBytes: layer.size },
      plaintextBytes: lists.placement.pieceSizeBytes,
      writes: runs.map((run) => ({
        pieceOffsetBytes: run.pieceOffsetBytes,
        lengthBytes: run.lengthBytes,
        path: paths.get(run.digest) as string,
        fileOffsetBytes: run.blobOffsetBytes,
      })),
      zeroRuns: plan.zeroRuns,
      plaintextIsChecked: true,
    };
    await blaming([layer], () => engine.open(job, request.identities, engineOptions));
    // A blob is hashed as soon as its last run is written: its pages are still in memory then.
    const complete = runs.filter(({ digest }) => {
      const left = (pending.get(digest) ?? 0) - 1;
      pending.set(digest, left);
      return left === 0;
    });
    for (const { digest } of complete) {
      const job = { path: paths.get(digest) as string, sizeBytes: sizes.get(digest) ?? 0 };
      const found = await engine.digest(job, options);
      if (found === digest) continue;
      const holders = (lists.extents.get(digest) ?? []).flatMap(([piece]) => bundle.manifest.pieces[piece] ?? []);
      await blaming(holders, () => Promise.reject(blobNotTrue(digest, found)));
    }
  });
  await runAll(opened, engine.workers * 2, options);

  for (const { path, digest, mode } of files) {
    const original = first.get(digest) as string;
    if (path !== original) await target.copyFile(original, path);
    if (mode !== undefined) await target.setMode(path, mode);
  }
  const folder = request.form === 'files' ? 'images/' : '';
  if (request.form === 'files') await target.writeFile('contents.json', encodeContents(contents));
  if (contents.images.length > 0 || request.form === 'oci-layout') {
    await target.writeFile(`${folder}oci-layout`, new TextEncoder().encode(LAYOUT_MARKER));
    await target.writeFile(
      `${folder}index.json`,
      new TextEncoder().encode(encodeLayoutIndex(imageIndexOf(contents, sizes))),
    );
  }
  options.signal?.throwIfAborted();
  await target.commit();
  task.done();
  const { name, keyHint } = signatures.trusted;
  return {
    tag: bundle.tag,
    root: lists.root,
    signedBy: { name, keyHint },
    files: files.length,
    sizeBytes: neededBytes,
  };
}

/** How many runs each wanted blob still waits for. */
function countRuns({ placement }: OpenedLists, wanted: ReadonlyMap<Digest, string>): Map<Digest, number> {
  return new Map(
    placement.blobs.filter(({ digest }) => wanted.has(digest)).map(({ digest, extents }) => [digest, extents.length]),
  );
}

async function assertSpace(target: UnpackTarget, neededBytes: number): Promise<void> {
  const freeBytes = await target.freeBytes();
  if (freeBytes >= neededBytes) return;
  throw new UseCaseError('TARGET_TOO_SMALL', 'There is too little free space for what the bundle holds', {
    expected: `${neededBytes} bytes`,
    found: `${freeBytes} bytes`,
    hint: 'Free space there, or choose another folder. Nothing was written.',
  });
}
