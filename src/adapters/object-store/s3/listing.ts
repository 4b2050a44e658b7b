import type { ListOptions, ObjectEntry, ObjectVersion, StoreOptions } from '../../../ports/object-store.ts';
import { AdapterError } from '../../errors.ts';
import { isObjectKey } from '../object-key.ts';
import type { Bucket } from './bucket.ts';

/** A version of an object for each overwrite: a hostile writer may have made any number of them. */
const MAX_VERSIONS = 10_000;

/** Pages are fetched as they are asked for. A storage whose list is not in order, or runs in a circle, is found out. */
export async function* listEntries(
  { client, name: Bucket, root, place }: Bucket,
  prefix: string,
  { after, signal }: ListOptions,
): AsyncGenerator<ObjectEntry> {
  let last = after ?? '';
  let token: string | undefined;
  do {
    const page = await client.run(`list ${prefix}`, { signal }, ({ sdk, client: s3, watch }) => {
      const command = new sdk.ListObjectsV2Command({
        Bucket,
        Prefix: root + prefix,
        // Others' names may hold what XML cannot.
        EncodingType: 'url',
        ...(token === undefined ? {} : { ContinuationToken: token }),
        ...(token !== undefined || last === '' ? {} : { StartAfter: root + last }),
      });
      return s3.send(command, { abortSignal: watch.signal });
    });
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      const key = keyOf(Key, root);
      // Somebody else's objects under the same prefix.
      if (key === undefined || !key.startsWith(prefix)) continue;
      if (key <= last) {
        // `after` itself: some storages list from it on.
        if (key === after) continue;
        throw badListing(place, 'not in order');
      }
      last = key;
      yield { key, sizeBytes: Size ?? 0, modified: LastModified ?? new Date(0) };
    }
    const next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    if (page.IsTruncated === true && (next === undefined || next === token)) throw badListing(place, 'without an end');
    token = next;
  } while (token !== undefined);
}

export async function listVersions(
  { client, name: Bucket, root, place }: Bucket,
  key: string,
  { signal }: StoreOptions = {},
): Promise<ObjectVersion[]> {
  const versions: ObjectVersion[] = [];
  let marker: { KeyMarker: string; VersionIdMarker?: string } | undefined;
  for (;;) {
    const page = await client.run(`list the versions of ${key}`, { signal }, ({ sdk, client: s3, watch }) => {
      const command = new sdk.ListObjectVersionsCommand({ Bucket, Prefix: root + key, EncodingType: 'url', ...marker });
      return s3.send(command, { abortSignal: watch.signal });
    });
    let isPast = false;
    for (const { Key, Size, LastModified, VersionId } of page.Versions ?? []) {
      // Keys that go on after this one follow.
      if (decoded(Key) !== root + key) isPast = true;
      else {
        versions.push({
          key,
          sizeBytes: Size ?? 0,
          modified: LastModified ?? new Date(0),
          version: VersionId ?? 'null',
        });
      }
    }
    if (page.IsTruncated !== true || isPast || versions.length >= MAX_VERSIONS) return versions;
    const next = { KeyMarker: decoded(page.NextKeyMarker) ?? '', VersionIdMarker: page.NextVersionIdMarker ?? '' };
    if (next.KeyMarker === marker?.KeyMarker && next.VersionIdMarker === marker.VersionIdMarker) {
      throw badListing(place, 'without an end');
    }
    if (next.KeyMarker !== root + key) return versions;
    marker = next;
  }
}

function keyOf(encoded: string | undefined, root: string): string | undefined {
  const name = decoded(encoded);
  const key = name?.startsWith(root) ? name.slice(root.length) : undefined;
  return key !== undefined && isObjectKey(key) ? key : undefined;
}

/** `encoding-type=url`; a name that was not encoded so is nobody's of ours. */
function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

function badListing(place: string, found: string): AdapterError {
  return new AdapterError('STORE_FAILED', `${place}: the storage sends a list that is ${found}`, {
    expected: 'names in the order of their bytes',
    found,
    hint: 'This storage cannot hold a repository: use another one.',
  });
}
