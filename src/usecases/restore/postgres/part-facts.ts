import { type QualifiedName, quoteRelation } from '../../../formats/postgres/names.ts';
import type { Fact } from '../../../formats/repository/database-record.ts';
import { DATABASE_FACTS } from '../../backup/postgres/fact-queries.ts';
import type { DatabasePart } from '../selection.ts';

const WITHIN: ReadonlyMap<string, 'database' | 'schema' | 'table'> = new Map(
  DATABASE_FACTS.map(({ kind, within }) => [kind, within]),
);

/** Which tables of a database are wanted, and what goes with them. */
export interface ChosenPart {
  readonly part: DatabasePart;
  hasRelation(relation: QualifiedName): boolean;
  hasSequence(sequence: QualifiedName): boolean;
  hasFact(fact: Fact): boolean;
}

type OwnedBy = readonly [string, string, string] | null;

/** Reads the facts once: partitions go with the tables that they are a part of, sequences with the columns that own them. */
export async function choosePart(part: DatabasePart, facts: () => AsyncIterable<Fact>): Promise<ChosenPart> {
  const tables = new Set<string>();
  const sequences = new Set<string>();
  if (!part.isWhole) {
    const partitionsOf = new Map<string, string[]>();
    const owned: (readonly [string, OwnedBy])[] = [];
    for await (const { kind, name, value } of facts()) {
      const [schema = '', table = ''] = name;
      const key = quoteRelation({ schema, name: table });
      if (kind === 'schema') part.hasSchema(schema);
      else if (kind === 'sequence') owned.push([key, value.ownedBy as OwnedBy]);
      else if (kind === 'relation') {
        if (part.namesTable({ schema, name: table })) tables.add(key);
        if (value.bound === null || value.bound === undefined) continue;
        for (const [parentSchema = '', parent = ''] of value.parents as string[][]) {
          const above = quoteRelation({ schema: parentSchema, name: parent });
          partitionsOf.set(above, [...(partitionsOf.get(above) ?? []), key]);
        }
      }
    }
    // A set gives what is added while it is gone through.
    for (const table of tables) for (const partition of partitionsOf.get(table) ?? []) tables.add(partition);
    for (const [sequence, ownedBy] of owned) {
      if (ownedBy !== null && tables.has(quoteRelation({ schema: ownedBy[0], name: ownedBy[1] })))
        sequences.add(sequence);
    }
  }
  const hasRelation = (relation: QualifiedName) =>
    part.hasSchema(relation.schema) || tables.has(quoteRelation(relation));
  const hasSequence = (name: QualifiedName) => part.hasSchema(name.schema) || sequences.has(quoteRelation(name));
  return {
    part,
    hasRelation,
    hasSequence,
    hasFact({ kind, name: [schema = '', name = ''] }) {
      if (part.isWhole) return true;
      if (kind === 'sequence') return hasSequence({ schema, name });
      const within = WITHIN.get(kind);
      if (within === 'table') return hasRelation({ schema, name });
      return within === 'schema' && part.hasSchema(schema);
    },
  };
}

/** Roles that a fact names, the server's own ones left out. */
export function* rolesIn({ kind, name, value }: Fact): Generator<string> {
  for (const role of allRolesIn(kind, name, value)) if (role !== '' && !role.startsWith('pg_')) yield role;
}

/** Whoever owns the object of a fact: it is made in that name. */
export function ownerIn({ kind, name, value }: Fact): string | undefined {
  if (kind === 'large-objects' || kind === 'default-rights') return name[0];
  return typeof value.owner === 'string' ? value.owner : undefined;
}

function* allRolesIn(kind: string, name: readonly string[], value: Fact['value']): Generator<string> {
  if (typeof value.owner === 'string') yield value.owner;
  yield* granteesIn(value.rights);
  if (kind === 'relation') {
    for (const { rights } of value.columns as unknown as { readonly rights: unknown }[]) yield* granteesIn(rights);
  } else if (kind === 'policy') {
    yield* (value.roles as string[]).filter((role) => role !== 'public');
  } else if (kind === 'user-mapping') {
    if (name[1] !== 'public') yield name[1] ?? '';
  } else if (kind === 'default-rights' || kind === 'database-role-setting') yield name[0] ?? '';
  else if (kind === 'large-objects') {
    yield name[0] ?? '';
    yield* granteesIn(name[1] === '' ? null : JSON.parse(name[1] ?? 'null'));
  }
}

/** Of `ROLE=RIGHT`: a right has no equals sign in it. */
function* granteesIn(rights: unknown): Generator<string> {
  if (!Array.isArray(rights)) return;
  for (const right of rights as string[]) yield right.slice(0, right.lastIndexOf('='));
}
