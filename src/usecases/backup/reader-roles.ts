import { PortolanError } from '../../core/errors.ts';
import {
  decodeRolesMemory,
  encodeRolesMemory,
  type RolesMemory,
  rolesMemoryAfter,
  rolesStaleSince,
} from '../../formats/identity/roles-memory.ts';
import type { RoleStanding } from '../../ports/identity-provider.ts';
import type { Progress } from '../../ports/progress.ts';
import type { TargetState } from '../../ports/target-state.ts';

/** Asks the identity provider of the root about users of it. As `IdentityProvider.rolesOf`. */
export type AskRoles = (
  subjects: readonly string[],
  options: { readonly signal: AbortSignal },
) => Promise<ReadonlyMap<string, RoleStanding>>;

export interface RolesQuestion {
  readonly subjects: readonly string[];
  readonly issuer: string;
  readonly at: Date;
}

export interface RolesDependencies {
  /** Of the writer. */
  readonly state: TargetState;
  readonly progress: Progress;
  /** Absent where nothing says how to ask. */
  readonly askRoles?: AskRoles | undefined;
  /** Of one question; ROLES_LIMIT_MS. */
  readonly rolesLimitMs?: number | undefined;
}

/** What asking came to. */
export interface AskedRoles {
  /** `undefined`: nobody was asked. */
  readonly state: 'answered' | 'unreachable' | 'refused' | undefined;
  /** Empty unless answered. */
  readonly standings: ReadonlyMap<string, RoleStanding>;
  /** When it last answered, as far as this machine knows. */
  readonly answered: string | undefined;
  /** Since when nobody did, where that is too long. */
  readonly staleSince: string | undefined;
}

/** A backup does not wait longer for a provider that is silent. */
const ROLES_LIMIT_MS = 30_000;

export const ROLES_MAX_AGE_MS = 7 * 86_400_000;

const DOCUMENT = 'roles';

type Failure = 'unreachable' | 'refused';

/** What another machine can do to us. Anything else is a fault of this one, and ends the run. */
const FAILURES: Readonly<Record<string, Failure>> = {
  IDENTITY_PROVIDER_UNREACHABLE: 'unreachable',
  IDENTITY_PROVIDER_UNTRUSTED: 'unreachable',
  IDENTITY_PROVIDER_REFUSED: 'refused',
  IDENTITY_PROVIDER_PROTOCOL: 'refused',
  IDENTITY_ROLES_HIDDEN: 'refused',
};

/** Asks who holds the role, and remembers whether somebody answered. */
export async function askReaderRoles(
  question: RolesQuestion,
  dependencies: RolesDependencies,
  { maxAgeMs, signal }: { readonly maxAgeMs: number; readonly signal: AbortSignal },
): Promise<AskedRoles> {
  const { issuer, at } = question;
  const asked = await ask(question, dependencies, signal);
  let memory = await readMemory(dependencies.state, issuer, signal);
  if (asked !== undefined) {
    memory = rolesMemoryAfter(memory, { issuer, at, answered: asked.state === 'answered' });
    await dependencies.state.write(DOCUMENT, encodeRolesMemory(memory), { signal });
  }
  return {
    state: asked?.state,
    standings: asked?.state === 'answered' ? asked.standings : new Map(),
    answered: memory?.answered,
    staleSince: memory === undefined ? undefined : rolesStaleSince(memory, at, maxAgeMs),
  };
}

type Answer =
  | { readonly state: 'answered'; readonly standings: ReadonlyMap<string, RoleStanding> }
  | { readonly state: Failure };

async function ask(
  { subjects, issuer }: RolesQuestion,
  { askRoles, progress, rolesLimitMs = ROLES_LIMIT_MS }: RolesDependencies,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  if (askRoles === undefined) return undefined;
  const limit = AbortSignal.timeout(rolesLimitMs);
  try {
    return { state: 'answered', standings: await askRoles(subjects, { signal: AbortSignal.any([signal, limit]) }) };
  } catch (error) {
    signal.throwIfAborted();
    const silence = {
      state: 'unreachable',
      why: `${issuer}: no word about roles in ${rolesLimitMs / 1000} s`,
    } as const;
    const failure = failureOf(error) ?? (limit.aborted ? silence : undefined);
    if (failure === undefined) throw error;
    progress.warn(`${failure.why}; nobody is left out of this backup for a role that was lost`);
    return { state: failure.state };
  }
}

function failureOf(error: unknown): { readonly state: Failure; readonly why: string } | undefined {
  if (!(error instanceof PortolanError)) return undefined;
  const state = FAILURES[error.code];
  return state === undefined ? undefined : { state, why: `${error.code}: ${error.message}` };
}

async function readMemory(state: TargetState, issuer: string, signal: AbortSignal): Promise<RolesMemory | undefined> {
  const bytes = await state.read(DOCUMENT, { signal });
  const memory = bytes === undefined ? undefined : decodeRolesMemory(bytes);
  return memory?.issuer === issuer ? memory : undefined;
}
