import type { Fact, RestoreNeed } from '../../../formats/repository/database-record.ts';
import type { SourceWriter } from '../../../ports/backup-source.ts';
import type { ReachableDatabase } from '../../../ports/database.ts';
import type { PostgresPrograms } from '../../../ports/postgres-programs.ts';
import { UseCaseError } from '../../errors.ts';
import { findPrograms } from './begin.ts';
import { warningsIn } from './database-notes.ts';
import { factLines, readServerFacts } from './facts.ts';
import { readServerState } from './leader.ts';
import { needOf } from './needs.ts';
import { readSettings } from './settings.ts';

export interface GlobalsResult {
  readonly globals: string;
  readonly facts: string;
  readonly factsCount: number;
  readonly hasRolePasswords: boolean;
  readonly needs: readonly RestoreNeed[];
  readonly notes: readonly string[];
  readonly sizeBytes: number;
}

/**
 * Roles, memberships, settings and tablespaces, by pg_dumpall. After the snapshots of all databases: whoever owns something in them is
 * there.
 *
 * @throws AdapterError POSTGRES_…, DATABASE_…; UseCaseError BACKUP_INCOMPLETE
 */
export async function dumpGlobals(
  settings: {
    readonly source: string;
    readonly reachable: ReachableDatabase;
    readonly programs: PostgresPrograms;
  },
  writer: SourceWriter,
  { signal }: { readonly signal: AbortSignal },
): Promise<GlobalsResult> {
  const { source, reachable } = settings;
  const names = { globals: `${source}/globals.sql`, facts: `${source}/facts.ndjson` };
  await using session = await reachable.database.open({ readOnly: true, signal });
  const server = await readServerState(session);
  for (const setting of readSettings(server)) await session.query(setting);
  const programs = await findPrograms(settings.programs, server.versionNumber, signal);
  const notes: string[] = [];
  const output = programs.output(
    {
      program: 'pg_dumpall',
      connection: reachable.connection,
      arguments: [
        '--globals-only',
        '--no-sync',
        '--no-password',
        '--encoding=UTF8',
        `--database=${reachable.name}`,
        // Hashes of passwords are for superusers alone.
        ...(server.isSuperuser ? [] : ['--no-role-passwords']),
      ],
      onMessages: (text) => notes.push(...warningsIn(text)),
    },
    { signal },
  );
  const { sizeBytes } = await writer.stream(names.globals, whole(output, reachable));
  let factsCount = 0;
  const needs: RestoreNeed[] = [];
  await session.query('begin transaction isolation level repeatable read, read only');
  const look = (fact: Fact): void => {
    factsCount += 1;
    const need = needOf(fact, () => true);
    if (need !== undefined) needs.push(need);
  };
  await writer.stream(names.facts, factLines(readServerFacts(session), look));
  await session.query('commit');
  if (!server.isSuperuser) notes.push('passwords of roles are not in the backup: the role is no superuser');
  return {
    ...names,
    factsCount,
    hasRolePasswords: server.isSuperuser,
    needs,
    notes,
    sizeBytes,
  };
}

/** The last line but for empty ones and `\unrestrict`, which newer versions add. */
const END = '-- PostgreSQL database cluster dump complete';
const TAIL_BYTES = 4096;

/** A script without its last line is a script that was cut, whatever the program said. */
async function* whole(output: AsyncIterable<Uint8Array>, { database }: ReachableDatabase): AsyncGenerator<Uint8Array> {
  let tail = Buffer.alloc(0);
  for await (const bytes of output) {
    tail = Buffer.concat([tail, bytes]).subarray(-TAIL_BYTES);
    yield bytes;
  }
  if (tail.toString('latin1').includes(END)) return;
  throw new UseCaseError('BACKUP_INCOMPLETE', 'The script of pg_dumpall has no end', {
    expected: END,
    at: { url: database.place },
    hint: 'Run the backup again.',
  });
}
