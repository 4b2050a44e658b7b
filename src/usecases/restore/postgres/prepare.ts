import type { PortolanError } from '../../../core/errors.ts';
import { quoteName } from '../../../formats/postgres/names.ts';
import type { ChunkReader } from '../../../ports/chunks.ts';
import type { ProgramSet } from '../../../ports/postgres-programs.ts';
import { UseCaseError } from '../../errors.ts';
import type { OpenedSnapshot } from '../../repository/open-snapshot.ts';
import { partOf } from '../selection.ts';
import { collectNeeds, problemsOf, serverProblems, unknownPattern } from './checks.ts';
import { chooseDatabases, chooseSource, ledgerHead } from './choose.ts';
import { chooseEntries } from './entries.ts';
import type { LedgerHead } from './ledger.ts';
import { collationNotes, localeProblems } from './locales.ts';
import { type Found, lookAt } from './look.ts';
import { planServer, type ServerPlan } from './roles.ts';
import { type PostgresSnapshot, readPostgresSources, recordedFacts } from './snapshot-source.ts';
import { type DatabaseSurvey, surveyDatabase } from './survey.ts';
import { tablespaceOfDatabase, tablespaceProblems, tablespacesOf } from './tablespaces.ts';
import type { TargetObjects } from './target-database.ts';
import { inspectServer, majorOf, type TargetServer } from './target-server.ts';
import type {
  DatabaseReport,
  DatabaseTask,
  PostgresRestoreDependencies,
  PostgresRestoreReport,
  PostgresRestoreRequest,
} from './types.ts';

/** Everything that was looked at; nothing is changed yet. */
export interface Prepared {
  readonly report: PostgresRestoreReport;
  readonly snapshot: PostgresSnapshot;
  readonly target: TargetServer;
  readonly programs: ProgramSet;
  readonly serverPlan: ServerPlan;
  /** Roles that must be there in the end. */
  readonly roles: ReadonlySet<string> | 'all';
  readonly tasks: readonly DatabaseTask[];
  /** All was done by a run before, which was only kept from tidying up. */
  readonly isFinished: boolean;
}

export async function prepare(
  opened: OpenedSnapshot,
  request: PostgresRestoreRequest,
  dependencies: PostgresRestoreDependencies,
  { reader, signal }: { readonly reader: ChunkReader; readonly signal: AbortSignal },
): Promise<Prepared> {
  const { selection } = request;
  const snapshot = chooseSource(await readPostgresSources(opened, { signal }), selection);
  const databases = chooseDatabases(snapshot, selection, dependencies.server.name);
  const head = ledgerHead(opened, snapshot, databases, request);
  const target = await inspectServer(dependencies.server, signal);
  requireNewEnough(snapshot, target);
  const programs = await findRestorePrograms(snapshot, target, dependencies, signal);
  const problems: PortolanError[] = [];
  const notes: string[] = [];
  const tasks: DatabaseTask[] = [];
  const part = partOf(selection);
  const isAll = databases.length === snapshot.end.databases.length && part.isWhole && selection.databases.length === 0;
  const roles = new Set<string>();
  const owners = new Set<string>();
  let isFinished = false;
  let money: string | undefined;
  for (const one of databases) {
    const survey = await surveyDatabase(snapshot, one.record, part, { reader, signal });
    for (const role of survey.roles) roles.add(role);
    for (const owner of survey.owners) owners.add(owner);
    if (survey.hasMoney) money = one.record.moneyLocale;
    const found = await lookAt(one, survey, head, { ...dependencies, target, signal });
    if (found.state === 'new') {
      roles.add(one.record.owner);
      owners.add(one.record.owner);
    }
    isFinished ||= found.isFinished;
    problems.push(...problemsOf(found, survey, request));
    const task = taskOf(snapshot, survey, found, head);
    for (const { kind, owner } of task.items) if (OF_OWNER.has(kind)) owners.add(owner);
    tasks.push(task);
  }
  problems.unshift(...part.unused().map(unknownPattern));
  const wanted = isAll ? 'all' : roles;
  const serverPlan = await planServer(snapshot, wanted, {
    ...{ target, reader, signal },
    tablespaces: request.noTablespaces ? new Set() : isAll ? 'all' : tablespacesOf(tasks),
  });
  const needs = collectNeeds(snapshot, tasks, serverPlan, target, request);
  problems.push(...serverProblems(target, { tasks, serverPlan, needs, owners }));
  problems.push(...(await localeProblems(target, tasks, money, signal)));
  const serverFacts = recordedFacts(snapshot, snapshot.end, reader, signal);
  problems.push(...(await tablespaceProblems(target, serverPlan.tablespaces, serverFacts, signal)));
  notes.push(...(await collationNotes(target, tasks, signal)));
  if (request.noTablespaces) notes.push(...movedNotes(tasks));
  notes.push(...notesOf(snapshot, target, programs, tasks, wanted));
  return {
    ...{ snapshot, target, programs, serverPlan, tasks, isFinished },
    roles: wanted,
    report: {
      snapshot: `${opened.found.info.writer}/${opened.found.info.sequence}`,
      source: snapshot.source,
      place: snapshot.place,
      sourceVersion: snapshot.server.serverVersion,
      targetVersion: target.version,
      programVersion: programs.version,
      user: target.user,
      databases: tasks.map(({ report }) => report),
      roles: serverPlan.roles,
      tablespaces: serverPlan.tablespaces,
      needs,
      notes,
      done: false,
      differences: [],
      problems: isFinished ? [] : problems,
    },
  };
}

/** What goes with a schema and is of the whole database by its fact: done in the name of its owner all the same. */
const OF_OWNER = new Set(['DEFAULT ACL', 'PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA']);

function requireNewEnough({ server }: PostgresSnapshot, target: TargetServer): void {
  if (majorOf(target.versionNumber) >= majorOf(server.serverVersionNumber)) return;
  throw new UseCaseError('RESTORE_SERVER_TOO_OLD', 'The server is older than the one that was backed up', {
    expected: `PostgreSQL ${majorOf(server.serverVersionNumber)} or newer`,
    found: target.version,
    at: { url: target.own.database.place },
    hint: 'Restore into a newer server: what the newer one has is not known to the older one.',
  });
}

/** From here on pg_restore sets what older servers do not know. */
const STRICT_PROGRAM_MAJOR = 17;

async function findRestorePrograms(
  { server }: PostgresSnapshot,
  target: TargetServer,
  { programs }: PostgresRestoreDependencies,
  signal: AbortSignal,
): Promise<ProgramSet> {
  const targetMajor = majorOf(target.versionNumber);
  // An archive is read by programs that are at least as new as those that wrote it.
  const major = Math.max(targetMajor, Number.parseInt(server.programVersion, 10) || 0);
  const set = await programs.find(major, { programs: ['pg_restore'], signal });
  if (targetMajor >= STRICT_PROGRAM_MAJOR || set.major < STRICT_PROGRAM_MAJOR) return set;
  throw new UseCaseError('RESTORE_SERVER_TOO_OLD', 'pg_restore of this version does not work on this server', {
    expected: `pg_restore ${major} to ${STRICT_PROGRAM_MAJOR - 1}, or a server of version ${STRICT_PROGRAM_MAJOR} or newer`,
    found: `pg_restore ${set.version} in ${set.folder}, server ${target.version}`,
    hint: `Install the client programs of PostgreSQL ${major}, or name their folder by --pg-bin.`,
  });
}

function taskOf(snapshot: PostgresSnapshot, survey: DatabaseSurvey, found: Found, head: LedgerHead): DatabaseTask {
  const { record, chosen, contents, properties } = survey;
  const { begun } = found;
  const { items: wanted, leftOut } = chooseEntries(contents.items, chosen, initialObjects(found));
  const items = begun === undefined ? wanted : contents.items.filter(({ id }) => begun.has(id));
  const tables = snapshot.tables.filter(
    ({ database, schema, table }) => database === record.name && chosen.hasRelation({ schema, name: table }),
  );
  return {
    ...{ record, chosen, properties, leftOut, head },
    tablespace: tablespaceOfDatabase(survey),
    collations: found.collations,
    reachable: found.reachable,
    items,
    contentsBytes: contents.contentsBytes,
    tables,
    report: {
      name: record.name,
      target: found.target,
      state: found.state,
      tables: tables.length,
      rows: tables.reduce((sum, { rows }) => sum + rows, 0),
      sizeBytes: tables.reduce((sum, { record: own }) => sum + Number(own?.sizeBytes ?? 0), 0),
      largeObjects: chosen.part.isWhole ? record.largeObjects : 0,
      extensions: extensionsOf(found, items),
    },
  };
}

/** Of a restore that was begun nothing is known of what was there before, and need not be: it has chosen already. */
function initialObjects({ objects, begun }: Found): TargetObjects | undefined {
  return begun === undefined ? objects : undefined;
}

function extensionsOf({ extensions }: Found, items: DatabaseTask['items']): DatabaseReport['extensions'] {
  const made = new Set(items.filter(({ kind }) => kind === 'EXTENSION').map(({ name }) => name));
  return extensions.filter(({ name }) => made.has(name));
}

function movedNotes(tasks: readonly DatabaseTask[]): readonly string[] {
  const names = [...tablespacesOf(tasks)].map(quoteName);
  return names.length === 0 ? [] : [`what was in the tablespaces ${names.join(', ')} goes into the default one`];
}

function* notesOf(
  { end, server }: PostgresSnapshot,
  target: TargetServer,
  programs: ProgramSet,
  tasks: readonly DatabaseTask[],
  roles: ReadonlySet<string> | 'all',
): Generator<string> {
  const [from, to] = [majorOf(server.serverVersionNumber), majorOf(target.versionNumber)];
  if (from !== to)
    yield `from PostgreSQL ${server.serverVersion} to ${target.version}, by pg_restore ${programs.version}`;
  if (!end.hasRolePasswords && roles !== 'all') yield 'roles that are made have no password: the snapshot has none';
  else if (!end.hasRolePasswords) yield 'roles come back without passwords: the snapshot has none';
  for (const { report, leftOut } of tasks) {
    for (const { name, version, available } of report.extensions) {
      if (available === undefined || available === version) continue;
      yield `${quoteName(report.target)}: extension ${name} ${version} becomes ${available}`;
    }
    for (const { kind, name } of leftOut) {
      const needs = kind.startsWith('PUBLICATION') ? 'a publication that is not there' : 'a table that is not restored';
      yield `${quoteName(report.target)}: ${kind.toLowerCase()} ${name} is left out: it needs ${needs}`;
    }
  }
  yield* end.notes;
}
