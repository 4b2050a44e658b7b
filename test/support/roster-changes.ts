import type { Roster } from '../../src/formats/repository/roster.ts';
import type { SigningKey } from '../../src/formats/sigstore/cosign-key.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { rewrapKeys } from '../../src/usecases/repository/rewrap.ts';
import {
  type Approvals,
  publishRoster,
  type Revocations,
  signNextRoster,
  withApprovals,
  withoutRevoked,
} from '../../src/usecases/repository/roster-changes.ts';
import { type BackupRepository, signal } from './backup-repository.ts';

export const NOBODY: Approvals = { recipients: [], writers: [], pruners: [], verifiers: [], approvers: [] };
const NONE: Revocations = { recipients: [], writers: [], pruners: [], verifiers: [], approvers: [] };

/** The next epoch of a repository's roster. */
export async function changeRoster(
  repository: BackupRepository,
  change: (roster: Roster) => Roster,
  signer = repository.signer,
  options: { readonly fresh?: boolean } = {},
): Promise<Roster> {
  const opened = await repository.open();
  const next = await signNextRoster(opened, change(opened.roster.document), signer, repository.now(), options);
  return await publishRoster(opened, next, repository.memory, { signal });
}

export function approve(repository: BackupRepository, approvals: Partial<Approvals>, signer?: SigningKey) {
  return changeRoster(repository, (roster) => withApprovals(roster, { ...NOBODY, ...approvals }), signer);
}

export function revoke(
  repository: BackupRepository,
  revoked: Partial<Revocations>,
  signer?: SigningKey,
  options: { readonly fresh?: boolean } = {},
) {
  return changeRoster(repository, (roster) => withoutRevoked(roster, { ...NONE, ...revoked }), signer, options);
}

export async function rewrap(repository: BackupRepository, identities: readonly string[], store = repository.store) {
  return await rewrapKeys(
    await repository.open(store),
    { identities, signer: repository.signer },
    { progress: silentProgress, now: repository.now },
    { signal },
  );
}
