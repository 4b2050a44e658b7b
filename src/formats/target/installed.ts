/**
 * What a target remembers of one bundle (docs/format-target.md, "bundle.NAME"): gzip of canonical JSON, so that it fits
 * into a Secret. It holds no value of a Secret and no values of a chart.
 *
 *     { "mediaType": "application/vnd.portolan.installed.v1+json", "name", "highest": { "sequence", "root", "version" },
 *       "brought": [ IMAGE… ], "applied": RELEASE?, "former": RELEASE?, "running": { "root", "version", "sequence", "startedAt", "by", "done": […], … }? }
 *
 * `highest` only grows: it is what a replayed older bundle is held against, and it outlives the bundle's removal.
 */
import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, isDigest } from '../../core/digest.ts';
import { databaseSchema } from '../bundle/contents.ts';
import { FormatError } from '../errors.ts';

export const INSTALLED_MEDIA_TYPE = 'application/vnd.portolan.installed.v1+json';
const MAX_BYTES = 32 * 1024 * 1024;

const digest = z.custom<Digest>(isDigest, 'a digest');
const text = z.string().min(1).max(4096);
const sequence = z.number().int().positive();

/** The snapshot that databases were restored from. */
export const restoredFromSchema = z.strictObject({
  /** Id of the repository. */
  repository: text,
  /** `WRITER/SEQUENCE`. */
  snapshot: text,
  digest,
});

const chartSchema = z.strictObject({
  name: text,
  release: text,
  namespace: text,
  stage: z.enum(['data', 'app']),
  /** Digests of the chart and of the values that helm was given. */
  chart: digest,
  values: digest,
  /** Helm's revision. */
  revision: z.number().int().positive(),
});

const releaseSchema = z.strictObject({
  version: text,
  sequence,
  root: digest,
  /** RFC 3339, by the clock of the machine that imported. */
  at: text,
  /** What of the bundle was imported: `images`, `configuration`, `charts`, `migrations`. */
  parts: z.array(text),
  features: z.record(z.string(), z.boolean()),
  charts: z.array(chartSchema),
  images: z.array(z.strictObject({ reference: text, digest })),
  /** Modules with the names of their contract files. */
  modules: z.array(z.strictObject({ name: text, contracts: z.array(text) })),
  /** Contract files that were not run yet when the import ended: MODULE/FILE. */
  deferred: z.array(text),
  /** How its database is reached inside of the cluster; the image as the nodes know it. */
  database: databaseSchema.optional(),
  /** ConfigMaps that were written: their content, so that a rollback can put it back. */
  configuration: z.array(z.strictObject({ namespace: text, name: text, documents: z.record(z.string(), z.string()) })),
  /** Where it did not begin with an empty database. */
  restored: restoredFromSchema.optional(),
});

const installedSchema = z.strictObject({
  mediaType: z.literal(INSTALLED_MEDIA_TYPE),
  name: text,
  highest: z.strictObject({ sequence, root: digest, version: text }).optional(),
  /** Every image that imports of this bundle brought and no `bundle gc` took away since. */
  brought: z.array(z.strictObject({ reference: text, digest, target: text })),
  applied: releaseSchema.optional(),
  former: releaseSchema.optional(),
  running: z
    .strictObject({
      /** `import`, `rollback` or `remove`. */
      what: z.enum(['import', 'rollback', 'remove']),
      root: digest,
      version: text,
      sequence,
      startedAt: text,
      by: text,
      done: z.array(text),
      /** What it may have made already, beside what `applied` names; of runs before it that did not end as well. */
      charts: z.array(chartSchema.pick({ name: true, release: true, namespace: true, stage: true })).optional(),
      images: z.array(z.strictObject({ reference: text, digest })).optional(),
      configuration: z.array(z.strictObject({ namespace: text, name: text })).optional(),
      /** Of a restore: only the same snapshot goes on with it. */
      restore: restoredFromSchema.optional(),
    })
    .optional(),
});

/** One bundle at a target. */
export type Installed = z.infer<typeof installedSchema>;
export type RestoredFrom = z.infer<typeof restoredFromSchema>;
export type InstalledRelease = z.infer<typeof releaseSchema>;
export type InstalledChart = z.infer<typeof chartSchema>;
/** Where a chart is, without what it is made of. */
export type ChartPlace = Pick<InstalledChart, 'name' | 'release' | 'namespace' | 'stage'>;

/** `NAMESPACE/RELEASE`: what tells releases apart. */
export function releaseKey({ namespace, release }: Pick<ChartPlace, 'namespace' | 'release'>): string {
  return `${namespace}/${release}`;
}

export function encodeInstalled(installed: Installed): Uint8Array {
  return gzipSync(canonicalJson(installed), { level: 9 });
}

/** @throws FormatError TARGET_STATE_INVALID. `place` says where it was read. */
export function decodeInstalled(bytes: Uint8Array, place: string): Installed {
  let value: unknown;
  try {
    value = JSON.parse(gunzipSync(bytes, { maxOutputLength: MAX_BYTES }).toString('utf8'));
  } catch (cause) {
    throw stateInvalid('is not compressed JSON', place, undefined, cause);
  }
  const parsed = installedSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw stateInvalid(issue?.message ?? 'is invalid', place, issue?.path.join('.'));
}

export function stateInvalid(problem: string, place: string, key?: string, cause?: unknown): FormatError {
  return new FormatError('TARGET_STATE_INVALID', `What the target remembers cannot be read: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    at: { file: place, ...(key === undefined ? {} : { key }) },
    hint: 'It was written by a newer Portolan, or altered by hand: use that version, or put back what was there.',
  });
}

/** The name under which a target keeps it. */
export function installedName(bundle: string): string {
  return `bundle.${bundle}`;
}
