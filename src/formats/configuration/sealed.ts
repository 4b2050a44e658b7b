import { armor } from 'age-encryption';
import { dearmor } from '../age/armor.ts';
import { openBytes, sealBytes } from '../age/sealed-bytes.ts';
import {
  CONFIGURATION_LIMIT_BYTES,
  type ConfigurationDocument,
  decodeSealed,
  encodeSealed,
  type SealedConfiguration,
} from './document.ts';

/** `sealed` of a document, for these recipients. */
export async function sealConfiguration(
  content: SealedConfiguration,
  recipients: readonly string[],
): Promise<NonNullable<ConfigurationDocument['sealed']>> {
  return {
    secrets: content.secrets.map(({ namespace, name }) => ({ namespace, name })),
    releases: content.releases.map(({ namespace, release }) => ({ namespace, release })),
    content: armor.encode(await sealBytes(encodeSealed(content), recipients)),
  };
}

/** @throws FormatError CONFIGURATION_INVALID, and what an age file that cannot be opened gives */
export async function openConfiguration(
  document: ConfigurationDocument,
  identities: readonly string[],
  file: string,
): Promise<SealedConfiguration> {
  if (document.sealed === undefined) return { secrets: [], releases: [] };
  const sealed = dearmor(document.sealed.content, { file, key: 'sealed.content' });
  const bytes = await openBytes(sealed, identities, { maxBytes: CONFIGURATION_LIMIT_BYTES });
  return decodeSealed(bytes, document, file);
}
