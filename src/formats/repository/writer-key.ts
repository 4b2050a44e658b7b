/**
 * What a writer keeps beside its signing key (docs/format-repository.md, "Writer key"): a file of mode 0600, made by
 * `backup init`. Canonical JSON:
 *
 *     { "version", "repository", "writer", "idKey": base64 of 32 bytes, "indexIdentity": "AGE-SECRET-KEY-PQ-1…",
 *       "approvers": { "threshold", "keys": [ { "name", "publicKey" } ] },
 *       "root"?: what the trust file pins beside the approvers (pinned-root.ts) }
 *
 * It opens the writer's indexes and names chunks; it opens no pack, no contents and no key of a run. Nothing of its secrets
 * goes into an error.
 */
import { z } from 'zod';
import { FormatError } from '../errors.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';
import { ID_KEY_BYTES } from './chunk-keys.ts';
import {
  base64Schema,
  decodeDocument,
  encodeDocument,
  labelSchema,
  repositorySchema,
  textSchema,
  versionSchema,
  writerSchema,
} from './documents.ts';
import type { RepositoryId, WriterName } from './keys.ts';
import { type PinnedRoot, pinnedRootMembers } from './pinned-root.ts';
import { trustedKey } from './roster.ts';
import type { RosterTrust } from './roster-chain.ts';

export const WRITER_KEY_MAX_BYTES = 1024 * 1024;

export interface WriterKey {
  readonly version: 1;
  readonly repository: RepositoryId;
  readonly writer: WriterName;
  /** 32 bytes. */
  readonly idKey: Uint8Array;
  /** `AGE-SECRET-KEY-PQ-1…` */
  readonly indexIdentity: string;
  /** Pinned: whom this writer believes about the roster. */
  readonly approvers: PinnedApprovers;
  readonly root?: PinnedRoot;
}

export interface PinnedApprovers {
  readonly threshold: number;
  /** `publicKey` is base64 of the key in DER. */
  readonly keys: readonly { readonly name: string; readonly publicKey: string }[];
}

const schema = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  writer: writerSchema,
  idKey: base64Schema,
  indexIdentity: z.string().regex(/^AGE-SECRET-KEY-PQ-1[02-9AC-HJ-NP-Z]{1,200}$/, 'a post-quantum identity'),
  approvers: z.strictObject({
    threshold: z.number().int().min(1),
    keys: z
      .array(z.strictObject({ name: labelSchema, publicKey: textSchema }))
      .min(1)
      .max(64),
  }),
  root: z
    .strictObject(pinnedRootMembers)
    .refine((root) => Object.keys(root).length > 0, 'a root that pins nothing')
    .exactOptional(),
});

export function encodeWriterKey(key: WriterKey): Uint8Array {
  return encodeDocument({ ...key, idKey: Buffer.from(key.idKey).toString('base64') });
}

/** `file` names it in errors. @throws FormatError WRITER_KEY_INVALID, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeWriterKey(bytes: Uint8Array, file?: string): WriterKey {
  const rules = {
    what: 'the writer key',
    code: 'WRITER_KEY_INVALID',
    maxBytes: WRITER_KEY_MAX_BYTES,
    at: file,
  } as const;
  const document = decodeDocument(bytes, schema, rules);
  const idKey = Buffer.from(document.idKey, 'base64');
  if (idKey.length !== ID_KEY_BYTES || document.approvers.threshold > document.approvers.keys.length) {
    throw new FormatError(
      'WRITER_KEY_INVALID',
      'the writer key is not right: its id key is cut, or its threshold too high',
      {
        ...(file === undefined ? {} : { at: { file } }),
      },
    );
  }
  return { ...document, idKey: new Uint8Array(idKey) };
}

/** Whom a writer believes about its repository's roster. @throws FormatError ROSTER_INVALID for a key that is not P-256 */
export function trustOfWriter({ repository, approvers, root }: WriterKey): RosterTrust {
  return { keys: pinnedKeys(approvers), threshold: approvers.threshold, repository, ...root };
}

/** @throws FormatError ROSTER_INVALID for a key that is not P-256 */
export function pinnedKeys(approvers: PinnedApprovers): readonly TrustedKey[] {
  return approvers.keys.map(({ name, publicKey }) => trustedKey(name, publicKey));
}
