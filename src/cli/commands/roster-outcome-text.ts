import type { RosterOutcome } from '../../compose/roster-proposals.ts';
import { COMPARE_FINGERPRINT } from '../../formats/identity/fingerprint.ts';
import type { ShownEnrolment } from '../../usecases/keys/enrolments.ts';
import type { RosterChange } from '../../usecases/keys/roster-difference.ts';
import { flag, integer, path } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { formatCount } from '../output-units.ts';
import { rosterText } from './roster-text.ts';

/** Of commands that change a roster. */
export const changeOptions = {
  threshold: integer({
    value: 'K',
    minimum: 1,
    maximum: 64,
    description: 'how many approvers must sign from then on',
  }),
  proposalOut: path({
    value: 'FILE',
    description: 'where the change goes as long as more approvers must sign it',
  }),
  plan: flag({ description: 'show what would be signed, and sign nothing' }),
};

/** What became of a change of a roster. */
export function rosterOutcomeText(outcome: RosterOutcome): string {
  switch (outcome.done) {
    case 'published':
      return [
        rosterText(outcome),
        ...(outcome.enrolment === undefined
          ? []
          : [
              `after ${outcome.enrolment.publishableFrom}, publish the enrolment: portolan keys approve --enrolment FILE`,
            ]),
        ...(outcome.writerKeyFile === undefined ? [] : [`key file of the writer: ${outcome.writerKeyFile}`]),
      ].join('\n');
    case 'planned':
      return [
        `epoch ${outcome.epoch} would have ${formatCount(outcome.changes.length, 'change')}`,
        ...changeLines(outcome.changes),
        ...enrolmentLines(outcome.enrolment),
        signatures(outcome),
      ].join('\n');
    case 'proposed':
      return [
        `epoch ${outcome.epoch} proposed in ${outcome.proposalFile}`,
        ...changeLines(outcome.changes),
        signatures(outcome),
        ...(outcome.writerKeyFile === undefined ? [] : [`key file of the writer: ${outcome.writerKeyFile}`]),
      ].join('\n');
    case 'challenged':
      return [
        ...enrolmentLines(outcome.enrolment),
        `challenge written to ${outcome.challengeFile}`,
        'The reader answers with: portolan keys enroll --challenge FILE --enrolment FILE',
      ].join('\n');
    case 'evidence':
      return `${outcome.created ? 'evidence published' : 'the evidence was there'}: ${outcome.key}`;
  }
}

function changeLines(changes: readonly RosterChange[]): readonly string[] {
  const columns = ['change', 'role', 'name', 'key', 'notes'].map((title) => ({ title }));
  const rows = changes.map(({ change, role, name, key, notes }) => [change, role, name, key, notes.join('; ')]);
  return rows.length === 0 ? [] : [formatTable(columns, rows)];
}

function enrolmentLines(enrolment: ShownEnrolment | undefined): readonly string[] {
  if (enrolment === undefined) return [];
  const { fingerprint, subject, issuer, roles, factors, authenticatedAt, expiresAt, digest } = enrolment;
  return [
    `fingerprint  ${fingerprint}`,
    `subject      ${subject} at ${issuer}`,
    `roles        ${roles.join(', ')}`,
    `logged in    ${authenticatedAt ?? 'unknown'} with ${factors.join(', ')}; the token expires ${expiresAt}`,
    `enrolment    ${digest}`,
    'A login says that this person logged in, not that the recipient is theirs: they may have been led to it.',
    `${capitalized(COMPARE_FINGERPRINT)}.`,
  ];
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function signatures({ signers, missing }: { readonly signers: readonly string[]; readonly missing: number }): string {
  const by = signers.length === 0 ? 'signed by nobody' : `signed by ${signers.join(', ')}`;
  return `${by}; ${missing === 0 ? 'no further signature is needed' : `${formatCount(missing, 'signature')} missing`}`;
}
