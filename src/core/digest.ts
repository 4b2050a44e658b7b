import { createHash } from 'node:crypto';

/** `sha256:` and 64 lower-case hexadecimal digits (OCI image specification, Descriptors, "Digests"). */
export type Digest = `sha256:${string}` & { readonly __brand: 'Digest' };

const PATTERN = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && PATTERN.test(text);
}

/** The digest of bytes that are already in memory. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return digestFromHex(createHash('sha256').update(bytes).digest('hex'));
}

/** Joins the algorithm to 64 hexadecimal digits that a hash produced. */
export function digestFromHex(hex: string): Digest {
  return `sha256:${hex}` as Digest;
}

/** The 64 hexadecimal digits: the name of the blob's file in an OCI image layout. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}
