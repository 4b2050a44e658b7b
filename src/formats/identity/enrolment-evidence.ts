import { z } from 'zod';
import type { Digest } from '../../core/digest.ts';
import { digestSchema, textSchema } from '../repository/documents.ts';
import type { Evidence } from '../repository/roster.ts';

/**
 * Why a reader who enrolled is on the roster; `evidence` of the entry (docs/format-repository.md, "Enrolment"):
 *
 *     { "kind": "enrolment", "issuer", "subject", "digest": of the enrolment, which lies under evidence/ once its token has expired }
 */
export interface EnrolmentEvidence {
  readonly kind: 'enrolment';
  readonly issuer: string;
  readonly subject: string;
  readonly digest: Digest;
}

const schema: z.ZodType<EnrolmentEvidence> = z.strictObject({
  kind: z.literal('enrolment'),
  issuer: textSchema,
  subject: textSchema,
  digest: digestSchema,
});

/** `undefined` for an entry that is there for another reason. */
export function enrolmentEvidenceOf(entry: { readonly evidence?: Evidence }): EnrolmentEvidence | undefined {
  return schema.safeParse(entry.evidence).data;
}
