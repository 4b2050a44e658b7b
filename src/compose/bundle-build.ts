import { join } from 'node:path';
import { createBlobStore } from '../adapters/blob-store/blob-store.ts';
import { fingerprintOf } from '../adapters/files/fingerprint.ts';
import { openMedium } from '../adapters/medium/medium.ts';
import { folderScanCache } from '../adapters/packages/scan-cache.ts';
import { scanImage } from '../adapters/packages/scan-image.ts';
import { createPieceCache } from '../adapters/piece-cache/piece-cache.ts';
import { createVerifiedFiles } from '../adapters/verified-files/verified-files.ts';
import { encodeSbomIndex, type SbomImage } from '../formats/bundle/sbom-index.ts';
import type { SigningKey } from '../formats/sigstore/cosign-key.ts';
import type { LocalBlob } from '../ports/blobs.ts';
import type { AcquiredImage } from '../ports/images.ts';
import type { Progress } from '../ports/progress.ts';
import { type BuildReport, buildBundle } from '../usecases/bundle/build.ts';
import { prepareFrozen } from '../usecases/bundle/frozen.ts';
import { lockBundle, type SavedLock, saveLock } from '../usecases/bundle/lock.ts';
import type { Selection } from '../usecases/bundle/lock-types.ts';
import { type BundleInputSettings, openBundleInputs } from './bundle-inputs.ts';
import { disposableEngine } from './bundle-medium.ts';

export interface BuildSettings {
  /** bundle.yaml or its folder; absolute. */
  readonly definition: string;
  /** The folder of the medium; absolute. */
  readonly medium: string;
  /** Undefined: from the lock alone. */
  readonly selection: Selection | undefined;
  readonly recipients: readonly string[];
  /** Still being opened, perhaps. */
  readonly signer: Promise<SigningKey>;
  readonly fresh: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly inputs: BundleInputSettings;
}

export interface BuildOutcome {
  readonly report: BuildReport;
  /** Absent with a frozen lock. */
  readonly lock?: SavedLock;
}

export async function composeBuild(
  settings: BuildSettings,
  options: { readonly signal: AbortSignal },
): Promise<BuildOutcome> {
  const { definition, selection, inputs } = settings;
  const { progress, cache } = inputs;
  // First of all: a folder that is not ours must be refused before anything is fetched.
  const medium = await openMedium(settings.medium, { create: true });
  await using opened = await openBundleInputs(inputs);
  const { dependencies } = opened;
  const [signer, prepared] = await whileOpening(settings.signer, options, (lockOptions) =>
    selection === undefined
      ? prepareFrozen(definition, dependencies, lockOptions)
      : lockBundle(definition, selection, dependencies, lockOptions),
  );
  const sbomIndex = await writeSbomIndex(prepared.images, cache, progress, options);
  await using engine = disposableEngine();
  const { recipients, fresh } = settings;
  const report = await buildBundle(
    { ...prepared, sbomIndex, recipients, signer, fresh },
    {
      medium,
      engine,
      pieceCache: createPieceCache(join(cache, 'pieces')),
      verifiedFiles: createVerifiedFiles(join(cache, 'verified.jsonl'), settings),
      progress,
      fingerprintOf,
    },
    options,
  );
  if (selection === undefined) return { report };
  return { report, lock: await saveLock(definition, prepared.lock, dependencies) };
}

/** Makes the lock while the key is being opened; a wrong password stops that at once: nobody waits for a download in vain. */
async function whileOpening<T>(
  opening: Promise<SigningKey>,
  { signal }: { readonly signal: AbortSignal },
  work: (options: { readonly signal: AbortSignal }) => Promise<T>,
): Promise<[SigningKey, T]> {
  const failed = new AbortController();
  opening.catch((error) => failed.abort(error));
  const working = work({ signal: AbortSignal.any([signal, failed.signal]) });
  // The key's own error first; then whatever else went wrong. Neither is left running.
  const [signer, done] = await Promise.allSettled([opening, working]);
  if (signer.status === 'rejected') throw signer.reason;
  if (done.status === 'rejected') throw done.reason;
  return [signer.value, done.value];
}

async function writeSbomIndex(
  images: readonly AcquiredImage[],
  cache: string,
  progress: Progress,
  options: { readonly signal: AbortSignal },
): Promise<LocalBlob> {
  const scans = folderScanCache(join(cache, 'packages'));
  const task = progress.task('Reading packages');
  const scanned: SbomImage[] = [];
  for (const image of images) {
    scanned.push(await scanImage(image, scans, { ...options, onBytes: (bytes) => task.advance(bytes) }));
  }
  task.done();
  return createBlobStore(cache).putBytes(encodeSbomIndex(scanned));
}
