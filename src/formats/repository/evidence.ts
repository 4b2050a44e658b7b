/**
 * Which objects under evidence/ belong to a repository (docs/format-repository.md, "Evidence"): those of which a roster's recipient
 * has the digest in its `evidence`. What such an object holds is the affair of formats/identity/.
 */
import { type Digest, isDigest } from '../../core/digest.ts';
import type { Roster } from './roster.ts';

/** An enrolment is a few kilobytes: an ID token and a recipient. */
export const EVIDENCE_MAX_BYTES = 256 * 1024;

/** Of readers who left as well: their evidence says why they were let in. */
export function evidenceDigests(rosters: readonly { readonly document: Roster }[]): ReadonlySet<Digest> {
  return new Set(
    rosters
      .flatMap(({ document }) => document.recipients)
      .map(({ evidence }) => evidence?.digest)
      .filter(isDigest),
  );
}
