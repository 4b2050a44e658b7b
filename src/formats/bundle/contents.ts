/**
 * contents.json, the first of the two sealed lists (docs/format-bundle.md, "contents.json"): canonical JSON, deterministic.
 * It names every blob of the bundle by true digest, length and role, and says what the blobs are. Its SHA-256 is the
 * bundle's root digest. One key order and no white space: decoding refuses anything else, so that one bundle has one root.
 */
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, digestOf, isDigest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import { clashingPaths, isBundlePath } from './bundle-path.ts';
import { SSL_MODES } from './definition-types.ts';
import { CONTENTS_MEDIA_TYPE } from './media-types.ts';
import { parseValuePath } from './value-path.ts';

/** Of the blobs of images. Where one has several, the first of these says most about how it must be stored. */
export const IMAGE_ROLES = [
  'image-index',
  'image-manifest',
  'image-config',
  'image-layer',
  'image-attachment',
] as const;

export type ImageRole = (typeof IMAGE_ROLES)[number];

export const BLOB_ROLES = [
  'chart',
  'values',
  'migration',
  'configuration',
  'file',
  ...IMAGE_ROLES,
  'sbom-index',
] as const;

export type BlobRole = (typeof BLOB_ROLES)[number];

/** The most that the two lists may take together, in bytes. About a million blobs. */
export const LISTS_MAX_BYTES = 256 * 1024 * 1024;

const EMPTY_DIGEST = digestOf('');
const digest = z.custom<Digest>(isDigest, 'a digest: sha256: and 64 lower-case hexadecimal digits');
const sizeBytes = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const text = z.string().min(1).max(4096);

const bundlePath = z.string().refine(isBundlePath, 'a clean relative path');
const pathSegment = z.string().refine((name) => isBundlePath(name) && !name.includes('/'), 'a file name');

/** Shared with the lock. */
export const imageValueSchema = z.strictObject({
  path: text.refine((path) => parseValuePath(path) !== undefined, 'keys joined by dots'),
  image: text,
  part: z.enum(['reference', 'registry', 'repository', 'tag', 'digest']),
});

/** Shared with the lock, where the image may be left out. */
export const databaseSchema = z.strictObject({
  namespace: text,
  host: text,
  port: z.number().int().min(1).max(65535),
  name: text,
  user: text,
  password: z.strictObject({ secret: text, key: text }),
  sslMode: z.enum(SSL_MODES),
  image: text,
});

/** Shared with the lock. */
export const receiptSchema = z.strictObject({ recipients: z.array(text).min(1) });

const contentsSchema = z.strictObject({
  mediaType: z.literal(CONTENTS_MEDIA_TYPE),
  name: pathSegment,
  version: text,
  sequence: z.number().int().positive(),
  audience: z.array(text),
  platforms: z.array(text),
  provider: text.optional(),
  features: z.record(z.string(), z.boolean()),
  signers: z.array(text),
  charts: z.array(
    z.strictObject({
      name: pathSegment,
      release: pathSegment,
      namespace: text,
      stage: z.enum(['data', 'app']),
      version: text,
      digest,
      values: digest,
      imageValues: z.array(imageValueSchema).min(1).optional(),
    }),
  ),
  images: z.array(
    z.strictObject({
      reference: text,
      digest,
      mediaType: text,
      platforms: z.array(text),
      attachments: z.array(digest),
      blobs: z.array(digest),
    }),
  ),
  modules: z.array(
    z.strictObject({
      name: pathSegment,
      requires: z.array(text),
      files: z.array(z.strictObject({ name: pathSegment, digest })),
    }),
  ),
  configuration: z.array(
    z.strictObject({ path: bundlePath, kind: z.enum(['json', 'values']), provider: text.optional(), digest }),
  ),
  files: z.array(z.strictObject({ path: bundlePath, mode: z.number().int().min(0).max(0o777), digest })),
  database: databaseSchema.optional(),
  receipt: receiptSchema.optional(),
  sbomIndex: digest,
  blobs: z.array(z.strictObject({ digest, sizeBytes, roles: z.array(z.enum(BLOB_ROLES)).min(1) })),
});

export type Contents = z.infer<typeof contentsSchema>;

export function encodeContents(contents: Contents): Uint8Array {
  return new TextEncoder().encode(canonicalJson(contents));
}

/** The bundle's root digest: SHA-256 of the encoded contents. */
export function rootDigestOf(encodedContents: Uint8Array): Digest {
  return digestOf(encodedContents);
}

/** @throws FormatError CONTENTS_INVALID */
export function decodeContents(bytes: Uint8Array): Contents {
  const contents = parseListJson(bytes, contentsSchema, 'contents.json', 'CONTENTS_INVALID');
  if (Buffer.compare(Buffer.from(encodeContents(contents)), Buffer.from(bytes)) !== 0) {
    throw new FormatError('CONTENTS_INVALID', 'contents.json is not in canonical form', {
      at: { file: 'contents.json' },
    });
  }
  for (const paths of unpackedNames(contents)) {
    const [clash] = clashingPaths(paths);
    if (clash) throw invalid(`${paths[clash[0]]} and ${paths[clash[1]]} cannot lie side by side`);
  }
  const references = contents.images.map(({ reference }) => reference);
  const twice = references.find((reference, index) => references.indexOf(reference) !== index);
  if (twice !== undefined) throw invalid(`image ${twice} is listed twice`);
  for (const { what, image } of imageUses(contents)) {
    if (!references.includes(image)) throw invalid(`${what} names image ${image}, which is not listed`);
  }
  const known = new Set<string>();
  for (const blob of contents.blobs) {
    if (known.has(blob.digest)) throw invalid(`blob ${blob.digest} is listed twice`);
    if (blob.sizeBytes === 0 && blob.digest !== EMPTY_DIGEST) throw invalid(`blob ${blob.digest} cannot be empty`);
    known.add(blob.digest);
  }
  for (const [what, used] of usedBlobs(contents)) {
    if (!known.has(used)) throw invalid(`${what} names blob ${used}, which is not listed`);
  }
  return contents;
}

/** Names that lie in one folder once the bundle is unpacked. */
function unpackedNames(contents: Contents): string[][] {
  return [
    contents.files.map(({ path }) => path),
    contents.configuration.map(({ path }) => path),
    contents.charts.flatMap(({ name }) => [`${name}.tgz`, `${name}.values.json`]),
    contents.modules.map(({ name }) => name),
    ...contents.modules.map(({ files }) => files.map(({ name }) => name)),
  ];
}

function imageUses({ charts, database }: Contents): { what: string; image: string }[] {
  return [
    ...charts.flatMap(({ name, imageValues = [] }) =>
      imageValues.map(({ path, image }) => ({ what: `chart ${name}, value ${path},`, image })),
    ),
    ...(database === undefined ? [] : [{ what: 'database', image: database.image }]),
  ];
}

function* usedBlobs(contents: Contents): Generator<[what: string, digest: Digest]> {
  for (const chart of contents.charts) {
    yield [`chart ${chart.name}`, chart.digest];
    yield [`chart ${chart.name}`, chart.values];
  }
  for (const image of contents.images) {
    yield [`image ${image.reference}`, image.digest];
    for (const blob of image.blobs) yield [`image ${image.reference}`, blob];
  }
  for (const module of contents.modules) {
    for (const file of module.files) yield [`module ${module.name}`, file.digest];
  }
  for (const item of contents.configuration) yield [`configuration ${item.path}`, item.digest];
  for (const file of contents.files) yield [`file ${file.path}`, file.digest];
  yield ['sbomIndex', contents.sbomIndex];
}

function invalid(message: string): FormatError {
  return new FormatError('CONTENTS_INVALID', `contents.json: ${message}`, { at: { file: 'contents.json' } });
}

/** Parses one sealed list. Shared with placement.ts. */
export function parseListJson<T>(
  bytes: Uint8Array,
  schema: z.ZodType<T>,
  file: string,
  code: 'CONTENTS_INVALID' | 'PLACEMENT_INVALID',
): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError(code, `${file} is not JSON`, { cause, at: { file } });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new FormatError(code, `${file}: ${issue?.message ?? 'invalid'}`, {
    at: { file, key: issue?.path.join('.') ?? '' },
    hint: 'The bundle was written by a newer Portolan, or by something else: ask the publisher which version wrote it.',
  });
}
