import type { ArchiveContents } from '../../../formats/postgres/archive.ts';
import { readArchiveContents } from '../../../formats/postgres/archive.ts';
import type { DatabaseRecord, Fact } from '../../../formats/repository/database-record.ts';
import type { ChunkReader } from '../../../ports/chunks.ts';
import type { DatabasePart } from '../selection.ts';
import { type ChosenPart, choosePart, ownerIn, rolesIn } from './part-facts.ts';
import { type PostgresSnapshot, recordedFacts, streamOf } from './snapshot-source.ts';

/** What the snapshot says of one database, as far as it is wanted. */
export interface DatabaseSurvey {
  readonly record: DatabaseRecord;
  readonly chosen: ChosenPart;
  readonly contents: ArchiveContents;
  /** That own something, or are named in rights and policies. */
  readonly roles: ReadonlySet<string>;
  readonly owners: ReadonlySet<string>;
  readonly hasMoney: boolean;
  readonly properties: { readonly database: Fact | undefined; readonly roleSettings: readonly Fact[] };
}

export async function surveyDatabase(
  snapshot: PostgresSnapshot,
  record: DatabaseRecord,
  part: DatabasePart,
  { reader, signal }: { readonly reader: ChunkReader; readonly signal: AbortSignal },
): Promise<DatabaseSurvey> {
  const facts = () => recordedFacts(snapshot, record, reader, signal);
  const chosen = await choosePart(part, facts);
  const roles = new Set<string>();
  const owners = new Set<string>();
  const roleSettings: Fact[] = [];
  let database: Fact | undefined;
  let hasMoney = false;
  for await (const fact of facts()) {
    if (!chosen.hasFact(fact)) continue;
    for (const role of rolesIn(fact)) roles.add(role);
    const owner = ownerIn(fact);
    if (owner !== undefined && !owner.startsWith('pg_')) owners.add(owner);
    if (fact.kind === 'database') database = fact;
    else if (fact.kind === 'database-role-setting') roleSettings.push(fact);
    else if (fact.kind === 'relation') hasMoney ||= hasMoneyColumn(fact);
  }
  const contents = await readArchiveContents(reader.stream(streamOf(snapshot, record.archive).chunks, { signal }));
  return { record, chosen, contents, roles, owners, hasMoney, properties: { database, roleSettings } };
}

function hasMoneyColumn({ value }: Fact): boolean {
  return (value.columns as unknown as { readonly type: string }[]).some(({ type }) => /^money\b/.test(type));
}
