import type { ArchiveItem } from '../../../formats/postgres/archive.ts';
import type { ChosenPart } from './part-facts.ts';
import type { TargetObjects } from './target-database.ts';

export interface ChosenEntries {
  /** In the order of the archive. */
  readonly items: readonly ArchiveItem[];
  /** Objects that are at the target already, although they are to be made. */
  readonly conflicts: string[];
  /** What ties a table that is wanted to one that is not, or hangs on one that is not. */
  readonly leftOut: readonly ArchiveItem[];
}

/** What stands beside an object, and goes where it goes. */
const BESIDE = new Set(['ACL', 'COMMENT', 'SECURITY LABEL', 'SEQUENCE OWNED BY', 'SEQUENCE SET', 'TABLE DATA']);
const RELATIONS = new Set(['TABLE', 'VIEW', 'MATERIALIZED VIEW', 'FOREIGN TABLE']);
/** Of a table; in an archive they depend on it. */
const OF_TABLES = new Set([
  ...['DEFAULT', 'CONSTRAINT', 'CHECK CONSTRAINT', 'INDEX', 'TRIGGER', 'RULE', 'POLICY', 'ROW SECURITY', 'STATISTICS'],
  ...['MATERIALIZED VIEW DATA', 'TABLE ATTACH', 'INDEX ATTACH', 'FK CONSTRAINT'],
]);
/** They need another table, or an index of one, beside their own. */
const TIES = new Set(['TABLE ATTACH', 'INDEX ATTACH', 'FK CONSTRAINT']);
/** A table, or a schema, of a publication: nothing without the publication, which is in no schema. */
const PUBLISHED = new Set(['PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA']);
/** What a table may need to be made at all. */
const SUPPORTS = new Set([
  ...['SCHEMA', 'EXTENSION', 'TYPE', 'SHELL TYPE', 'DOMAIN', 'COLLATION', 'FUNCTION', 'AGGREGATE', 'OPERATOR'],
  ...['OPERATOR CLASS', 'OPERATOR FAMILY', 'PROCEDURAL LANGUAGE', 'SEQUENCE', 'TEXT SEARCH CONFIGURATION'],
  ...['TEXT SEARCH DICTIONARY', 'TEXT SEARCH PARSER', 'TEXT SEARCH TEMPLATE'],
]);

/** Which entries of an archive are restored. */
export function chooseEntries(
  all: readonly ArchiveItem[],
  chosen: ChosenPart,
  target: TargetObjects | undefined,
): ChosenEntries {
  const items = all.filter(({ kind }) => !kind.startsWith('DATABASE'));
  const ids = chosen.part.isWhole ? new Set(items.map(({ id }) => id)) : idsOfPart(all, chosen);
  const isThere = ({ kind, schema, name }: ArchiveItem) => target?.has(kind, schema, name) ?? false;
  // A schema or an extension that is there stays as it is, and so does what only supports what is wanted.
  const leftAlone = new Set(
    items.filter((item) => ids.has(item.id) && isThere(item) && mayBeThere(item, chosen)).map(({ id }) => id),
  );
  const isThereBefore = (schema: string) => target?.isEmpty === false && target.has('SCHEMA', '', schema);
  const isBesideThem = ({ kind, name, dependencies }: ArchiveItem) =>
    BESIDE.has(kind) &&
    ((dependencies.some((id) => leftAlone.has(id)) && !target?.isEmpty) || isThereBefore(schemaBeside(name) ?? ''));
  // What is made later in a schema that is there is not the snapshot's to say.
  const isOfTheirs = ({ kind, schema }: ArchiveItem) => kind === 'DEFAULT ACL' && isThereBefore(schema);
  const publications = new Map(items.flatMap((item) => (item.kind === 'PUBLICATION' ? [[item.id, item]] : [])));
  const lacksPublication = ({ kind, dependencies }: ArchiveItem) =>
    PUBLISHED.has(kind) &&
    dependencies.some((id) => {
      const publication = publications.get(id);
      return publication !== undefined && !ids.has(id) && !isThere(publication);
    });
  const wanted = items.filter(
    (item) => ids.has(item.id) && !isBesideThem(item) && !isOfTheirs(item) && !lacksPublication(item),
  );
  const ownFunctions = new Set(
    items.flatMap(({ id, kind, schema }) => (kind === 'FUNCTION' && chosen.part.hasSchema(schema) ? [id] : [])),
  );
  return {
    items: wanted.filter((item) => !leftAlone.has(item.id) || isDefault(item)),
    conflicts: wanted
      .filter((item) => isThere(item) && !leftAlone.has(item.id))
      .map(({ kind, schema, name }) => `${kind.toLowerCase()} ${schema === '' ? '' : `${schema}.`}${name}`),
    leftOut: chosen.part.isWhole
      ? []
      : items.filter((item) => isTorn(item) || (ids.has(item.id) && lacksPublication(item))),
  };

  /** Its other half is not restored: a table, or of a trigger the table, whose function is. */
  function isTorn({ id, kind, dependencies }: ArchiveItem): boolean {
    if (ids.has(id)) return false;
    if (TIES.has(kind)) return dependencies.some((other) => ids.has(other));
    return kind === 'TRIGGER' && dependencies.some((other) => ownFunctions.has(other));
  }
}

/** pg_dump writes the schema public without making it; what stands beside it is the owner's wish. */
function isDefault({ kind, name }: ArchiveItem): boolean {
  return kind === 'SCHEMA' && name === 'public';
}

function mayBeThere({ kind, schema, name }: ArchiveItem, { part, hasSequence }: ChosenPart): boolean {
  if (kind === 'SCHEMA' || kind === 'EXTENSION') return true;
  if (part.hasSchema(schema) || RELATIONS.has(kind)) return false;
  return kind !== 'SEQUENCE' || !hasSequence({ schema, name });
}

function idsOfPart(items: readonly ArchiveItem[], { part, hasRelation, hasSequence }: ChosenPart): Set<number> {
  const byId = new Map(items.map((item) => [item.id, item]));
  const ids = new Set<number>();
  for (const { id, kind, schema, name } of items) {
    if (BESIDE.has(kind) || OF_TABLES.has(kind)) continue;
    if (kind === 'SCHEMA' ? part.hasSchema(name) : schema !== '' && part.hasSchema(schema)) ids.add(id);
    else if (RELATIONS.has(kind) && hasRelation({ schema, name })) ids.add(id);
    else if (kind === 'SEQUENCE' && hasSequence({ schema, name })) ids.add(id);
  }
  // In the order of the archive: what something depends on comes first.
  for (const { id, kind, dependencies } of items) {
    if (!OF_TABLES.has(kind)) continue;
    const needed = dependencies.filter((other) => {
      const needs = byId.get(other)?.kind ?? '';
      return RELATIONS.has(needs) || needs === 'CONSTRAINT' || needs === 'INDEX';
    });
    const isIn = TIES.has(kind) ? needed.every((other) => ids.has(other)) : needed.some((other) => ids.has(other));
    if (needed.length > 0 && isIn) ids.add(id);
  }
  // A set gives what is added while it is gone through.
  for (const id of ids) {
    for (const other of byId.get(id)?.dependencies ?? []) if (SUPPORTS.has(byId.get(other)?.kind ?? '')) ids.add(other);
  }
  for (const { id, kind, schema, name, dependencies } of items) {
    if (!BESIDE.has(kind) || dependencies.length === 0) continue;
    const known = dependencies.filter((other) => byId.has(other));
    const own = schema === '' ? schemaBeside(name) : schema;
    // What every database has, such as the schema public, is in an archive only by what stands beside it.
    const isIn = known.length === 0 ? own !== undefined && part.hasSchema(own) : known.every((other) => ids.has(other));
    if (isIn) ids.add(id);
  }
  return ids;
}

/** Of `SCHEMA NAME`, as rights and comments are called. */
function schemaBeside(name: string): string | undefined {
  return /^SCHEMA (.+)$/s.exec(name)?.[1];
}
