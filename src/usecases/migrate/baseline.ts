import { throwProblems } from '../../core/errors.ts';
import { UseCaseError } from '../errors.ts';
import { type MigrateDependencies, type MigrateOptions, nameOf } from './apply.ts';
import { pathOf } from './decide.ts';
import { prepareLedger, readEntries, recordState } from './ledger.ts';
import { takeLock } from './lock.ts';
import { type OrderedFile, orderModules } from './modules.ts';
import type { MigrationModule, NamedMigration } from './types.ts';

export interface BaselineRequest {
  readonly modules: readonly MigrationModule[];
  /** For each module that is adopted: the number of the last file whose effect is there. */
  readonly to: readonly { readonly module: string; readonly number: bigint }[];
}

const LOCK_WAIT_MS = 60_000;

/**
 * Adopts a database that was made by other means: files up to a number count as applied and never run. Nothing else changes.
 * Run again, it does nothing; it refuses a module of which something was applied.
 *
 * @throws UseCaseError MIGRATION_UNKNOWN, MIGRATION_BASELINE_CONFLICT, MIGRATION_LOCKED
 */
export async function baselineMigrations(
  request: BaselineRequest,
  { database }: MigrateDependencies,
  options: MigrateOptions = {},
): Promise<{ readonly recorded: readonly NamedMigration[] }> {
  const { signal, onEvent } = options;
  const withSignal = signal === undefined ? {} : { signal };
  const files = filesUpTo(request);
  await using session = await database.open(withSignal);
  await takeLock(session, options.lockWaitMs ?? LOCK_WAIT_MS, {
    ...withSignal,
    onWait: (holder) => onEvent?.({ kind: 'waiting-for-lock', holder }),
  });
  await prepareLedger(session);
  const ledger = await readEntries(session);
  const wanted = new Map(files.map((file) => [`${file.module} ${file.number}`, file]));
  const adopted = new Set(files.map(({ module }) => module));
  const conflicts = ledger
    .filter(({ module, state }) => adopted.has(module) && state !== 'deferred')
    .filter(
      (entry) => entry.state !== 'baseline' || wanted.get(`${entry.module} ${entry.number}`)?.digest !== entry.digest,
    );
  throwProblems(
    conflicts.map(
      (entry) =>
        new UseCaseError('MIGRATION_BASELINE_CONFLICT', `A migration of the module is ${entry.state} already`, {
          found: entry.digest,
          at: { file: pathOf(entry) },
          hint: '`portolan migrate status` shows the ledger; `portolan migrate up` goes on from there.',
        }),
    ),
  );
  const recorded: NamedMigration[] = [];
  // All or nothing: half of a baseline would let `up` run the rest.
  await session.query('begin');
  for (const file of files) {
    if (await recordState(session, file, 'baseline', undefined)) recorded.push(nameOf(file));
  }
  await session.query('commit');
  return { recorded };
}

function filesUpTo({ modules, to }: BaselineRequest): readonly OrderedFile[] {
  const ordered = orderModules(modules);
  const problems: UseCaseError[] = [];
  const files: OrderedFile[] = [];
  const unknown = (message: string, found: string, expected: string) =>
    problems.push(
      new UseCaseError('MIGRATION_UNKNOWN', message, { found, expected, hint: 'Correct --to MODULE/NUMBER.' }),
    );
  for (const { module, number } of to) {
    const found = ordered.find(({ name }) => name === module);
    const names = ordered.map(({ name }) => name).join(', ');
    if (found === undefined) unknown('There is no such module', module, names);
    else if (!found.files.some((file) => file.number === number)) {
      const near = found.files.filter((file) => file.number < number).at(-1) ?? found.files[0];
      unknown('The module has no file of this number', `${module}/${number}`, near?.name ?? 'a module with files');
    } else files.push(...found.files.filter((file) => file.number <= number));
  }
  throwProblems(problems);
  return files;
}
