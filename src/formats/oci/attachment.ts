import { type Digest, digestFromHex, hexOf, isDigest } from '../../core/digest.ts';
import type { Descriptor } from './types.ts';

/**
 * The three ways in which signatures, SBOMs and attestations hang on an image.
 *
 * - Referrers: a manifest with `subject` (OCI distribution specification v1.1, "Listing Referrers"), or, where a registry
 *   lacks that API, an index under the tag `sha256-<hex>`.
 * - cosign's tags: `sha256-<hex>.sig`, `.att` and `.sbom`.
 * - BuildKit: a manifest inside the image's index, annotated with the digest of the platform that it is about.
 */

const COSIGN_SUFFIXES = ['sig', 'att', 'sbom'] as const;
const TAG = /^sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?$/;
const BUILDKIT_TYPE = 'vnd.docker.reference.type';
const BUILDKIT_SUBJECT = 'vnd.docker.reference.digest';

export function cosignTags(subject: Digest): readonly string[] {
  return COSIGN_SUFFIXES.map((suffix) => `sha256-${hexOf(subject)}.${suffix}`);
}

/** The tag of the index that lists the referrers where the API is missing (specification: "Referrers Tag Schema"). */
export function referrersTag(subject: Digest): string {
  return `sha256-${hexOf(subject)}`;
}

/** The subject that a tag of cosign's or of the referrers schema names. */
export function subjectOfTag(tag: string): Digest | undefined {
  const hex = TAG.exec(tag)?.[1];
  return hex === undefined ? undefined : digestFromHex(hex);
}

/** The subject of a BuildKit attestation inside an index; `undefined` when the entry is none. */
export function buildkitSubject(entry: Descriptor): Digest | undefined {
  if (entry.annotations?.[BUILDKIT_TYPE] !== 'attestation-manifest') return undefined;
  const subject = entry.annotations[BUILDKIT_SUBJECT];
  return isDigest(subject) ? subject : undefined;
}

/**
 * The digests that a payload of cosign's says it is about: a simple signing document, or an in-toto statement in a DSSE
 * envelope. Unverified: good for filing it under the right image, and for nothing else.
 */
export function subjectsOfPayload(bytes: Uint8Array): readonly Digest[] {
  const document = parse(bytes);
  const simple = member(member(member(document, 'critical'), 'image'), 'docker-manifest-digest');
  if (isDigest(simple)) return [simple];
  const payload = member(document, 'payload');
  const statement = typeof payload === 'string' ? parse(Buffer.from(payload, 'base64')) : document;
  const subjects = member(statement, 'subject');
  if (!Array.isArray(subjects)) return [];
  return subjects.map((entry) => `sha256:${String(member(member(entry, 'digest'), 'sha256'))}`).filter(isDigest);
}

/** By the media type of what cosign stores. */
const COSIGN_TYPES: readonly [RegExp, (typeof COSIGN_SUFFIXES)[number]][] = [
  [/^application\/vnd\.dev\.cosign\.simplesigning\.v1\+json$/, 'sig'],
  [/^application\/vnd\.dsse\.envelope\.v1\+json$/, 'att'],
  [/^(?:text\/spdx|spdx\+|application\/vnd\.cyclonedx|application\/vnd\.syft)/, 'sbom'],
];

/**
 * The tag under which cosign looks for an attachment without `subject`. `payload` is its first layer. An SBOM names
 * no subject and is the image's. `undefined` when it is none of cosign's, or names none of the digests in `known`.
 */
export function cosignTagOf(
  manifest: { readonly layers: readonly Descriptor[] },
  payload: Uint8Array,
  image: { readonly digest: Digest; readonly known: readonly Digest[] },
): string | undefined {
  const type = manifest.layers[0]?.mediaType ?? '';
  const suffix = COSIGN_TYPES.find(([pattern]) => pattern.test(type))?.[1];
  const named = subjectsOfPayload(payload).find((digest) => image.known.includes(digest));
  const subject = named ?? (suffix === 'sbom' ? image.digest : undefined);
  return suffix === undefined || subject === undefined ? undefined : `sha256-${hexOf(subject)}.${suffix}`;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

function member(value: unknown, key: string): unknown {
  return value !== null && typeof value === 'object' ? (value as Record<string, unknown>)[key] : undefined;
}
