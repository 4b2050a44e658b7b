import { join } from 'node:path';
import { createBlobStore } from '../adapters/blob-store/blob-store.ts';
import { fingerprintOf } from '../adapters/files/fingerprint.ts';
import { openMedium } from '../adapters/medium/medium.ts';
import { folderScanCache } from '../adapters/packages/scan-cache.ts';
import { scanImage } from '../adapters/packages/scan-image.ts';
import { createPieceCache } from '../adapters/piece-cache/piece-cache.ts';
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
  readonly signer: SigningKey;
  readonly fresh: boolean;
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
  const prepared =
    selection === undefined
      ? await prepareFrozen(definition, dependencies, options)
      : await lockBundle(definition, selection, dependencies, options);
  const sbomIndex = await writeSbomIndex(prepared.images, cache, progress, options);
  await using engine = disposableEngine();
  const { recipients, signer, fresh } = settings;
  const report = await buildBundle(
    { ...prepared, sbomIndex, recipients, signer, fresh },
    { medium, engine, pieceCache: createPieceCache(join(cache, 'pieces')), progress, fingerprintOf },
    options,
  );
  if (selection === undefined) return { report };
  return { report, lock: await saveLock(definition, prepared.lock, dependencies) };
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
