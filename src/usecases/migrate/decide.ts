import { UseCaseError } from '../errors.ts';
import type { OrderedFile, OrderedModule } from './modules.ts';
import type { LedgerEntry, MigrationRequest, NamedMigration, Orphan } from './types.ts';

/** What is done with a file that is not applied yet. */
export interface Decision {
  readonly file: OrderedFile;
  readonly action:
    | 'apply'
    /** Recorded now, to wait. */
    | 'defer'
    /** Recorded before, and waits on. */
    | 'wait'
    /** A dirty file that counts as applied from now on. */
    | 'repair';
}

export interface Decisions {
  /** In the order in which they are done. */
  readonly decisions: readonly Decision[];
  /** Files that were applied before. */
  readonly done: readonly OrderedFile[];
  /** Applied files of a later release of the same bundle that this one, an earlier, does not carry. */
  readonly ahead: readonly NamedMigration[];
  readonly orphans: readonly Orphan[];
  /** All that forbids to begin. */
  readonly problems: readonly UseCaseError[];
}

/** The rules of docs/migrations.md: what is to be done, from the files and the ledger alone. */
export function decide(
  modules: readonly OrderedModule[],
  ledger: readonly LedgerEntry[],
  request: Omit<MigrationRequest, 'modules'>,
): Decisions {
  const decisions: Decision[] = [];
  const done: OrderedFile[] = [];
  const ahead: NamedMigration[] = [];
  const problems: UseCaseError[] = [];
  const carried = new Set(modules.map(({ name }) => name));
  const named = new Set([...(request.retry ?? []), ...(request.repaired ?? [])]);
  for (const module of modules) {
    // By number, as the ledger is read.
    const entries = new Map(
      ledger.filter((entry) => entry.module === module.name).map((entry) => [entry.number, entry]),
    );
    const highest = [...entries.values()].findLast(isDone)?.number ?? -1n;
    for (const file of module.files) {
      const entry = entries.get(file.number);
      entries.delete(file.number);
      const path = pathOf(file);
      if (entry?.state === 'dirty') {
        if (request.repaired?.includes(path)) decisions.push({ file, action: 'repair' });
        else if (request.retry?.includes(path)) decisions.push({ file, action: 'apply' });
        else problems.push(dirty(file));
        named.delete(path);
      } else if (entry !== undefined && isDone(entry)) {
        if (entry.digest !== file.digest || entry.name !== file.name) problems.push(changed(file, entry));
        else done.push(file);
      } else if (file.kind === 'contract') {
        decisions.push({ file, action: contractAction(file, entry, request) });
      } else {
        if (entry === undefined && file.number < highest && request.allowOutOfOrder !== true) {
          problems.push(outOfOrder(file, highest));
        }
        decisions.push({ file, action: 'apply' });
      }
    }
    for (const entry of entries.values()) {
      if (entry.state === 'deferred') continue;
      const place = { module: entry.module, file: entry.name };
      if (entry.state === 'dirty') problems.push(dirty(entry));
      else if (!isFromLater(entry, request)) problems.push(missing(entry));
      else if (entry.kind === 'contract' && entry.state === 'applied') problems.push(contractRan(entry));
      else ahead.push(place);
    }
  }
  for (const path of named) problems.push(notDirty(path));
  return { decisions, done, ahead, orphans: orphansOf(ledger, carried), problems };
}

export function pathOf({ module, name }: { readonly module: string; readonly name: string }): string {
  return `${module}/${name}`;
}

export function isDone({ state }: Pick<LedgerEntry, 'state'>): boolean {
  return state === 'applied' || state === 'baseline';
}

function contractAction(
  file: OrderedFile,
  entry: LedgerEntry | undefined,
  { mode, bundle, completedSequence }: Omit<MigrationRequest, 'modules'>,
): Decision['action'] {
  if (mode === 'contract') return 'apply';
  if (entry === undefined || entry.digest !== file.digest || entry.name !== file.name) return 'defer';
  if (mode === 'expand' || bundle === undefined) return 'wait';
  // Recorded by hand: from now on it waits for the import after this one.
  if (entry.seenIn === undefined) return 'defer';
  // Another bundle's sequences say nothing about which programs of this one still run.
  if (entry.seenIn.name !== bundle.name) return 'wait';
  const completed = Math.min(completedSequence ?? bundle.sequence - 1, bundle.sequence - 1);
  return entry.seenIn.sequence <= completed ? 'apply' : 'wait';
}

function isFromLater({ seenIn }: LedgerEntry, { bundle }: Pick<MigrationRequest, 'bundle'>): boolean {
  return bundle !== undefined && seenIn?.name === bundle.name && seenIn.sequence > bundle.sequence;
}

function orphansOf(ledger: readonly LedgerEntry[], carried: ReadonlySet<string>): readonly Orphan[] {
  const names = new Set(ledger.map(({ module }) => module).filter((name) => !carried.has(name)));
  return [...names].map((module) => {
    const own = ledger.filter((entry) => entry.module === module);
    const count = (test: (entry: LedgerEntry) => boolean) => own.filter(test).length;
    return {
      module,
      applied: count(isDone),
      deferred: count(({ state }) => state === 'deferred'),
      dirty: count(({ state }) => state === 'dirty'),
    };
  });
}

function changed(file: OrderedFile, entry: LedgerEntry): UseCaseError {
  const renamed = entry.name !== file.name;
  return new UseCaseError(
    'MIGRATION_CHANGED',
    renamed
      ? `The migration ${file.number} of module ${file.module} was applied under another name`
      : 'A migration was changed after it was applied',
    {
      expected: renamed ? `${entry.name} ${entry.digest}` : entry.digest,
      found: renamed ? `${file.name} ${file.digest}` : file.digest,
      at: { file: pathOf(file) },
      hint: 'Take the change back, and put it into a new file with a higher number.',
    },
  );
}

function missing(entry: LedgerEntry): UseCaseError {
  return new UseCaseError('MIGRATION_MISSING', 'A migration that was applied is not there any more', {
    expected: entry.digest,
    at: { file: pathOf(entry) },
    hint: 'Put the file back: a fresh database needs it too.',
  });
}

function contractRan(entry: LedgerEntry): UseCaseError {
  const { version = '', sequence = 0 } = entry.seenIn ?? {};
  return new UseCaseError('MIGRATION_CONTRACT_RAN', 'A contract migration ran that this release does not know', {
    found: `it came with version ${version}, sequence ${sequence}`,
    at: { file: pathOf(entry) },
    hint: 'There is no way back behind it: go forward with a later release, or restore a backup from before.',
  });
}

function outOfOrder(file: OrderedFile, highest: bigint): UseCaseError {
  return new UseCaseError('MIGRATION_OUT_OF_ORDER', 'A new migration has a number below one that was applied', {
    expected: `a number above ${highest}`,
    found: file.number.toString(),
    at: { file: pathOf(file) },
    hint: 'Give it a higher number; or, where the order does not matter, allow it with --allow-out-of-order.',
  });
}

function dirty(file: { readonly module: string; readonly name: string }): UseCaseError {
  const path = pathOf(file);
  return new UseCaseError('MIGRATION_DIRTY', 'A migration outside of a transaction failed or was cut off earlier', {
    at: { file: path },
    hint: `See what it left. Then remove that and run portolan migrate up --retry ${path}; or, when its effect is there whole, --repaired ${path}.`,
  });
}

function notDirty(path: string): UseCaseError {
  return new UseCaseError('MIGRATION_UNKNOWN', `${path} is not a dirty migration`, {
    expected: 'MODULE/FILE of a migration whose state is dirty',
    hint: '`portolan migrate status` lists them.',
  });
}
