import type { DatabaseRecord, Fact, RestoreNeed } from '../../../formats/repository/database-record.ts';
import { factLines, leftOut, readDatabaseFacts } from './facts.ts';
import type { Leader } from './leader.ts';
import { needOf } from './needs.ts';

/** Reads the facts of a database once, as lines for the snapshot, and keeps the little of them that the record wants. */
export interface FactNotes {
  lines(): AsyncGenerator<Uint8Array>;
  count(): number;
  needs(): readonly RestoreNeed[];
  extensions(): DatabaseRecord['extensions'];
  schemas(): readonly string[];
  largeObjects(): number;
  foreignTables(): number;
}

export function createFactNotes({
  leader,
  sequences,
}: {
  readonly leader: Leader;
  readonly sequences: readonly Fact[];
}): FactNotes {
  const needs: RestoreNeed[] = [];
  const extensions: DatabaseRecord['extensions'] = [];
  const schemas: string[] = [];
  let count = 0;
  let largeObjects = 0;
  let foreignTables = 0;
  const isTrusted = (extension: string) => leader.trustedExtensions.has(extension);

  const look = (fact: Fact): void => {
    count += 1;
    const { kind, name, value } = fact;
    const [first = ''] = name;
    const need = needOf(fact, isTrusted);
    if (need !== undefined) needs.push(need);
    if (kind === 'schema') schemas.push(first);
    else if (kind === 'large-objects') largeObjects += Number(value.count);
    else if (kind === 'relation' && value.kind === 'f') foreignTables += 1;
    else if (kind === 'extension') {
      extensions.push({
        name: first,
        version: String(value.version),
        schema: String(value.schema),
        isTrusted: isTrusted(first),
      });
    }
  };
  async function* facts(): AsyncGenerator<Fact> {
    yield* readDatabaseFacts(leader.session, leftOut(leader));
    yield* sequences;
  }
  return {
    lines: () => factLines(facts(), look),
    count: () => count,
    needs: () => needs,
    extensions: () => extensions,
    schemas: () => schemas,
    largeObjects: () => largeObjects,
    foreignTables: () => foreignTables,
  };
}
