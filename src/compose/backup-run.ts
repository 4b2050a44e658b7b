import { realpath } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { createChunkWriter } from '../adapters/chunk-writer/writer.ts';
import { createFileTreeReader } from '../adapters/file-tree/reader.ts';
import { readSmallFile } from '../adapters/files/small-file.ts';
import { filesCacheOpener } from '../adapters/files-cache/files-cache.ts';
import { createDatabaseServer } from '../adapters/postgres/server.ts';
import { createPostgresPrograms } from '../adapters/postgres-programs/programs.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { decodeTableCounts } from '../formats/repository/database-record.ts';
import { decodeFilesCounts } from '../formats/repository/files-record.ts';
import { decodeWriterKey, WRITER_KEY_MAX_BYTES, type WriterKey } from '../formats/repository/writer-key.ts';
import type { BackupSource } from '../ports/backup-source.ts';
import type { FileTreeReader } from '../ports/file-tree.ts';
import type { TargetState } from '../ports/target-state.ts';
import { createFilesSource } from '../usecases/backup/files/source.ts';
import { createPostgresSource } from '../usecases/backup/postgres/source.ts';
import type { AskRoles } from '../usecases/backup/reader-roles.ts';
import { type RunReport, runBackup } from '../usecases/backup/run.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { isCode } from '../usecases/repository/objects.ts';
import { openIdentityProvider, projectOfRoles } from './identity.ts';
import { type DatabaseRequest, databaseSettings } from './migrate.ts';
import { openPlace, type RepositoryOptions, type RepositoryPlace, type Running, storeOfRuns } from './repository.ts';
import { openSigner, type SignerSettings } from './repository-signer.ts';
import { accountOf } from './storage-identity.ts';

export interface BackupRunSettings extends Omit<RepositoryOptions, 'trust' | 'checkpoint'> {
  readonly writerKey?: string | undefined;
  readonly signer: SignerSettings;
  readonly databases: readonly DatabaseRequest[];
  /** Every database of the servers, instead of the one of the address. */
  readonly allDatabases: boolean;
  readonly excludeSchemas: readonly string[];
  readonly excludeTables: readonly string[];
  readonly excludeRows: readonly string[];
  readonly profile?: 'supabase' | undefined;
  /** Folders, as typed. */
  readonly files: readonly string[];
  /** Patterns (src/usecases/backup/files/exclusions.ts), for all of them. */
  readonly excludeFiles: readonly string[];
  readonly oneFileSystem: boolean;
  /** Those too that look as they did in the run before. */
  readonly rereadFiles: boolean;
  /** A folder with the PostgreSQL programs. */
  readonly pgBin?: string | undefined;
  readonly tags: readonly string[];
  readonly hold: boolean;
  readonly full: boolean;
  readonly fullEveryMs?: number | undefined;
  readonly program: string;
  readonly lockWaitMs: number;
  /** How old the identity provider's last word about roles may be before that is warned of. */
  readonly rolesMaxAgeMs: number;
  /** No roster before it is believed. */
  readonly minimumEpoch?: number | undefined;
}

export interface BackupRunOutcome extends RunReport {
  readonly place: string;
}

export async function composeBackupRun(settings: BackupRunSettings, running: Running): Promise<BackupRunOutcome> {
  const { progress, signal, now, cwd } = running;
  await using place = await openPlace(settings, running);
  await using files = createFileTreeReader();
  const writerKey = await readWriterKey(place, settings.writerKey, cwd);
  const signer = await openSigner(place, settings.signer, running);
  const askRoles = await rolesAsker(writerKey, settings, running);
  const state = place.memory.ofWriter(writerKey.repository, writerKey.writer);
  const counts = new Map<string, unknown>();
  const sources: BackupSource[] = [];
  for (const [index, database] of settings.databases.entries()) {
    const name = nameOf('postgres', index);
    sources.push(await postgresSource(name, database, settings, state, running, (seen) => counts.set(name, seen)));
  }
  for (const [index, folder] of settings.files.entries()) {
    const name = nameOf('files', index);
    const onCounts = (seen: unknown) => void counts.set(name, seen);
    sources.push(await filesSource(name, resolve(cwd, folder), files, settings, place, state, running, onCounts));
  }
  const report = await runBackup(
    {
      writerKey,
      signer,
      sources,
      tags: settings.tags,
      hold: settings.hold,
      full: settings.full,
      fullEveryMs: settings.fullEveryMs,
      host: hostname(),
      program: settings.program,
      lockWaitMs: settings.lockWaitMs,
      rolesMaxAgeMs: settings.rolesMaxAgeMs,
      minimumEpoch: settings.minimumEpoch,
    },
    {
      store: storeOfRuns(place, settings, writerKey.repository, running),
      memory: place.memory,
      createChunkWriter,
      progress,
      now,
      askRoles,
    },
    { signal },
  );
  // After the snapshot: counts of a run that failed say nothing.
  for (const [name, seen] of counts) await writeCounts(state, name, seen);
  return { ...report, place: place.store.place };
}

/** `undefined` where the root pins no ZITADEL, or no account was given to ask it as. */
async function rolesAsker(
  { root }: WriterKey,
  settings: BackupRunSettings,
  running: Running,
): Promise<AskRoles | undefined> {
  const account = await accountOf(settings, running.cwd);
  const issuer = root?.issuer;
  const project = issuer === undefined ? undefined : projectOfRoles(issuer);
  if (account === undefined || issuer === undefined || project === undefined) return undefined;
  const { url, readerRole: role, organization } = issuer;
  return async (subjects, options) => {
    const provider = await openIdentityProvider(url, settings, running);
    try {
      return await provider.rolesOf({ account, subjects, project, role, organization }, options);
    } finally {
      await provider.close();
    }
  };
}

/** The first of a kind has its name alone. */
function nameOf(kind: 'postgres' | 'files', index: number): string {
  return index === 0 ? kind : `${kind}-${index + 1}`;
}

async function filesSource(
  name: string,
  folder: string,
  files: FileTreeReader,
  settings: BackupRunSettings,
  { store }: RepositoryPlace,
  state: TargetState,
  { signal, progress, now }: Running,
  onCounts: (counts: unknown) => void,
): Promise<BackupSource> {
  const countsBefore = await readCounts(state, name, decodeFilesCounts, signal);
  return createFilesSource({
    name,
    folder,
    files,
    exclude: settings.excludeFiles,
    oneFileSystem: settings.oneFileSystem,
    leaveOut: await repositoryWithin(folder, store.place),
    ...(countsBefore === undefined ? {} : { countsBefore }),
    onCounts,
    openCache: filesCacheOpener({
      path: join(state.place, `${name}.cache`),
      scope: JSON.stringify({ writer: state.place, folder }),
      isUsed: !settings.rereadFiles,
      onProblem: (error) =>
        progress.note(
          `files are read again by the next run: ${error instanceof Error ? error.message : String(error)}`,
        ),
    }),
    now,
  });
}

/** A repository that lies in the folder would be backed up into itself. `place` is a path, or the address of a bucket. */
async function repositoryWithin(folder: string, place: string): Promise<ReadonlyMap<string, string>> {
  const [from, to] = await Promise.all([folder, place].map((path) => realpath(path).catch(() => path)));
  const path = relative(from as string, to as string);
  const isWithin = path !== '' && path !== '..' && !path.startsWith('../') && !path.startsWith('/');
  return new Map(isWithin ? [[path, 'it is the repository']] : []);
}

async function postgresSource(
  name: string,
  database: DatabaseRequest,
  settings: BackupRunSettings,
  state: TargetState,
  { env, cwd, signal }: Running,
  onCounts: (counts: unknown) => void,
): Promise<BackupSource> {
  const connection = databaseSettings(database);
  const { host, port, name: databaseName } = connection.address;
  const countsBefore = await readCounts(state, name, decodeTableCounts, signal);
  return createPostgresSource({
    name,
    place: `${host}:${port}/${settings.allDatabases ? '' : databaseName}`,
    server: createDatabaseServer(connection),
    programs: createPostgresPrograms({
      temporaryFolder: tmpdir(),
      ...(settings.pgBin === undefined ? {} : { folder: resolve(cwd, settings.pgBin) }),
      ...(env.PATH === undefined ? {} : { searchPath: env.PATH }),
    }),
    ...(settings.allDatabases ? { databases: 'all' } : {}),
    exclude: {
      schemas: settings.excludeSchemas,
      tables: settings.excludeTables,
      tableRows: settings.excludeRows,
    },
    ...(settings.profile === undefined ? {} : { profile: settings.profile }),
    ...(countsBefore === undefined ? {} : { countsBefore }),
    onCounts,
  });
}

/** The writer key file that was named, else the one that `backup init` left. @throws UseCaseError WRITER_KEY_MISSING */
export async function readWriterKey(
  { places, store }: RepositoryPlace,
  named: string | undefined,
  cwd: string,
): Promise<WriterKey> {
  const path = named === undefined ? places.writerKey : resolve(cwd, named);
  const bytes =
    named === undefined
      ? await readSmallFile(path, WRITER_KEY_MAX_BYTES)
      : await createProjectFiles().read(path, WRITER_KEY_MAX_BYTES);
  if (bytes !== undefined) return decodeWriterKey(bytes, path);
  throw new UseCaseError('WRITER_KEY_MISSING', `this machine has no writer key for ${store.place}`, {
    expected: path,
    hint: 'Give --writer-key FILE: `backup init` makes one for the first writer, `keys approve` for every other.',
  });
}

/** What the run before counted, kept on this machine: a table that lost its rows is seen by it, a folder that is not mounted. */
async function readCounts<T>(
  state: TargetState,
  source: string,
  decode: (value: unknown) => T,
  signal: AbortSignal,
): Promise<T | undefined> {
  const bytes = await state.read(countsDocument(source), { signal });
  if (bytes === undefined) return undefined;
  try {
    return decode(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    // Of another version: the next run has them again.
    return undefined;
  }
}

async function writeCounts(state: TargetState, source: string, counts: unknown): Promise<void> {
  try {
    await state.write(countsDocument(source), Buffer.from(JSON.stringify(counts)));
  } catch (error) {
    // More tables than fit: the sizes of the run are compared all the same.
    if (!isCode(error, 'TARGET_STATE_TOO_LARGE')) throw error;
    await state.remove(countsDocument(source));
  }
}

function countsDocument(source: string): string {
  return `counts.${source}`;
}
