import { readFile } from 'node:fs/promises';
import { type Digest, digestOf } from '../../core/digest.ts';
import { createLimiter, type Limiter } from '../../core/limits.ts';
import { FormatError } from '../../formats/errors.ts';
import { decodeManifest, isManifestType, MANIFEST_ACCEPT, MAX_MANIFEST_BYTES } from '../../formats/oci/manifest.ts';
import { formatReference, type ImageReference, parseReference } from '../../formats/oci/reference.ts';
import type { BlobStore, LocalBlob } from '../../ports/blobs.ts';
import type { AcquiredImage, AcquireRequest, ImageSource } from '../../ports/images.ts';
import { AdapterError } from '../errors.ts';
import { walkImage } from '../images/image-walk.ts';
import { type BlobReader, selectManifests } from '../images/manifest-selection.ts';
import { searchAttachments } from './attachment-search.ts';
import { openBlob } from './blob-stream.ts';
import { type ClientSettings, createRegistryClient, type RegistryClient } from './client.ts';
import { protocolFailure } from './failure.ts';

export interface RegistrySourceOptions extends ClientSettings {
  /** Where blobs are kept. With all of them there, a pinned image needs no network. */
  readonly store: BlobStore;
  /** Transfers at once, over all images. 4. */
  readonly parallel?: number;
}

export interface RegistrySource extends ImageSource {
  /** Ends idle connections. */
  close(): Promise<void>;
}

const PARALLEL_TRANSFERS = 4;

/** Images of OCI registries (OCI distribution specification v1.1). It takes any reference: ask it last. */
export function createRegistrySource(options: RegistrySourceOptions): RegistrySource {
  const client = createRegistryClient(options);
  const limit = createLimiter(options.parallel ?? PARALLEL_TRANSFERS);
  return {
    async acquire(request, { signal, onBytes } = {}) {
      // The first failure ends the other transfers of the image; what they have so far is kept for the next run.
      const failed = new AbortController();
      const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
      const session = createSession(client, options.store, limit, request, either, onBytes);
      try {
        return await acquireImage(session, request);
      } catch (failure) {
        failed.abort(failure);
        await session.settled();
        throw failure;
      }
    },
    close: () => client.close(),
  };
}

async function acquireImage(session: Session, request: AcquireRequest): Promise<AcquiredImage> {
  const { reference } = session;
  const text = formatReference(reference);
  const digest = request.pinned?.digest ?? reference.digest ?? (await session.resolveTag(reference.tag ?? 'latest'));
  const selection = await selectManifests(session.reader, { digest, reference: text, platforms: request.platforms });
  let attachments = request.pinned?.attachments;
  if (attachments === undefined) {
    const subjects = new Set([digest, ...selection.manifests.map(({ descriptor }) => descriptor.digest)]);
    const found = await Promise.all([...subjects].map((subject) => session.search(subject)));
    attachments = [...selection.attestations.map(({ descriptor }) => descriptor.digest), ...found.flat()];
  }
  return walkImage(session.reader, text, selection, attachments);
}

/** One image's dealings with one repository. */
interface Session {
  readonly reference: ImageReference;
  readonly reader: BlobReader;
  resolveTag(tag: string): Promise<Digest>;
  search(subject: Digest): Promise<readonly Digest[]>;
  /** Resolves when no transfer of this image runs any more. */
  settled(): Promise<void>;
}

function createSession(
  client: RegistryClient,
  store: BlobStore,
  limit: Limiter,
  request: AcquireRequest,
  signal: AbortSignal,
  onBytes: ((bytes: number) => void) | undefined,
): Session {
  const reference = parseReference(request.reference);
  const repository = { host: reference.host, repository: reference.repository };
  const running = new Set<Promise<unknown>>();

  const getManifest = async (what: string, allow: readonly number[] = []) => {
    const wanted = { ...repository, what: `manifests/${what}`, headers: { accept: MANIFEST_ACCEPT }, allow };
    const tooLarge = () => manifestTooLarge(what);
    const answer = await limit(() => client.read(wanted, MAX_MANIFEST_BYTES, tooLarge, signal));
    if (answer.status === 404) return undefined;
    const contentType =
      String(answer.headers['content-type'] ?? '')
        .split(';')[0]
        ?.trim() ?? '';
    if (contentType === 'text/html')
      throw protocolFailure(wanted, 'a web page was answered instead of a manifest', contentType);
    return { bytes: answer.bytes, contentType };
  };

  const fetchTag = async (tag: string, allow: readonly number[]) => {
    const answer = await getManifest(tag, allow);
    if (!answer) return undefined;
    // The bytes are hashed; what the registry calls their digest proves nothing.
    const digest = digestOf(answer.bytes);
    const declared = isManifestType(answer.contentType) ? { declaredType: answer.contentType } : {};
    decodeManifest(answer.bytes, { ...declared, digest });
    await store.putBytes(answer.bytes);
    return { digest, bytes: answer.bytes };
  };

  const fetchBlob = (descriptor: { readonly digest: Digest; readonly size: number; readonly mediaType: string }) => {
    const work = limit(() =>
      store.putStream(
        { digest: descriptor.digest, sizeBytes: descriptor.size },
        (offsetBytes) => openBlob(client, repository, descriptor, offsetBytes, signal),
        { signal, ...(onBytes === undefined ? {} : { onBytes }) },
      ),
    );
    running.add(work);
    const forget = (): void => void running.delete(work);
    work.then(forget, forget);
    return work;
  };

  const reader: BlobReader = {
    blob: fetchBlob,
    async document(wanted, kind, maxBytes) {
      signal.throwIfAborted();
      const stored = await readStored(store, wanted, maxBytes);
      if (stored) return stored;
      if (kind === 'blob') {
        if (wanted.size === undefined || wanted.size > maxBytes) throw manifestTooLarge(wanted.digest, wanted.size);
        const blob = await fetchBlob({ digest: wanted.digest, size: wanted.size, mediaType: '' });
        return { blob, bytes: await readFile(blob.path) };
      }
      const answer = await getManifest(wanted.digest, kind === 'root' ? [] : [404]);
      if (!answer) throw manifestMissing(reference, wanted.digest);
      checkManifest(repository.host, wanted, answer.bytes);
      return { bytes: answer.bytes, blob: await store.putBytes(answer.bytes) };
    },
  };

  return {
    reference,
    reader,
    async resolveTag(tag) {
      const found = await fetchTag(tag, []);
      if (found) return found.digest;
      throw protocolFailure({ ...repository, what: `manifests/${tag}` }, 'there is no manifest', tag);
    },
    search: (subject) => searchAttachments(client, repository, subject, (tag) => fetchTag(tag, [404]), signal),
    settled: async () => void (await Promise.allSettled(running)),
  };
}

/** A document that the store holds; it is hashed again, so a copy that rotted is fetched anew. */
async function readStored(
  store: BlobStore,
  wanted: { readonly digest: Digest; readonly size?: number },
  maxBytes: number,
): Promise<{ bytes: Uint8Array; blob: LocalBlob } | undefined> {
  const blob = await store.find(wanted.digest, wanted.size);
  if (!blob || blob.sizeBytes > maxBytes) return undefined;
  const bytes = await readFile(blob.path);
  return digestOf(bytes) === wanted.digest ? { bytes, blob } : undefined;
}

function checkManifest(
  host: string,
  wanted: { readonly digest: Digest; readonly size?: number },
  bytes: Uint8Array,
): void {
  const found = digestOf(bytes);
  if (found !== wanted.digest) {
    throw new AdapterError(
      'BLOB_DIGEST_MISMATCH',
      `${host} answered another manifest than the one that was asked for`,
      {
        expected: wanted.digest,
        found,
        at: { digest: wanted.digest },
      },
    );
  }
  if (wanted.size === undefined || wanted.size === bytes.byteLength) return;
  throw new AdapterError('BLOB_SIZE_MISMATCH', 'A manifest is not as long as its descriptor says', {
    expected: `${wanted.size} bytes`,
    found: `${bytes.byteLength} bytes`,
    at: { digest: wanted.digest },
  });
}

function manifestMissing(reference: ImageReference, digest: Digest): AdapterError {
  return new AdapterError(
    'BLOB_MISSING',
    `${reference.host} names a manifest of ${reference.repository} that it does not hold`,
    {
      at: { digest },
      hint: 'Push the image again, with all its platforms; or take what refers to the lost part out of the repository.',
    },
  );
}

function manifestTooLarge(what: string, sizeBytes?: number): FormatError {
  return new FormatError('MANIFEST_TOO_LARGE', `The document ${what} is too large`, {
    expected: `at most ${MAX_MANIFEST_BYTES} bytes`,
    found: sizeBytes === undefined ? 'more' : `${sizeBytes} bytes`,
  });
}
