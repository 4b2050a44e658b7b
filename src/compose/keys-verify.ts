import { type KeysVerification, verifyKeys } from '../usecases/keys/verify-keys.ts';
import { openPlace, openTrusted, type RepositoryOptions, type Running } from './repository.ts';

/** The roster against the root, and the evidence of its readers. Asks no identity provider. */
export async function composeKeysVerify(
  options: RepositoryOptions,
  running: Running,
): Promise<KeysVerification & { readonly place: string }> {
  await using place = await openPlace(options, running);
  const repository = await openTrusted(place, options, running);
  return { place: place.store.place, ...(await verifyKeys(repository, running.now(), running)) };
}
