import { type Digest, digestOf } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { runAll } from '../../core/run-all.ts';
import { EMPTY_BLOB, MANIFEST_MEDIA_TYPE } from '../../formats/bundle/manifest.ts';
import { BUNDLE_ARTIFACT_TYPE } from '../../formats/bundle/media-types.ts';
import { MEDIUM_README, MEDIUM_README_NAME } from '../../formats/bundle/medium-readme.ts';
import { ANNOTATION_REF_NAME } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { Trust } from '../../formats/sigstore/trust.ts';
import type { FileTransfer } from '../../ports/file-transfer.ts';
import type { Medium } from '../../ports/medium.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';
import { assertFileLimit, assertSource, assertSpace, filesOf, findThere, LANES, sourceNotRight } from './copy-plan.ts';
import { createTally, type ReadBackReport, readAllBack } from './copy-read-back.ts';
import { collectSignatures } from './copy-signatures.ts';
import { sweepMedium, withoutTag } from './medium-index.ts';
import { requireTrusted } from './require-trusted.ts';
import { bundleEntries, type ResolvedBundle, resolveBundle } from './resolve-bundle.ts';
import { placeSignature, settleSignatures, type WrittenSignature } from './write-signature.ts';

export interface CopyRequest {
  /** One bundle; without it the only one there is, or `all`. */
  readonly tag?: string;
  readonly all: boolean;
  /** Checked before anything is written; without it a courier copies what is there. */
  readonly trust?: Trust;
}

export interface CopiedBundle {
  readonly tag: string;
  readonly manifestDigest: Digest;
  readonly signatures: number;
  /** With trust: whose signature was accepted. */
  readonly signedBy?: { readonly name: string; readonly keyHint: string };
}

export interface CopyReport {
  readonly bundles: readonly CopiedBundle[];
  /** Sealed lists and pieces. */
  readonly files: number;
  readonly sizeBytes: number;
  /** Of these, what was on the target already, whole: checked, and not written again. */
  readonly there: { readonly files: number; readonly sizeBytes: number };
  readonly written: { readonly files: number; readonly sizeBytes: number };
  readonly readBack: ReadBackReport;
}

interface CopyDependencies {
  readonly source: Medium;
  /** Reads its small files back before they get their names. */
  readonly target: Medium;
  readonly transfer: FileTransfer;
  readonly progress: Progress;
}

/**
 * Copies bundles from one medium to another. Everything is written under temporary names, synced, renamed and read back past
 * the cache; index.json comes last: interrupted at any moment, the target is as it was, or has the bundles whole. What a
 * killed run completed is taken by the next one after it was hashed; what it had half written is dropped.
 *
 * @throws UseCaseError BUNDLE_NOT_FOUND, NOT_SIGNED_BY_TRUSTED, BUNDLE_NOT_RIGHT (the source), COPY_NOT_RIGHT (the target),
 *   MEDIUM_FILE_LIMIT, MEDIUM_TOO_SMALL; what the media and the transfer throw
 */
export async function copyBundles(
  request: CopyRequest,
  dependencies: CopyDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<CopyReport> {
  const { source, target, transfer, progress } = dependencies;
  const bundles = await chosenBundles(source, request);
  const signedBy = new Map<string, CopiedBundle['signedBy']>();
  for (const bundle of bundles) {
    if (request.trust === undefined) continue;
    const { name, keyHint } = (await requireTrusted(source, bundle, request.trust)).trusted;
    signedBy.set(bundle.tag, { name, keyHint });
  }
  const files = filesOf(bundles);
  await assertSource(source, files);

  await using _lock = await target.lock();
  const tally = createTally();
  const reading = { transfer, progress, tally };
  try {
    await assertFileLimit(target, files);
    const there = await findThere(target, files, reading, options);
    const missing = files.filter(({ digest }) => !there.has(digest));
    await assertSpace(target, missing, there);
    await copyFiles(missing, dependencies, options);
    await readAllBack(target, missing, reading, options);
    const copied = await commitBundles(bundles, dependencies, options);
    return {
      bundles: copied.map((bundle) => {
        const signer = signedBy.get(bundle.tag);
        return signer === undefined ? bundle : { ...bundle, signedBy: signer };
      }),
      files: files.length,
      sizeBytes: sizeOf(files),
      there: { files: there.size, sizeBytes: sizeOf(files) - sizeOf(missing) },
      written: { files: missing.length, sizeBytes: sizeOf(missing) },
      readBack: tally.report(),
    };
  } catch (error) {
    // A mount that is gone shows as files and folders that are missing: say what it is.
    if (error instanceof PortolanError) for (const medium of [source, target]) await medium.assertThere();
    throw error;
  }
}

async function chosenBundles(source: Medium, { tag, all }: CopyRequest): Promise<ResolvedBundle[]> {
  if (!all) return [await resolveBundle(source, tag)];
  const bundles: ResolvedBundle[] = [];
  for (const entry of await bundleEntries(source)) bundles.push(await resolveBundle(source, entry.tag));
  // Says what there is.
  return bundles.length > 0 ? bundles : [await resolveBundle(source)];
}

/** A damaged file of the source does not stop the others: the next run has less to do. What the target says does. */
async function copyFiles(
  files: readonly Descriptor[],
  { source, target, transfer, progress }: CopyDependencies,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  if (files.length === 0) return;
  const problems: PortolanError[] = [];
  const task = progress.task('Copying', sizeOf(files));
  const work = files.map((file) => async () => {
    const from = source.blobPath(file.digest);
    const to = target.temporaryPath();
    try {
      const job = { from, to, sizeBytes: file.size, digest: file.digest };
      await transfer.copy(job, { ...options, onBytes: (bytes) => task.advance(bytes) });
    } catch (error) {
      if (!(error instanceof PortolanError) || error.at?.file !== from) throw error;
      problems.push(error);
      return;
    }
    await target.commitBlob(to, file.digest);
  });
  await runAll(work, LANES, options);
  await target.syncBlobs();
  task.done();
  if (problems.length > 0) {
    throw sourceNotRight(source, problems, 'Every other file was copied, and no bundle was changed.');
  }
}

/** Manifests and signatures, then index.json. */
async function commitBundles(
  bundles: readonly ResolvedBundle[],
  { source, target, progress }: CopyDependencies,
  options: { readonly signal?: AbortSignal },
): Promise<CopiedBundle[]> {
  await target.putBlob(EMPTY_BLOB);
  await target.writeFile(MEDIUM_README_NAME, new TextEncoder().encode(MEDIUM_README));
  const former = await bundleEntries(target);
  const placed: { bundle: ResolvedBundle; entry: Descriptor; written: WrittenSignature[] }[] = [];
  for (const bundle of bundles) {
    const { signatures, others } = await collectSignatures(source, bundle);
    for (const where of others) progress.warn(`${where} is no signature of ${bundle.tag}: it was left behind`);
    if (signatures.length === 0) progress.warn(`${bundle.tag} has no signature: nobody will import it`);
    // Who signed it on the target stays.
    const same = former.some(({ descriptor }) => descriptor.digest === bundle.descriptor.digest);
    const present = same ? (await collectSignatures(target, bundle)).signatures : [];
    const union = new Map([...signatures, ...present].map((bytes) => [digestOf(bytes), bytes]));
    await target.putBlob(bundle.manifestBytes);
    const entry = entryOf(bundle);
    const written: WrittenSignature[] = [];
    for (const bytes of union.values()) {
      written.push(await placeSignature(target, { tag: bundle.tag, manifest: entry }, bytes));
    }
    placed.push({ bundle, entry, written });
  }
  options.signal?.throwIfAborted();
  await target.assertThere();
  const kept = await withoutTag(target, ...bundles.map(({ tag }) => tag));
  const replaced = kept.length < (await target.readIndex()).length;
  const added = placed.flatMap(({ entry, written }) => [entry, ...written.map(({ referrer }) => referrer)]);
  await target.commitIndex([...kept, ...added]);
  for (const { bundle, written } of placed) await settleSignatures(target, bundle.tag, written);
  // What another interrupted copy left here stays for it to go on with, unless something was replaced.
  if (replaced) await sweepMedium(target);
  return placed.map(({ bundle, written }) => ({
    tag: bundle.tag,
    manifestDigest: bundle.descriptor.digest,
    signatures: written.length,
  }));
}

/** The size in the index of the source was never checked. */
function entryOf({ tag, descriptor, manifestBytes }: ResolvedBundle): Descriptor {
  return {
    mediaType: MANIFEST_MEDIA_TYPE,
    artifactType: BUNDLE_ARTIFACT_TYPE,
    digest: descriptor.digest,
    size: manifestBytes.length,
    annotations: { [ANNOTATION_REF_NAME]: tag },
  };
}

function sizeOf(files: readonly Descriptor[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

export function sameMedium(folder: string): UseCaseError {
  return new UseCaseError('SAME_MEDIUM', `The bundle lies in ${folder} already`, {
    at: { file: folder },
    hint: 'Name another medium. To check what is there, use `portolan bundle verify`.',
  });
}
