import { type PortolanError, throwProblems } from '../../../core/errors.ts';
import { quoteName } from '../../../formats/postgres/names.ts';
import { releaseKey } from '../../../formats/target/installed.ts';
import type { ChunkReader, ChunkReaderSettings } from '../../../ports/chunks.ts';
import type { DatabaseServer } from '../../../ports/database.ts';
import type { Kubernetes } from '../../../ports/kubernetes.ts';
import type { PostgresPrograms } from '../../../ports/postgres-programs.ts';
import type { Progress } from '../../../ports/progress.ts';
import { UseCaseError } from '../../errors.ts';
import type { BundleDatabase, DatabaseStep, DatabaseStepPlan, DatabaseStepTarget } from '../../import/types.ts';
import { decide } from '../../migrate/decide.ts';
import { orderModules } from '../../migrate/modules.ts';
import { collect } from '../../refuse.ts';
import type { OpenedSnapshot } from '../../repository/open-snapshot.ts';
import { chooseDatabases, chooseSource } from '../postgres/choose.ts';
import { type Allowance, needsOf, needText } from '../postgres/needs.ts';
import { restoreToPostgres } from '../postgres/restore-postgres.ts';
import { type PostgresSnapshot, readPostgresSources } from '../postgres/snapshot-source.ts';
import { majorOf } from '../postgres/target-server.ts';
import type { PostgresRestoreRequest } from '../postgres/types.ts';
import { relayRights } from './relay-job.ts';
import { newestRelease, readSnapshotLedger } from './snapshot-ledger.ts';

export type ClusterRestoreRequest = Pick<PostgresRestoreRequest, 'selection' | 'allow' | 'noTablespaces' | 'jobs'>;

export interface ClusterRestoreDependencies {
  readonly kubernetes: Kubernetes;
  readonly programs: PostgresPrograms;
  readonly createChunkReader: (settings: ChunkReaderSettings) => Promise<ChunkReader>;
  readonly progress: Progress;
  /** A way from here to the database of a bundle. */
  readonly reach: (
    database: BundleDatabase,
    options: { readonly signal: AbortSignal },
  ) => Promise<AsyncDisposable & { readonly server: DatabaseServer }>;
}

/** Fills the databases of a bundle from a snapshot: what a restore into a cluster does in the place of an empty beginning. */
export function createDatabaseStep(
  opened: OpenedSnapshot,
  request: ClusterRestoreRequest,
  dependencies: ClusterRestoreDependencies,
): DatabaseStep {
  const { repository, found, snapshot } = opened;
  const { writer, sequence } = found.info;
  const from = { repository: repository.id, snapshot: `${writer}/${sequence}`, digest: snapshot.digest };
  return {
    from,
    rights: ({ namespace }) => relayRights(namespace),
    look: (target, { signal = new AbortController().signal }) =>
      look(opened, target, from, request, dependencies, signal),
    async fill(database, { wasProved, onProved, signal }) {
      await using reached = await dependencies.reach(database, { signal });
      const work = { ...request, intoExisting: false, plan: false };
      let isProved = wasProved;
      const report = await restoreToPostgres(
        opened,
        work,
        {
          ...dependencies,
          server: reached.server,
          async onProved() {
            await onProved();
            isProved = true;
          },
        },
        { signal },
      );
      const { problems } = report;
      // What a run before proved, programs may have written to since.
      const isFilled = ({ code }: PortolanError) => code === 'RESTORE_TARGET_NOT_EMPTY';
      if (wasProved && problems.length > 0 && problems.every(isFilled)) return undefined;
      throwProblems(problems);
      if (!isProved) throw notProved(database);
      return report;
    },
  };
}

async function look(
  opened: OpenedSnapshot,
  target: DatabaseStepTarget,
  from: DatabaseStep['from'],
  request: ClusterRestoreRequest,
  { kubernetes, programs, createChunkReader }: ClusterRestoreDependencies,
  signal: AbortSignal,
): Promise<DatabaseStepPlan> {
  const { database, contents } = target;
  const problems: PortolanError[] = [];
  problems.push(...(await targetProblems(target, from, kubernetes, signal)));
  const source = chooseSource(await readPostgresSources(opened, { signal }), request.selection);
  const chosen = chooseDatabases(source, request.selection, database.name);
  if (!chosen.some(({ record }) => record.name === database.name)) {
    problems.push(
      new UseCaseError('RESTORE_TARGET_WRONG', `The snapshot holds no database of ${contents.name}`, {
        expected: quoteName(database.name),
        found: chosen.map(({ record }) => quoteName(record.name)).join(', '),
        hint: 'Name the bundle that the snapshot belongs to, or another snapshot.',
      }),
    );
  }
  // Before anything is brought: what else would be told when the charts are ready.
  const sourceMajor = majorOf(source.server.serverVersionNumber);
  const programMajor = Math.max(sourceMajor, Number.parseInt(source.server.programVersion, 10) || 0);
  await collect(problems, () => programs.find(programMajor, { programs: ['pg_restore'], signal }));
  const needs = chosen.flatMap(({ record }) => needsOf(record.needs, request.allow, record.name));
  const refused = needs.filter(({ isAllowed }) => !isAllowed);
  if (refused.length > 0) problems.push(notAllowed(refused.map(needText), refused));

  await using reader = closing(await createChunkReader({ ...opened.reading, signal, workers: 1 }));
  const ledger = await readSnapshotLedger(source, database.name, reader.value, { signal });
  const release = newestRelease(ledger);
  problems.push(...releaseProblems(target, release, ledger));
  return {
    problems,
    plan: {
      from,
      at: opened.snapshot.document.started,
      place: source.place,
      serverVersion: source.server.serverVersion,
      databases: chosen.map(({ record: { name, tables, rows, sizeBytes } }) => ({ name, tables, rows, sizeBytes })),
      ...(release === undefined
        ? {}
        : { release: { name: release.name, version: release.version, sequence: release.sequence } }),
      needs: [...new Set(needs.map(({ allowance }) => allowance))],
      notes: [...notesOf(opened, source)],
    },
  };
}

/** A target is new, or a run of the same restore began, or ended, there. */
async function targetProblems(
  { installed, charts, contents, isBegun }: DatabaseStepTarget,
  from: DatabaseStep['from'],
  kubernetes: Kubernetes,
  signal: AbortSignal,
): Promise<readonly PortolanError[]> {
  const { applied, running } = installed;
  const wrong = (message: string, found: string, hint: string) =>
    new UseCaseError('RESTORE_TARGET_WRONG', message, {
      expected: `a target without ${contents.name}, or one where the restore of ${from.snapshot} was begun`,
      found,
      hint,
      at: { url: kubernetes.server },
    });
  if (isBegun) return [];
  if (applied !== undefined) {
    const { version, sequence, at, restored } = applied;
    const whence = restored === undefined ? '' : `, restored from ${restored.snapshot}`;
    return [
      wrong(
        `${contents.name} is installed at this target`,
        `version ${version}, sequence ${sequence}, since ${at}${whence}`,
        `Name another context. What is there goes with \`portolan bundle remove ${contents.name} --delete-data\`, and nothing brings it back.`,
      ),
    ];
  }
  if (running !== undefined) {
    const { what, version, restore, startedAt } = running;
    const whence = restore === undefined ? '' : ` with the snapshot ${restore.snapshot} (${restore.digest})`;
    return [
      wrong(
        'Something else was begun at this target and did not end',
        `${restore === undefined ? what : 'restore'} of ${version}${whence}, ${startedAt}`,
        `Go on with that one, or take it away: \`portolan bundle remove ${contents.name} --delete-data\`.`,
      ),
    ];
  }
  const present = charts.filter(({ action }) => action !== 'install').map(releaseKey);
  const claims: string[] = [];
  for (const { release, namespace, stage } of charts) {
    if (stage !== 'data') continue;
    const labelSelector = `app.kubernetes.io/instance=${release}`;
    const kind = { apiVersion: 'v1', kind: 'PersistentVolumeClaim' };
    for (const { metadata } of await kubernetes.list({ ...kind, namespace, labelSelector }, { signal })) {
      claims.push(`${namespace}/${metadata.name}`);
    }
  }
  if (present.length + claims.length === 0) return [];
  return [
    wrong(
      `There is something of ${contents.name} at this target already`,
      [...present.map((name) => `release ${name}`), ...claims.map((name) => `volume ${name}`)].join(', '),
      'Name another context, or remove them: a restore puts nothing over data that is there.',
    ),
  ];
}

/** The ledger that comes with the database against the bundle that is to work with it. */
function releaseProblems(
  { contents, migrations }: DatabaseStepTarget,
  release: ReturnType<typeof newestRelease>,
  ledger: Parameters<typeof decide>[1],
): readonly PortolanError[] {
  if (release === undefined) return [];
  if (release.name !== contents.name || release.sequence > contents.sequence) {
    return [
      new UseCaseError('RESTORE_TARGET_WRONG', 'The snapshot belongs to another bundle', {
        expected: `${release.name} ${release.version}, sequence ${release.sequence}, or a later one`,
        found: `${contents.name} ${contents.version}, sequence ${contents.sequence}`,
        hint: 'Name the bundle that the snapshot belongs to in --bundle, or a snapshot of this one.',
      }),
    ];
  }
  return decide(orderModules(migrations.modules), ledger, migrations).problems;
}

function* notesOf({ details }: OpenedSnapshot, { end }: PostgresSnapshot): Generator<string> {
  for (const { kind, name } of details.sources) {
    if (kind === 'files')
      yield `the files of ${name} are not brought into the cluster: \`restore --to folder:DIR\` brings them`;
  }
  if (!end.hasRolePasswords) yield 'roles come back without passwords: the snapshot has none';
  yield* end.notes;
}

function notAllowed(found: readonly string[], refused: readonly { readonly allowance: Allowance }[]): UseCaseError {
  return new UseCaseError('RESTORE_NOT_ALLOWED', 'The snapshot needs what is not done unless it is allowed', {
    found: found.join('; '),
    hint: `Look at them, then add --allow ${[...new Set(refused.map(({ allowance }) => allowance))].join(',')}.`,
  });
}

function notProved({ name }: BundleDatabase): UseCaseError {
  return new UseCaseError('RESTORE_NOT_EQUAL', `The database ${quoteName(name)} was restored, and not found equal`, {
    hint: 'A run before named the differences. Remove what is there and begin again, or go on without a restore by `portolan bundle import`.',
  });
}

function closing<T extends { close(): Promise<void> }>(value: T) {
  return { value, [Symbol.asyncDispose]: () => value.close() };
}
