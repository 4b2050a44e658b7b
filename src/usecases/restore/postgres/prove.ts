import type { Fact } from '../../../formats/repository/database-record.ts';
import type { ChunkReader } from '../../../ports/chunks.ts';
import { readServerFacts, sqlName } from '../../backup/postgres/facts.ts';
import { readServerState } from '../../backup/postgres/leader.ts';
import { readSettings } from '../../backup/postgres/settings.ts';
import { createComparable } from './comparable.ts';
import type { Prepared } from './prepare.ts';
import { changeOf, type Difference, proveFacts, proveRows } from './proof.ts';
import { recordedFacts } from './snapshot-source.ts';
import { majorOf } from './target-server.ts';
import type { DatabaseTask, PostgresRestoreRequest } from './types.ts';

interface ProofOptions {
  readonly reader: ChunkReader;
  readonly jobs: number;
  readonly signal: AbortSignal;
}

/** Rows, owners, rights, policies, sequences and everything else that has a fact, against those of the snapshot. */
export async function proveDatabase(
  { snapshot, target }: Prepared,
  task: DatabaseTask,
  { intoExisting }: PostgresRestoreRequest,
  { reader, jobs, signal }: ProofOptions,
): Promise<readonly Difference[]> {
  const { chosen, reachable, record, tables, leftOut, report } = task;
  const untied = new Set(leftOut.map(({ schema, name }) => JSON.stringify([schema, name])));
  const majors = { source: majorOf(snapshot.server.serverVersionNumber), target: majorOf(target.versionNumber) };
  const facts = await proveFacts({
    ...{ reachable, signal },
    recorded: () => recordedFacts(snapshot, record, reader, signal),
    isWanted: (fact) =>
      chosen.hasFact(fact) && !untied.has(JSON.stringify([fact.name[0], fact.name.slice(1).join(' ')])),
    comparable: createComparable(majors, report.state === 'new' ? 'new' : 'there'),
    mayHaveMore: intoExisting || !chosen.part.isWhole,
  });
  return [...(await proveRows({ reachable, tables, jobs, signal })), ...facts];
}

/** Roles and memberships. Those that were there before are as they were: that they differ is worth a note. */
export async function proveServer(
  { snapshot, target, roles, serverPlan }: Prepared,
  { reader, signal }: ProofOptions,
): Promise<{ readonly differences: readonly Difference[]; readonly notes: readonly string[] }> {
  const present = new Map<string, Fact>();
  {
    await using session = await target.own.database.open({ readOnly: true, signal });
    for (const setting of readSettings(await readServerState(session))) await session.query(setting);
    await session.query('begin transaction isolation level repeatable read, read only');
    for await (const fact of readServerFacts(session)) present.set(JSON.stringify([fact.kind, ...fact.name]), fact);
    await session.query('commit');
  }
  const made = new Set(serverPlan.roles);
  const differences: Difference[] = [];
  const notes: string[] = [];
  for await (const fact of recordedFacts(snapshot, snapshot.end, reader, signal)) {
    const { kind, name } = fact;
    const isWanted = roles === 'all' || (kind === 'role' && roles.has(name[0] ?? ''));
    if (!isWanted || kind === 'tablespace') continue;
    const found = present.get(JSON.stringify([kind, ...name]));
    const what = found === undefined ? 'is missing' : changeOf(fact.value, found.value);
    if (what === '') continue;
    const isNew = name.some((role) => made.has(role)) || (kind === 'role' && found === undefined);
    if (isNew) differences.push({ kind, name: sqlName(name), what });
    else notes.push(`${kind} ${sqlName(name)} was there before and was left as it is: ${what}`);
  }
  return { differences, notes };
}
