import { type PolicyStatement, type StorageRole as Role, storagePolicy } from '../../src/formats/storage/policy.ts';

export type StorageRole = Capitalize<Role>;

interface Names {
  readonly bucket: string;
  readonly prefix: string;
  readonly writer?: string;
  readonly verifier?: string;
}

/** What `portolan storage policy` and docs/storage-policies.md give a role; with `subject` by MinIO's role of an OpenID provider. */
export function policyOf(role: StorageRole, names: Names, subject?: string): readonly PolicyStatement[] {
  const named = { writer: 'nobody', verifier: 'nobody', ...names };
  return storagePolicy(role.toLowerCase() as Role, named, subject).Statement;
}
