import type { PortolanError } from '../../core/errors.ts';
import { type MigrateDependencies, nameOf } from './apply.ts';
import { decide } from './decide.ts';
import { readEntries } from './ledger.ts';
import { scriptProblems } from './load-script.ts';
import { orderModules } from './modules.ts';
import type { LedgerEntry, MigrationBundle, MigrationKind, MigrationRequest, NamedMigration, Orphan } from './types.ts';

export interface PlannedFile extends NamedMigration {
  readonly kind: MigrationKind;
  /** - `apply`: runs now. `defer`: recorded, waits. `wait`: recorded before, waits. `repair`: counts as applied. `done`. */
  readonly action: 'apply' | 'defer' | 'wait' | 'repair' | 'done';
}

export interface MigrationPlan {
  /** For messages: which database. */
  readonly place: string;
  /** Modules in their order, files by number. */
  readonly files: readonly PlannedFile[];
  /** Applied by a later release, and not carried by this one. */
  readonly ahead: readonly NamedMigration[];
  readonly orphans: readonly Orphan[];
  /** All that forbids to begin; empty when `applyMigrations` would begin. */
  readonly problems: readonly PortolanError[];
}

/** What `applyMigrations` would do now. Changes nothing, and takes no lock. */
export async function planMigrations(
  request: MigrationRequest,
  { database }: MigrateDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<MigrationPlan> {
  const modules = orderModules(request.modules);
  const ledger = await readLedger({ database }, options);
  const { decisions, done, ahead, orphans, problems } = decide(modules, ledger, request);
  const actions = new Map<unknown, PlannedFile['action']>(decisions.map(({ file, action }) => [file, action]));
  for (const file of done) actions.set(file, 'done');
  const scripts = await scriptProblems(
    decisions.filter(({ action }) => action === 'apply' || action === 'defer'),
    options,
  );
  const files = modules.flatMap((module) =>
    module.files.flatMap((file) => {
      const action = actions.get(file);
      return action === undefined ? [] : [{ ...nameOf(file), kind: file.kind, action }];
    }),
  );
  return { place: database.place, files, ahead, orphans, problems: [...problems, ...scripts] };
}

/** Every line, by module and number. Empty for a database that Portolan never changed. */
export async function readLedger(
  { database }: MigrateDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<readonly LedgerEntry[]> {
  await using session = await database.open({ ...options, readOnly: true });
  return await readEntries(session);
}

/**
 * Contract files of a bundle that ran and that a former release of it did not know: it cannot work with the schema that they
 * left, and a rollback to it is refused. A former release knows the files that it carried.
 */
export function contractsUnknownTo(
  former: {
    readonly bundle: Pick<MigrationBundle, 'name'>;
    readonly modules: readonly { readonly name: string; readonly files: readonly { readonly name: string }[] }[];
  },
  ledger: readonly LedgerEntry[],
): readonly LedgerEntry[] {
  const known = new Set(former.modules.flatMap(({ name, files }) => files.map((file) => `${name}/${file.name}`)));
  return ledger.filter(
    ({ kind, state, seenIn, module, name }) =>
      kind === 'contract' &&
      (state === 'applied' || state === 'dirty') &&
      (seenIn === undefined || seenIn.name === former.bundle.name) &&
      !known.has(`${module}/${name}`),
  );
}
