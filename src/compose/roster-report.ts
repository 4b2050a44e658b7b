import { type Roster, rosterKeys, sharedKeys } from '../formats/repository/roster.ts';

export interface KeysReport {
  readonly place: string;
  readonly roster: Roster;
  readonly keys: readonly { readonly role: string; readonly name: string; readonly keyHint: string }[];
  /** Keys that have several roles. */
  readonly shared: readonly { readonly names: readonly string[]; readonly roles: readonly string[] }[];
}

export function describeRoster(roster: Roster): Omit<KeysReport, 'place'> {
  const roles = ['approvers', 'writers', 'pruners', 'verifiers'] as const;
  const keys = roles.flatMap((role) => rosterKeys(roster, role).map(({ name, keyHint }) => ({ role, name, keyHint })));
  const entries = (role: (typeof roles)[number]) => (role === 'approvers' ? roster.approvers.keys : roster[role]);
  const shared = sharedKeys(roster).map(({ publicKey, roles: held }) => ({
    roles: held,
    names: [
      ...new Set(
        held.flatMap((role) =>
          entries(role)
            .filter((one) => one.publicKey === publicKey)
            .map(({ name }) => name),
        ),
      ),
    ],
  }));
  return { roster, keys, shared };
}
