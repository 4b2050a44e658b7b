import type { AskedIdentityProvider } from '../../formats/repository/snapshot.ts';

const STATES: Readonly<Record<AskedIdentityProvider['state'], string>> = {
  answered: 'answered who holds which',
  overruled: 'named so many who lost theirs that it was not believed: nobody was left out',
  unreachable: 'could not be reached: they were not looked at',
  refused: 'did not say: they were not looked at',
};

/** What asking for the readers' roles came to, as a line of a snapshot; none where nobody was asked. */
export function rolesLines({ identityProvider }: { readonly identityProvider?: AskedIdentityProvider }): string[] {
  if (identityProvider === undefined) return [];
  const { state, at } = identityProvider;
  return [`  roles       the identity provider ${STATES[state]} (${at})`];
}

/** Whom a snapshot is not sealed to, as lines. */
export function droppedLines(dropped: readonly { readonly name: string; readonly reason: string }[]): string[] {
  return dropped.map(({ name, reason }) => `  not to      ${name}: ${reason}`);
}
