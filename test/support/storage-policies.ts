import {
  type MinioIdentity,
  type PolicyStatement,
  type StorageRole as Role,
  storagePolicy,
} from '../../src/formats/storage/policy.ts';

export type StorageRole = Capitalize<Role>;

interface Names {
  readonly bucket: string;
  readonly prefix: string;
  readonly writer?: string;
  readonly verifier?: string;
}

/** What `portolan storage policy` and docs/storage-policies.md give a role; `identity` (or its subject) by MinIO's OpenID provider. */
export function policyOf(
  role: StorageRole,
  names: Names,
  identity?: string | MinioIdentity,
): readonly PolicyStatement[] {
  const named = { writer: 'nobody', verifier: 'nobody', ...names };
  const given = typeof identity === 'string' ? { subject: identity } : identity;
  return storagePolicy(role.toLowerCase() as Role, named, given).Statement;
}
