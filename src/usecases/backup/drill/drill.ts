import type { PortolanError } from '../../../core/errors.ts';
import type { DrillCheck } from '../../../formats/postgres/drill-checks.ts';
import { nameFromSql } from '../../../formats/postgres/names.ts';
import { CHUNK_RECORD_BYTES } from '../../../formats/repository/chunk-table.ts';
import type { SigningKey } from '../../../formats/sigstore/cosign-key.ts';
import type { ChunkReader, ChunkReaderSettings } from '../../../ports/chunks.ts';
import type { PostgresPrograms } from '../../../ports/postgres-programs.ts';
import type { Progress } from '../../../ports/progress.ts';
import type { ThrowAwayPostgres } from '../../../ports/throw-away-postgres.ts';
import { UseCaseError } from '../../errors.ts';
import { isFinding } from '../../repository/chains.ts';
import { isCode } from '../../repository/objects.ts';
import type { OpenedRepository } from '../../repository/open.ts';
import { type OpenedSnapshot, type OpeningOptions, openSnapshot } from '../../repository/open-snapshot.ts';
import { putVerification } from '../../repository/put-verification.ts';
import { requireRole } from '../../repository/roles.ts';
import { ALLOWANCES, type Allowance } from '../../restore/postgres/needs.ts';
import { restoreToPostgres } from '../../restore/postgres/restore-postgres.ts';
import { type PostgresSnapshot, readPostgresSources } from '../../restore/postgres/snapshot-source.ts';
import { majorOf } from '../../restore/postgres/target-server.ts';
import type { DatabaseReport } from '../../restore/postgres/types.ts';
import { type CheckResult, requireDatabases, runChecks } from './run-checks.ts';

export interface DrillRequest {
  /** As `findSnapshot` takes it. */
  readonly snapshot: string;
  readonly identities: readonly string[];
  /** A verifier's. */
  readonly signer: SigningKey;
  /** What the person asks of the restored databases. */
  readonly checks: readonly DrillCheck[];
  /** Version of this program. */
  readonly program: string;
}

export interface DrillDependencies {
  readonly postgres: ThrowAwayPostgres;
  readonly programs: PostgresPrograms;
  readonly createChunkReader: (settings: ChunkReaderSettings) => Promise<ChunkReader>;
  readonly progress: Progress;
}

export interface DrilledServer {
  readonly source: string;
  /** Where it was read from. */
  readonly place: string;
  /** Of the server that it was restored into. */
  readonly version: string;
  readonly databases: readonly Pick<DatabaseReport, 'name' | 'tables' | 'rows' | 'sizeBytes' | 'largeObjects'>[];
  readonly notes: readonly string[];
}

export interface DrillReport {
  /** `WRITER/SEQUENCE`. */
  readonly snapshot: string;
  readonly servers: readonly DrilledServer[];
  /** Of sources that are no databases, which were opened and checked, and restored nowhere. */
  readonly otherChunks: number;
  readonly checks: readonly CheckResult[];
  /** What is not right of the snapshot. Signed as bad, unless it is empty. */
  readonly problems: readonly PortolanError[];
  /** What is not right of the repository beside it: nothing is signed as good then. */
  readonly otherProblems: readonly PortolanError[];
  /** The word that was signed. */
  readonly signed: 'good' | 'bad' | undefined;
}

/**
 * Restores a snapshot into servers that it starts and throws away, compares, asks, and signs what came of it. Only what speaks
 * against the snapshot is a result; what keeps the drill from its work is thrown, and nothing is signed.
 *
 * @throws UseCaseError ROLE_MISSING, SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS, RUN_KEY_NOT_FOR_US, NOTHING_TO_DRILL,
 *   DRILL_DATABASE_UNKNOWN, RESTORE_…; AdapterError POSTGRES_…, DATABASE_…, STORE_…
 */
export async function drillSnapshot(
  repository: OpenedRepository,
  request: DrillRequest,
  dependencies: DrillDependencies,
  { beforeOpening, ...options }: Pick<OpeningOptions, 'beforeOpening'> & { readonly signal: AbortSignal },
): Promise<DrillReport> {
  // Before hours of work.
  requireRole(repository.roster.document, 'verifiers', request.signer);
  const opening = beforeOpening === undefined ? options : { ...options, beforeOpening };
  const opened = await openSnapshot(repository, request.snapshot, request.identities, opening);
  const { info } = opened.found;
  const found = await tryOut(opened, request, dependencies, options);
  const { problems } = found;
  const signed = problems.length > 0 ? 'bad' : opened.problems.length > 0 ? undefined : 'good';
  if (signed !== undefined) {
    const word = {
      ...({ kind: 'drill', result: signed, readPercent: signed === 'good' ? 100 : 0, indexes: false } as const),
      program: request.program,
      // The storage reads it: no names of checks, tables or databases.
      findings: problems.map(({ code }) => code).slice(0, FINDINGS_MAX),
    };
    await putVerification(repository, info, word, request.signer, options);
  }
  return { snapshot: `${info.writer}/${info.sequence}`, ...found, otherProblems: opened.problems, signed };
}

const FINDINGS_MAX = 1000;

/** In a server that is thrown away everything is allowed but what lies outside of it. */
const ALLOWED: ReadonlySet<Allowance> = new Set(
  (Object.keys(ALLOWANCES) as Allowance[]).filter((one) => one !== 'tablespaces'),
);

type TriedOut = Pick<DrillReport, 'servers' | 'otherChunks' | 'checks' | 'problems'>;

async function tryOut(
  opened: OpenedSnapshot,
  request: DrillRequest,
  dependencies: DrillDependencies,
  options: { readonly signal: AbortSignal },
): Promise<TriedOut> {
  const servers: DrilledServer[] = [];
  const checks: CheckResult[] = [];
  const problems: PortolanError[] = [];
  let otherChunks = 0;
  try {
    const sources = await readPostgresSources(opened, options);
    if (sources.length === 0) throw nothingToDrill();
    requireDatabases(request.checks, [...new Set(sources.flatMap(databasesOf))]);
    for (const source of sources) {
      const tried = await tryServer(opened, source, request.checks, dependencies, options);
      servers.push(tried.server);
      checks.push(...tried.checks);
      problems.push(...tried.problems);
    }
    otherChunks = await checkOthers(opened, new Set(sources.map(({ source }) => source)), dependencies, options);
  } catch (error) {
    options.signal.throwIfAborted();
    if (!speaksAgainstSnapshot(error)) throw error;
    problems.push(error);
  }
  problems.push(...checks.filter(({ ok }) => !ok).map(checkFailed));
  return { servers, otherChunks, checks, problems };
}

interface TriedServer {
  readonly server: DrilledServer;
  readonly checks: readonly CheckResult[];
  readonly problems: readonly PortolanError[];
}

async function tryServer(
  opened: OpenedSnapshot,
  source: PostgresSnapshot,
  checks: readonly DrillCheck[],
  { postgres, programs, createChunkReader, progress }: DrillDependencies,
  options: { readonly signal: AbortSignal },
): Promise<TriedServer> {
  const major = majorOf(source.server.serverVersionNumber);
  progress.note(`starting a throw-away PostgreSQL ${major} for ${source.place}`);
  await warnOfSpace(source, postgres, progress);
  await using server = await postgres.start({ major, superuser: superuserOf(source) }, options);
  const report = await restoreToPostgres(
    opened,
    {
      selection: { sources: [source.source], databases: [], schemas: [], tables: [] },
      allow: ALLOWED,
      ...{ intoExisting: false, noTablespaces: true, plan: false },
    },
    { server: server.server, programs, createChunkReader, progress },
    options,
  );
  // What stands against it before anything is done is this machine's: an extension that is not installed here.
  if (!report.done) throw notDone(report.problems);
  return {
    server: {
      ...{ source: source.source, place: source.place, version: server.version, notes: report.notes },
      databases: report.databases.map(({ name, tables, rows, sizeBytes, largeObjects }) => ({
        ...{ name, tables, rows, sizeBytes, largeObjects },
      })),
    },
    checks: await runChecks(checksOf(source, checks), databasesOf(source), server, options),
    problems: report.problems,
  };
}

/** A guess: indexes take room besides, and rows may be compressed in the server. */
async function warnOfSpace({ end }: PostgresSnapshot, postgres: ThrowAwayPostgres, progress: Progress): Promise<void> {
  const sizeBytes = end.databases.reduce((sum, database) => sum + database.sizeBytes, 0);
  const free = await postgres.freeBytes();
  if (free < 1.5 * sizeBytes) {
    progress.warn(`room may be short: ${free} bytes are free, and the rows alone have ${sizeBytes}; see --work-dir`);
  }
}

/** Those that name a database of this server; without a name, its only one. */
function checksOf(source: PostgresSnapshot, checks: readonly DrillCheck[]): readonly DrillCheck[] {
  const databases = new Set(databasesOf(source));
  return checks.filter(({ database }) => database === undefined || databases.has(database));
}

function databasesOf({ end }: PostgresSnapshot): readonly string[] {
  return end.databases.map(({ name }) => name);
}

/** The one who made the server that was backed up, as far as can be told: what the server made by itself belongs to it. */
function superuserOf({ server, end }: PostgresSnapshot): string {
  const all = end.needs.filter(({ kind }) => kind === 'superuser-role').map(({ name }) => nameFromSql(name));
  if (all.includes(USUAL_SUPERUSER) || all.length === 0) return USUAL_SUPERUSER;
  return server.isSuperuser ? server.user : (all[0] as string);
}

const USUAL_SUPERUSER = 'postgres';

/** Every chunk of the sources that are no databases. */
async function checkOthers(
  opened: OpenedSnapshot,
  databases: ReadonlySet<string>,
  { createChunkReader }: DrillDependencies,
  options: { readonly signal: AbortSignal },
): Promise<number> {
  let chunks = 0;
  const reader = await createChunkReader({ ...opened.reading, ...options });
  try {
    for await (const entry of opened.contents(options)) {
      if (entry.entry !== 'stream' || databases.has(entry.source)) continue;
      await reader.check(entry.chunks, options);
      chunks += entry.chunks.length / CHUNK_RECORD_BYTES;
    }
  } finally {
    await reader.close();
  }
  return chunks;
}

/** Damage, and what contradicts itself. A server that fails, a full disk or a lost connection say nothing of the snapshot. */
function speaksAgainstSnapshot(error: unknown): error is PortolanError {
  return isFinding(error) || isCode(error, 'CHUNK_DAMAGED', 'SNAPSHOT_NOT_RIGHT');
}

function checkFailed({ name, database, found }: CheckResult): UseCaseError {
  return new UseCaseError('DRILL_CHECK_FAILED', `${database}: ${name}`, {
    expected: 'true',
    ...(found === undefined ? {} : { found }),
    hint: 'Ask the same of the database that was backed up: either it is not right there, or the backup is not.',
  });
}

function nothingToDrill(): UseCaseError {
  return new UseCaseError('NOTHING_TO_DRILL', 'the snapshot has no database', {
    hint: 'Name another snapshot; `portolan backup check --read-data 100% -i` reads what is in files.',
  });
}

function notDone(problems: readonly PortolanError[]): PortolanError {
  const [first] = problems;
  if (problems.length === 1 && first !== undefined) return first;
  return new UseCaseError('DRILL_NOT_DONE', 'The snapshot could not be restored on this machine', {
    hint: 'Mend what is named, and run the command again.',
    others: problems,
  });
}
