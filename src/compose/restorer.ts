import { hostname } from 'node:os';
import type { AuditedWork } from '../formats/audit/record.ts';
import { FormatError } from '../formats/errors.ts';
import type { PinnedIssuer } from '../formats/identity/pinned-issuer.ts';
import type { RepositoryId } from '../formats/repository/keys.ts';
import { type AuditJournal, recorded } from '../usecases/audit/journal.ts';
import { UseCaseError } from '../usecases/errors.ts';
import type { OpeningOptions } from '../usecases/repository/open-snapshot.ts';
import { actorOf, openAuditJournal } from './audit.ts';
import { type RootOptions, readRoot } from './identity.ts';
import type { RepositoryOptions, Running } from './repository.ts';
import { requireSession } from './session.ts';

export interface RestorerRequest extends RootOptions {
  readonly breakGlass: boolean;
}

/** Who restores, and by which program; what a restore needs to be recorded. */
export interface Restorer {
  readonly who: AuditedWork['who'];
  /** Version of this program. */
  readonly program: string;
  /** Told of every record when it is in the journal. */
  readonly onRecord?: AuditJournal['onRecord'];
}

/**
 * Who restores, told before anything begins. Where the root names an identity provider that is whoever is logged in, checked with what
 * the root pins: nobody is asked over the network, neither with --break-glass nor without.
 *
 * @throws UseCaseError LOGIN_NEEDED, REPOSITORY_UNTRUSTED; FormatError TRUST_INVALID
 */
export async function findRestorer(
  { breakGlass, ...root }: RestorerRequest,
  running: Running,
): Promise<AuditedWork['who']> {
  const { issuer } = await readRoot(root, running);
  const { progress } = running;
  if (breakGlass) {
    const who = actorOf();
    const provider =
      issuer === undefined ? 'no identity provider is pinned' : `${issuer.url} was NOT ASKED who restores`;
    progress.warn(`BREAK GLASS: ${provider}; it is recorded as a restore by ${who.user} without a login`);
    return { ...who, breakGlass: true };
  }
  if (issuer === undefined) return actorOf();
  const login = await requireLogin(issuer, running);
  progress.note(`restores: ${login.subject} of ${login.issuer}, logged in until ${login.expiresAt.toISOString()}`);
  return actorOf(login);
}

async function requireLogin(issuer: PinnedIssuer, running: Running) {
  try {
    return await requireSession(issuer, running);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new UseCaseError('LOGIN_NEEDED', `the login at ${issuer.url} that is kept here does not count`, {
      cause,
      at: { url: issuer.url },
      hint: 'Run `portolan login` again. Where the identity provider is lost, a restore goes on with --break-glass.',
    });
  }
}

export interface RestoreFacts {
  readonly what: AuditedWork['what'];
  readonly repository: RepositoryId;
  readonly target: string;
  /** By the names of the options; those that are empty are left out. */
  readonly selection: Readonly<Record<string, readonly string[]>>;
}

/**
 * Does what is recorded as {@link recorded} says, in the journal of this machine; `work` hands `opening` on to whoever opens the
 * snapshot. Without a restorer it is a plan, and nothing is recorded.
 */
export async function recordedWork<T>(
  restorer: Restorer | undefined,
  { selection, ...facts }: RestoreFacts,
  { state }: Pick<RepositoryOptions, 'state'>,
  running: Running,
  work: (opening: Pick<OpeningOptions, 'beforeOpening'>) => Promise<T>,
  failureOf: (result: T) => string | undefined = () => undefined,
): Promise<T> {
  if (restorer === undefined) return await work({});
  const chosen = Object.fromEntries(Object.entries(selection).filter(([, values]) => values.length > 0));
  const { who, program, onRecord } = restorer;
  const whole = { ...facts, who, program, host: hostname(), selection: chosen };
  const recordable = (beforeOpening: NonNullable<OpeningOptions['beforeOpening']>) => work({ beforeOpening });
  const journal = { ...openAuditJournal({ state }, running), onRecord };
  return await recorded(journal, whole, recordable, { signal: running.signal, failureOf });
}
