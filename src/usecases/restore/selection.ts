import type { QualifiedName } from '../../formats/postgres/names.ts';
import { parseSchemaPattern, parseTablePattern } from '../../formats/postgres/pattern.ts';

/** What of a snapshot is wanted; everything where a list is empty. */
export interface RestoreSelection {
  /** By their names in the snapshot. */
  readonly sources: readonly string[];
  /** By their names in the snapshot. */
  readonly databases: readonly string[];
  /** Patterns: see src/formats/postgres/pattern.ts. */
  readonly schemas: readonly string[];
  readonly tables: readonly string[];
}

export interface DatabasePart {
  /** All of the database, with its own properties and what stands in no schema. */
  readonly isWhole: boolean;
  /** The schema with everything in it. */
  hasSchema(schema: string): boolean;
  /** Named by itself. */
  namesTable(table: QualifiedName): boolean;
  /** Patterns that have fitted nothing so far. */
  unused(): readonly string[];
}

/** @throws FormatError DATABASE_PATTERN_INVALID */
export function partOf({ schemas, tables }: RestoreSelection): DatabasePart {
  const ofSchemas = schemas.map(parseSchemaPattern);
  const ofTables = tables.map(parseTablePattern);
  const isWhole = schemas.length === 0 && tables.length === 0;
  const used = new Set<string>();
  const any = (patterns: typeof ofSchemas, schema: string, name: string): boolean => {
    const fitting = patterns.filter((pattern) => pattern.fits(schema, name));
    for (const { text } of fitting) used.add(text);
    return fitting.length > 0;
  };
  return {
    isWhole,
    hasSchema: (schema) => isWhole || any(ofSchemas, schema, ''),
    namesTable: ({ schema, name }) => isWhole || any(ofTables, schema, name),
    unused: () => [...ofSchemas, ...ofTables].map(({ text }) => text).filter((text) => !used.has(text)),
  };
}
