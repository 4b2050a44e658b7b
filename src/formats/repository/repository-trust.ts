/**
 * Whom to believe about a repository: what `--trust FILE` reads (docs/format-repository.md, "Trust"). Either the approvers'
 * public keys in PEM (cosign.pub; several may stand one after the other), or JSON:
 *
 *     { "keys": [ { "name", "publicKey": PEM or its base64 alone } ],
 *       "threshold"?: how many of them must have signed an epoch; as many as that epoch itself says unless given,
 *       "repository"?: the only id that is taken,
 *       "minimumEpoch"?: no roster before this is taken,
 *       "breakGlass"?, "minimumRecipients"?, "issuer"?: the root (pinned-root.ts) }
 */
import { z } from 'zod';
import { FormatError } from '../errors.ts';
import { decodeBase64 } from '../sigstore/pem.ts';
import {
  keyHint,
  keyTooLarge,
  PUBLIC_KEY_FILE_MAX_BYTES,
  parsePublicKey,
  parsePublicKeys,
  parseSpki,
} from '../sigstore/public-key.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';
import { countSchema, labelSchema, repositorySchema } from './documents.ts';
import type { RepositoryId } from './keys.ts';
import { type PinnedRoot, pinnedRootMembers } from './pinned-root.ts';
import type { RosterTrust } from './roster-chain.ts';
import type { PinnedApprovers } from './writer-key.ts';

/** A history of a thousand keys of an issuer. */
export const REPOSITORY_TRUST_MAX_BYTES = 1024 * 1024;

/** The JSON form as it stands in the file; its keys were checked. */
export interface TrustFile extends PinnedRoot {
  readonly keys: readonly { readonly name?: string; readonly publicKey: string }[];
  readonly threshold?: number;
  readonly repository?: RepositoryId;
  readonly minimumEpoch?: number;
}

const schema: z.ZodType<TrustFile> = z.strictObject({
  keys: z
    .array(z.strictObject({ name: labelSchema.exactOptional(), publicKey: z.string().min(1) }))
    .min(1, 'at least one key is needed')
    .max(64),
  threshold: z.number().int().min(1).exactOptional(),
  repository: repositorySchema.exactOptional(),
  minimumEpoch: countSchema.exactOptional(),
  ...pinnedRootMembers,
});

/** What `backup init` leaves. */
export function encodeRepositoryTrust(
  repository: RepositoryId,
  { threshold, keys }: PinnedApprovers,
  root: PinnedRoot = {},
): string {
  return encodeTrustFile({ repository, threshold, minimumEpoch: 1, keys, ...root });
}

/** For people too. */
export function encodeTrustFile(trust: TrustFile): string {
  return `${JSON.stringify(trust, undefined, 2)}\n`;
}

/**
 * `file` names the file in errors, and a key that has no name of its own.
 *
 * @throws FormatError TRUST_INVALID, PUBLIC_KEY_INVALID, PUBLIC_KEY_UNSUPPORTED, KEY_TOO_LARGE
 */
export function decodeRepositoryTrust(bytes: Uint8Array, file: string): RosterTrust {
  if (!isJson(bytes)) return { keys: distinct(parsePublicKeys(bytes, file).map((key) => trusted(file, key))) };
  return decodeJson(bytes, file).trust;
}

/**
 * The JSON form alone, as it stands in the file: to write it again with another member.
 *
 * @throws as `decodeRepositoryTrust`
 */
export function decodeTrustFile(bytes: Uint8Array, file: string): TrustFile {
  return decodeJson(bytes, file).written;
}

function isJson(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, PUBLIC_KEY_FILE_MAX_BYTES)).trimStart().startsWith('{');
}

function decodeJson(bytes: Uint8Array, file: string): { readonly written: TrustFile; readonly trust: RosterTrust } {
  if (bytes.length > REPOSITORY_TRUST_MAX_BYTES) throw keyTooLarge(REPOSITORY_TRUST_MAX_BYTES, bytes.length, file);
  const text = new TextDecoder().decode(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError('TRUST_INVALID', 'the trust file is not valid JSON', { cause, at: { file } });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(issue?.message ?? 'it is not a trust file', file, issue?.path.join('.'));
  }
  const { keys, ...rest } = parsed.data;
  const pinned = distinct(
    keys.map(({ name, publicKey }, index) => trusted(name ?? `${file}, key ${index + 1}`, keyOf(publicKey, file))),
  );
  if (pinned.length !== keys.length) throw invalid('the same key stands here twice', file, 'keys');
  if ((rest.threshold ?? 1) > pinned.length)
    throw invalid('more keys must have signed than there are', file, 'threshold');
  return { written: parsed.data, trust: { ...rest, keys: pinned } };
}

function keyOf(text: string, file: string) {
  const der = decodeBase64(text.trim());
  return der === undefined || der.length === 0 ? parsePublicKey(text, file) : parseSpki(der, file);
}

function trusted(name: string, publicKey: TrustedKey['publicKey']): TrustedKey {
  return { name, publicKey, keyHint: keyHint(publicKey) };
}

function distinct(keys: readonly TrustedKey[]): readonly TrustedKey[] {
  return [...new Map(keys.toReversed().map((key) => [key.keyHint, key])).values()].toReversed();
}

function invalid(problem: string, file: string, key?: string): FormatError {
  return new FormatError('TRUST_INVALID', `the trust file is not right: ${problem}`, {
    at: { file, ...(key === undefined || key === '' ? {} : { key }) },
  });
}
