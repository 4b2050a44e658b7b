import { randomBytes } from 'node:crypto';
import { type Digest, digestOf } from '../../core/digest.ts';
import { pause } from '../../core/retry.ts';
import { encodeTar, type TarFile } from '../../formats/archive/tar.ts';
import { archiveBlobPath, archiveIndexFile, archiveMarkerFile, runtimeName } from '../../formats/oci/archive.ts';
import type { BlobStream, TargetImage, TargetSurvey } from '../../ports/image-target.ts';
import { AdapterError } from '../errors.ts';
import { gathered } from '../files/gathered.ts';
import { checkedBytes } from '../images/checked-bytes.ts';
import { targetIncomplete } from '../images/target-errors.ts';
import { parseDigests } from './ctr-listing.ts';
import { type Ctr, runCtr } from './ctr-process.ts';

/**
 * How images get into containerd. Two imports, one inside the other:
 *
 *     ctr images import --local --no-unpack -   oci-layout, blobs …, a mark │ waits                                  │ index.json
 *     ctr images import -                                                   │ oci-layout, index.json: unpacks, names │
 *
 * The outer one moves the blobs, twice as fast as containerd's transfer service does, and its lease keeps them until it ends.
 * The archive is read in order: once the mark is in the content store, every blob before it is, under its true digest. Only
 * then, with every blob accounted for, does the inner one name the images: through the transfer service, which unpacks
 * several at once.
 */

export interface ContainerdLimits {
  /** For a question that is answered from containerd's own records. */
  readonly answerMs: number;
  /** How long containerd may take no data at all before it is given up. */
  readonly stallMs: number;
  /** For unpacking, after the last byte was taken. */
  readonly unpackMs: number;
}

export const PINNED = 'io.cri-containerd.pinned';
const POLL_MS = 20;
/** See gathered.ts: the mark must not wait for what comes after it. */
const FLUSH = new Uint8Array(0);

export interface Importer {
  readonly ctr: Ctr;
  readonly limits: ContainerdLimits;
  readonly platform: string | undefined;
  /** Arguments. */
  readonly snapshotter: readonly string[];
  surveyed(images: readonly TargetImage[], signal?: AbortSignal): Promise<TargetSurvey>;
}

/** Attachments are nothing to a container engine. */
export function isNeeded({ role }: TargetImage['blobs'][number]): boolean {
  return role !== 'image-attachment';
}

/** @throws AdapterError TARGET_INCOMPLETE, BLOB_DIGEST_MISMATCH, BLOB_SIZE_MISMATCH, NO_SPACE, CONTAINERD_… */
export async function importImages(
  importer: Importer,
  images: readonly TargetImage[],
  blobs: AsyncIterable<BlobStream>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { ctr, limits } = importer;
  const can = await importFlags(importer, signal);
  const common = [
    ...(can.label ? ['--label', `${PINNED}=pinned`] : []),
    ...(importer.platform === undefined ? [] : ['--platform', importer.platform]),
  ];
  const nameWith = (how: readonly string[], wanted: readonly TargetImage[]) =>
    runCtr(ctr, {
      arguments: ['images', 'import', ...how, ...common, ...importer.snapshotter, '-'],
      input: () => encodeTar([archiveMarkerFile(), archiveIndexFile(wanted)]),
      timeoutMs: limits.unpackMs,
      ...withSignal(signal),
    });
  const nameAll = () =>
    nameWith([], images).catch(async (cause) => {
      // The transfer service unpacks only for the snapshotters of its own configuration.
      if (!can.local || !isForeignSnapshotter(cause)) throw cause;
      await nameWith(['--local'], images);
    });
  const sent = new Set<Digest>();
  async function* archive(gone: AbortSignal): AsyncGenerator<TarFile> {
    const mark = randomBytes(32);
    const markDigest = digestOf(mark);
    yield archiveMarkerFile();
    yield* blobFiles(images, blobs, sent, signal);
    yield { path: archiveBlobPath(markDigest), sizeBytes: mark.length, executable: false, open: () => [mark, FLUSH] };
    const content = await contentWith(importer, markDigest, gone, signal);
    // It has ended too early, and says why.
    if (content === undefined) return;
    if (images.some((image) => lackingOf(image, content) !== undefined)) {
      // Another platform's blob may be gone from an image that is ready.
      const { images: ready } = await importer.surveyed(images, signal);
      assertAllThere(
        images.filter(({ reference }) => !ready.has(reference)),
        content,
        sent,
      );
    }
    await nameAll();
    yield archiveIndexFile(images);
  }
  await runCtr(thrifty(ctr), {
    arguments: ['images', 'import', ...(can.local ? ['--local'] : []), '--no-unpack', ...common, '-'],
    input: (gone) => gathered(encodeTar(archive(gone))),
    timeoutMs: limits.answerMs,
    stallMs: limits.stallMs,
    ...withSignal(signal),
  });
  if (!can.label) {
    for (const name of new Set(images.map(({ reference }) => runtimeName(reference)))) {
      await runCtr(ctr, {
        arguments: ['images', 'label', name, `${PINNED}=pinned`],
        timeoutMs: limits.answerMs,
        ...withSignal(signal),
      });
    }
  }
  assertReady(images, await importer.surveyed(images, signal));
}

/** Left to itself Go's collector lets the copying of blobs take twice the memory, for nothing. */
function thrifty(ctr: Ctr): Ctr {
  return { ...ctr, environment: { GOMEMLIMIT: '40MiB', ...ctr.environment } };
}

function isForeignSnapshotter(cause: unknown): boolean {
  return cause instanceof AdapterError && /unpack platforms|initialize unpacker/.test(String(cause.found));
}

async function* blobFiles(
  images: readonly TargetImage[],
  blobs: AsyncIterable<BlobStream>,
  sent: Set<Digest>,
  signal: AbortSignal | undefined,
): AsyncGenerator<TarFile> {
  const needed = new Set(images.flatMap((image) => image.blobs.filter(isNeeded)).map(({ digest }) => digest));
  for await (const blob of blobs) {
    const bytes = checkedBytes(blob, { hash: false, ...withSignal(signal) });
    if (needed.has(blob.digest)) {
      sent.add(blob.digest);
      yield { path: archiveBlobPath(blob.digest), sizeBytes: blob.sizeBytes, executable: false, open: () => bytes };
    } else {
      // To its end: that is how its reader knows that it may go on.
      for await (const _part of bytes);
    }
  }
}

/** What the content store holds as soon as the mark is in it; `undefined` when the import has ended before. */
async function contentWith(
  { ctr, limits }: Importer,
  mark: Digest,
  gone: AbortSignal,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<Digest> | undefined> {
  const limit = AbortSignal.timeout(limits.stallMs);
  while (!gone.aborted) {
    const { stdout } = await runCtr(ctr, {
      arguments: ['content', 'ls', '--quiet'],
      timeoutMs: limits.answerMs,
      ...withSignal(signal),
    });
    const content = parseDigests(stdout);
    if (content.has(mark)) return content;
    if (limit.aborted) {
      throw new AdapterError('CONTAINERD_TIMEOUT', 'containerd took the blobs and does not store them', {
        expected: `at most ${limits.stallMs / 1000} s`,
        hint: 'Look at the log of k3s (`journalctl -u k3s`) or containerd, and run the command again.',
      });
    }
    await pause(POLL_MS, withSignal(signal));
  }
  return undefined;
}

function lackingOf(image: TargetImage, content: ReadonlySet<Digest>): Digest | undefined {
  return image.blobs.find((blob) => isNeeded(blob) && !content.has(blob.digest))?.digest;
}

/** A blob that was sent and is not there had other bytes than its digest says: containerd stored it under its true one. */
function assertAllThere(images: readonly TargetImage[], content: ReadonlySet<Digest>, sent: ReadonlySet<Digest>): void {
  for (const image of images) {
    const digest = lackingOf(image, content);
    if (digest === undefined) continue;
    if (!sent.has(digest)) throw targetIncomplete('containerd', digest);
    throw new AdapterError('BLOB_DIGEST_MISMATCH', 'A blob of an image does not have the digest that the bundle says', {
      expected: digest,
      at: { digest },
      hint: 'Copy the bundle again from where it came from. The image did not get its name.',
    });
  }
}

/** An engine that says yes and does nothing must not pass. */
function assertReady(images: readonly TargetImage[], survey: TargetSurvey): void {
  const failed = images.find(({ reference }) => !survey.images.has(reference));
  if (failed === undefined) return;
  throw new AdapterError('CONTAINERD_FAILED', `containerd took ${failed.reference} and does not have it ready`, {
    at: { digest: failed.digest },
    hint: 'Look at the log of k3s (`journalctl -u k3s`) or containerd. Running the command again is safe.',
  });
}

/** Since containerd 2.0 an import can pin what it names; since 1.7 it goes through the transfer service unless told not to. */
async function importFlags(
  { ctr, limits }: Importer,
  signal: AbortSignal | undefined,
): Promise<{ readonly label: boolean; readonly local: boolean }> {
  const { stdout } = await runCtr(ctr, {
    arguments: ['images', 'import', '--help'],
    timeoutMs: limits.answerMs,
    ...withSignal(signal),
  });
  return { label: /--label\b/.test(stdout), local: /--local\b/.test(stdout) };
}

function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
