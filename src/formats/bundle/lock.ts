import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, isDigest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import { isBundlePath } from './bundle-path.ts';
import { databaseSchema, imageValueSchema, receiptSchema } from './contents.ts';
import type { BundleLock } from './lock-types.ts';

/**
 * bundle.lock.json (docs/bundle-yaml.md, "The lock"): JSON with sorted keys, two spaces and a newline at the end, so that
 * the same lock is the same file and a change is a short diff.
 */

export const LOCK_FILE_NAME = 'bundle.lock.json';
export const LOCK_MEDIA_TYPE = 'application/vnd.portolan.bundle.lock.v1+json';
export const LOCK_LIMIT_BYTES = 64 * 1024 * 1024;

export function encodeLock(lock: BundleLock): string {
  return `${JSON.stringify(JSON.parse(canonicalJson(lock)), null, 2)}\n`;
}

const digest = z.custom<Digest>(isDigest, 'a digest: sha256: and 64 lower-case hexadecimal digits');
const pinned = { digest, sizeBytes: z.int().min(0) };
const text = z.string().min(1).max(4096);
const names = z.array(text);
const bundlePath = z.string().refine(isBundlePath, 'a clean relative path');
const source = text.refine((path) => !path.startsWith('/') && !path.includes('\0'), 'a relative path');

const schema = z.strictObject({
  mediaType: z.literal(LOCK_MEDIA_TYPE),
  name: text,
  version: text,
  sequence: z.int().min(1),
  audience: names,
  platforms: names.min(1),
  provider: text.optional(),
  valuesFiles: z.array(source).min(1).optional(),
  features: z.record(z.string(), z.boolean()),
  signers: names,
  pieceSizeBytes: z.int().min(1),
  charts: z.array(
    z.strictObject({
      ...pinned,
      name: text,
      release: text,
      namespace: text,
      stage: z.enum(['data', 'app']),
      version: text,
      source,
      values: z.strictObject(pinned),
      imageValues: z.array(imageValueSchema).min(1).optional(),
    }),
  ),
  images: z.array(
    z.strictObject({
      reference: text,
      digest,
      mediaType: text,
      platforms: names,
      attachments: z.array(digest),
      found: z.array(z.union([z.literal('list'), z.strictObject({ chart: text, template: z.string(), path: text })])),
    }),
  ),
  modules: z.array(
    z.strictObject({
      name: text,
      source,
      requires: names,
      files: z.array(z.strictObject({ ...pinned, name: bundlePath })),
    }),
  ),
  configuration: z.array(
    z.strictObject({
      ...pinned,
      path: bundlePath,
      source,
      kind: z.enum(['json', 'values']),
      provider: text.optional(),
    }),
  ),
  files: z.array(z.strictObject({ ...pinned, path: bundlePath, source, mode: z.int().min(0).max(0o777) })),
  database: databaseSchema.extend({ image: text.optional() }).optional(),
  receipt: receiptSchema.optional(),
});

/**
 * @param file - The name that errors give the text.
 * @throws FormatError LOCK_INVALID, also for a version of the format that is not known.
 */
export function decodeLock(written: string, file: string): BundleLock {
  let value: unknown;
  try {
    value = JSON.parse(written);
  } catch (cause) {
    throw new FormatError('LOCK_INVALID', 'The lock is not JSON.', { cause, at: { file }, hint: HINT });
  }
  const mediaType = (value as { mediaType?: unknown } | null)?.mediaType;
  if (mediaType !== LOCK_MEDIA_TYPE) {
    throw new FormatError('LOCK_INVALID', 'The lock is of a kind or version that is not known here.', {
      expected: LOCK_MEDIA_TYPE,
      found: typeof mediaType === 'string' ? mediaType.slice(0, 200) : 'no mediaType',
      at: { file, key: 'mediaType' },
      hint: HINT,
    });
  }
  const parsed = schema.safeParse(value);
  // What was checked is the type: zod writes an absent key as `undefined`, the type leaves it out.
  if (parsed.success) return JSON.parse(JSON.stringify(parsed.data)) as BundleLock;
  const issue = parsed.error.issues[0];
  throw new FormatError('LOCK_INVALID', 'The lock does not follow its format.', {
    ...(issue === undefined ? {} : { expected: issue.message }),
    at: { file, key: issue?.path.join('.') ?? '' },
    hint: HINT,
  });
}

const HINT = 'Run `portolan bundle lock` again.';
