/**
 * A roster that more approvers must sign before it can be published: a file that goes from one approver to the next
 * (docs/format-repository.md, "Proposal"). Canonical JSON:
 *
 *     { "version": 1, "kind": "portolan-proposal", "repository", "roster": base64 of the roster as signed so far,
 *       "enrolment"?: base64 of the enrolment of the reader whom it adds }
 *
 * Nothing in it is believed: it says what somebody wants signed.
 */
import { z } from 'zod';
import {
  base64Schema,
  decodeDocument,
  encodeDocument,
  repositorySchema,
  requireRepository,
  versionSchema,
} from '../repository/documents.ts';
import type { RepositoryId } from '../repository/keys.ts';
import { ROSTER_MAX_BYTES } from '../repository/roster.ts';
import { ENROLMENT_MAX_BYTES } from './enrolment.ts';

const base64Length = (bytes: number) => Math.ceil(bytes / 3) * 4;

export const PROPOSAL_MAX_BYTES = base64Length(ROSTER_MAX_BYTES) + base64Length(ENROLMENT_MAX_BYTES) + 1024;

export interface RosterProposal {
  readonly repository: RepositoryId;
  readonly roster: Uint8Array;
  readonly enrolment?: Uint8Array | undefined;
}

interface Written {
  readonly version: 1;
  readonly kind: 'portolan-proposal';
  readonly repository: RepositoryId;
  readonly roster: string;
  readonly enrolment?: string;
}

const schema: z.ZodType<Written> = z.strictObject({
  version: versionSchema,
  kind: z.literal('portolan-proposal'),
  repository: repositorySchema,
  roster: base64Schema,
  enrolment: base64Schema.exactOptional(),
});

export function encodeProposal({ repository, roster, enrolment }: RosterProposal): Uint8Array {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  return encodeDocument({
    version: 1,
    kind: 'portolan-proposal',
    repository,
    roster: text(roster),
    ...(enrolment === undefined ? {} : { enrolment: text(enrolment) }),
  } satisfies Written);
}

/** @throws FormatError PROPOSAL_INVALID, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeProposal(bytes: Uint8Array, repository: RepositoryId, at?: string): RosterProposal {
  const rules = { what: 'the proposal', code: 'PROPOSAL_INVALID', maxBytes: PROPOSAL_MAX_BYTES, at } as const;
  const written = decodeDocument(bytes, schema, rules);
  requireRepository(written.repository, repository, rules);
  return {
    repository: written.repository,
    roster: Buffer.from(written.roster, 'base64'),
    enrolment: written.enrolment === undefined ? undefined : Buffer.from(written.enrolment, 'base64'),
  };
}
