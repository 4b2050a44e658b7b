import { createBucketRights } from '../adapters/object-store/s3/rights.ts';
import { wouldGiveKeysFor } from '../adapters/object-store/s3/web-identity.ts';
import { parseRepositoryAddress } from '../formats/storage/repository-address.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { checkRights, type RightsReport, type RightsRequest } from '../usecases/storage/check-rights.ts';
import { bucketClient } from './object-store.ts';
import { openPlace, type RepositoryOptions, type Running, storeSettings } from './repository.ts';

export type StorageCheckOptions = Omit<RepositoryOptions, 'checkpoint' | 'state'>;

/** @throws UseCaseError STORAGE_PROMISES_NOTHING for a folder */
export async function composeStorageCheck(
  options: StorageCheckOptions,
  request: RightsRequest,
  running: Running,
): Promise<RightsReport> {
  const address = parseRepositoryAddress(options.repo);
  if (address.kind === 'folder') {
    throw new UseCaseError('STORAGE_PROMISES_NOTHING', `${options.repo} is a folder, which promises nothing`, {
      expected: 'a bucket with policies, versions and Object Lock',
      found: 'a folder, which whoever may write to it may also empty',
      hint: 'Keep a copy where others administer it, or use a bucket.',
    });
  }
  const { signal, now } = running;
  const { client, access } = await bucketClient(address, await storeSettings(options, running));
  const rights = createBucketRights(client);
  await using place = await openPlace(options, running);
  try {
    const { webIdentity } = access;
    return await checkRights(
      request,
      {
        store: place.store,
        rights,
        now,
        ...(webIdentity === undefined || isAmazons(webIdentity.sts)
          ? {}
          : { givesKeysFor: (seconds, given) => wouldGiveKeysFor(webIdentity, seconds, given) }),
      },
      { signal },
    );
  } finally {
    access.close();
    await rights.close();
  }
}

/** Which gives keys for an hour to everybody who gets any. */
function isAmazons(sts: string): boolean {
  return /\.amazonaws\.com(\.cn)?$/.test(new URL(sts).hostname);
}
