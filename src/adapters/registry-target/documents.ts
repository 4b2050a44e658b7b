import { type Digest, digestOf } from '../../core/digest.ts';
import { MANIFEST_ACCEPT, MAX_MANIFEST_BYTES } from '../../formats/oci/manifest.ts';
import type { BlobStream } from '../../ports/image-target.ts';
import { AdapterError } from '../errors.ts';
import { checkedBytes } from '../images/checked-bytes.ts';
import type { RegistryAccess } from './registry-access.ts';

/** All manifests of a run together: they wait in memory until the blobs that they name are there. */
const MAX_DOCUMENTS_BYTES = 64 * 1024 * 1024;

/** Manifests and indexes of a run: those that came with it, and those that the registry holds. */
export interface Documents {
  /** Raises AdapterError MANIFEST_LIMIT, and what `checkedBytes` raises. */
  keep(blob: BlobStream, signal: AbortSignal): Promise<void>;
  /** Its bytes, from memory or from the first of the repositories that holds it. `undefined` when none does. */
  read(digest: Digest, repositories: readonly string[], signal: AbortSignal): Promise<Uint8Array | undefined>;
}

export function createDocuments(access: RegistryAccess): Documents {
  const kept = new Map<Digest, Uint8Array>();
  let totalBytes = 0;
  return {
    async keep(blob, signal) {
      totalBytes += blob.sizeBytes;
      if (blob.sizeBytes > MAX_MANIFEST_BYTES || totalBytes > MAX_DOCUMENTS_BYTES) {
        throw new AdapterError('MANIFEST_LIMIT', 'The manifests of the images are too large', {
          expected: `at most ${MAX_MANIFEST_BYTES} bytes each and ${MAX_DOCUMENTS_BYTES} bytes together`,
          found: `${blob.sizeBytes} bytes, and ${totalBytes} bytes together`,
          at: { digest: blob.digest },
        });
      }
      const parts: Uint8Array[] = [];
      for await (const part of checkedBytes(blob, { hash: true, signal })) parts.push(new Uint8Array(part));
      kept.set(blob.digest, Buffer.concat(parts));
    },
    async read(digest, repositories, signal) {
      const known = kept.get(digest);
      if (known !== undefined) return known;
      for (const repository of repositories) {
        // An index inside an index is not known for one before it is read, and lies there as a blob.
        for (const what of [`manifests/${digest}`, `blobs/${digest}`]) {
          const bytes = await readDocument(access, repository, what, signal);
          if (bytes === undefined || digestOf(bytes) !== digest) continue;
          kept.set(digest, bytes);
          return bytes;
        }
      }
      return undefined;
    },
  };
}

/** A small document of a repository; `undefined` when there is none. */
export async function readDocument(
  { client, host }: RegistryAccess,
  repository: string,
  what: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const request = {
    host,
    repository,
    access: 'push',
    what,
    headers: { accept: MANIFEST_ACCEPT },
    allow: [404],
  } as const;
  const tooLarge = () =>
    new AdapterError('MANIFEST_LIMIT', `${host}/${repository} ${what} is larger than a manifest may be`, {
      expected: `at most ${MAX_MANIFEST_BYTES} bytes`,
    });
  const answer = await client.read(request, MAX_MANIFEST_BYTES, tooLarge, signal);
  return answer.status === 404 ? undefined : answer.bytes;
}
