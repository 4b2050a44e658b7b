/**
 * The configuration document of `config export` (docs/format-configuration.md): canonical JSON of ConfigMaps and rows of tables in the
 * clear, and one armored age file of Secrets and the values of Helm releases, whose names alone stand in the clear. All lists are
 * sorted, so that the clear part of the same configuration is the same bytes.
 */
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { FormatError } from '../errors.ts';

export const CONFIGURATION_MEDIA_TYPE = 'application/vnd.portolan.configuration.v1+json';
export const CONFIGURATION_LIMIT_BYTES = 64 * 1024 * 1024;

const texts = z.record(z.string(), z.string());
const named = { namespace: z.string().min(1), name: z.string().min(1) };
const base64 = z.record(z.string(), z.base64());

const configMapSchema = z.strictObject({
  ...named,
  labels: texts.optional(),
  data: texts.optional(),
  /** Values in base64. */
  binaryData: base64.optional(),
  immutable: z.literal(true).optional(),
});

const secretSchema = z.strictObject({
  ...named,
  type: z.string().min(1),
  labels: texts.optional(),
  /** Values in base64. */
  data: base64,
  immutable: z.literal(true).optional(),
});

const releaseSchema = z.strictObject({
  namespace: z.string().min(1),
  release: z.string().min(1),
  chart: z.string(),
  values: z.record(z.string(), z.unknown()),
});

const tableSchema = z.strictObject({
  schema: z.string().min(1),
  name: z.string().min(1),
  columns: z.array(z.strictObject({ name: z.string().min(1), type: z.string() })).min(1),
  primaryKey: z.array(z.string()).min(1),
  /** Each value as PostgreSQL writes it as text; null for NULL. */
  rows: z.array(z.record(z.string(), z.string().nullable())),
});

const documentSchema = z.strictObject({
  mediaType: z.literal(CONFIGURATION_MEDIA_TYPE),
  configMaps: z.array(configMapSchema),
  tables: z.array(tableSchema),
  sealed: z
    .strictObject({
      secrets: z.array(z.strictObject(named)),
      releases: z.array(z.strictObject({ namespace: z.string().min(1), release: z.string().min(1) })),
      /** An age file in ASCII armor; inside: canonical JSON of {@link SealedConfiguration}. */
      content: z.string(),
    })
    .optional(),
});

const sealedSchema = z.strictObject({ secrets: z.array(secretSchema), releases: z.array(releaseSchema) });

export type ConfigMapEntry = z.infer<typeof configMapSchema>;
export type SecretEntry = z.infer<typeof secretSchema>;
export type ReleaseEntry = z.infer<typeof releaseSchema>;
export type TableEntry = z.infer<typeof tableSchema>;
export type ConfigurationDocument = z.infer<typeof documentSchema>;
export type SealedConfiguration = z.infer<typeof sealedSchema>;

/** Whether a text is such a document, of a version that is known here or of another. */
export function isConfigurationDocument(text: string): boolean {
  const { mediaType } = (JSON.parse(text) ?? {}) as { readonly mediaType?: unknown };
  return typeof mediaType === 'string' && /^application\/vnd\.portolan\.configuration\.v\d+\+json$/.test(mediaType);
}

export function encodeConfiguration(document: ConfigurationDocument): Uint8Array {
  return new TextEncoder().encode(`${canonicalJson(document)}\n`);
}

/** @throws FormatError CONFIGURATION_INVALID with the key; no value is repeated. */
export function decodeConfiguration(bytes: Uint8Array, file: string): ConfigurationDocument {
  const parsed = parse(bytes, file);
  const { mediaType } = (parsed ?? {}) as { mediaType?: unknown };
  if (mediaType !== CONFIGURATION_MEDIA_TYPE) {
    throw new FormatError('CONFIGURATION_INVALID', `${file} is no configuration document of a version known here`, {
      expected: CONFIGURATION_MEDIA_TYPE,
      found: typeof mediaType === 'string' ? mediaType.slice(0, 100) : 'no mediaType',
      at: { file, key: 'mediaType' },
      hint: 'Give a file that `portolan config export` wrote, or use the Portolan that wrote it.',
    });
  }
  const document = check(documentSchema, parsed, file);
  assertOnce(document.configMaps.map(nameOf), file, 'configMaps');
  assertOnce(
    document.tables.map(({ schema, name }) => `${schema}.${name}`),
    file,
    'tables',
  );
  for (const [index, table] of document.tables.entries()) checkTable(table, file, `tables[${index}]`);
  return document;
}

export function encodeSealed(content: SealedConfiguration): Uint8Array {
  return new TextEncoder().encode(canonicalJson(content));
}

/** What was sealed must be what the clear list names: the list is what a plan shows before anything is opened. */
export function decodeSealed(bytes: Uint8Array, document: ConfigurationDocument, file: string): SealedConfiguration {
  const content = check(sealedSchema, parse(bytes, file), file);
  const inside = canonicalJson({
    secrets: content.secrets.map(({ namespace, name }) => ({ namespace, name })),
    releases: content.releases.map(({ namespace, release }) => ({ namespace, release })),
  });
  const { secrets = [], releases = [] } = document.sealed ?? {};
  if (inside === canonicalJson({ secrets, releases })) return content;
  throw new FormatError('CONFIGURATION_INVALID', `${file}: what is sealed is not what the document lists`, {
    at: { file, key: 'sealed' },
    hint: 'The document was put together from several: export it again.',
  });
}

/** `NAMESPACE/NAME`. */
export function nameOf(entry: { readonly namespace: string; readonly name: string }): string {
  return `${entry.namespace}/${entry.name}`;
}

function checkTable(table: TableEntry, file: string, key: string): void {
  const columns = table.columns.map(({ name }) => name);
  assertOnce(columns, file, `${key}.columns`);
  const odd = table.primaryKey.find((name) => !columns.includes(name));
  if (odd !== undefined) throw invalid(file, `${key}.primaryKey`, 'names a column that is not among the columns');
  for (const [index, row] of table.rows.entries()) {
    const isWhole = columns.every((name) => Object.hasOwn(row, name)) && Object.keys(row).length === columns.length;
    const isKeyed = table.primaryKey.every((name) => row[name] !== null);
    if (!isWhole || !isKeyed) throw invalid(file, `${key}.rows[${index}]`, 'does not have the columns of its table');
  }
}

function parse(bytes: Uint8Array, file: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    // The parser's message repeats a part of the text.
    throw new FormatError('CONFIGURATION_INVALID', `${file} is not JSON`, {
      at: { file },
      hint: 'Give a file that `portolan config export` wrote.',
    });
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = (issue?.path ?? []).map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`));
  throw invalid(file, path.join('').replace(/^\./, ''), issue?.message ?? 'is not as it must be');
}

function assertOnce(names: readonly string[], file: string, key: string): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(file, key, `${twice} stands there twice`);
}

function invalid(file: string, key: string, text: string): FormatError {
  return new FormatError('CONFIGURATION_INVALID', `${file}: ${key}: ${text}`, {
    at: { file, key },
    hint: 'Export the configuration again rather than editing the document by hand.',
  });
}
