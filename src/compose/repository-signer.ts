import { resolve } from 'node:path';
import type { SigningKey } from '../formats/sigstore/cosign-key.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { type PasswordSources, readSigningKey } from './keys.ts';
import type { RepositoryPlace, Running } from './repository.ts';
import { readRepositorySettings } from './repository-places.ts';

export interface SignerSettings extends PasswordSources {
  /** Without it the one that `backup init` was given. */
  readonly signKey: string | undefined;
}

/** @throws UseCaseError SIGN_KEY_MISSING; FormatError WRONG_PASSWORD, SIGNING_KEY_… */
export async function openSigner(
  place: Pick<RepositoryPlace, 'places' | 'store'>,
  { signKey, ...passwords }: SignerSettings,
  { cwd, signal }: Pick<Running, 'cwd' | 'signal'>,
): Promise<SigningKey> {
  const named = signKey === undefined ? undefined : resolve(cwd, signKey);
  const path = named ?? (await readRepositorySettings(place.places))?.signKey;
  if (path !== undefined) return await (await readSigningKey(path, passwords)).open({ signal });
  throw new UseCaseError('SIGN_KEY_MISSING', `nothing says which key signs for ${place.store.place}`, {
    hint: 'Give --sign-key FILE, an encrypted cosign key.',
  });
}
