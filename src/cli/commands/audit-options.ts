import type { AuditReport } from '../../compose/audit.ts';
import type { PortolanError } from '../../core/errors.ts';
import type { AuditRecord } from '../../formats/audit/record.ts';
import { path } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { formatCount } from '../output-units.ts';

export const auditStateOption = path({
  value: 'DIR',
  complete: 'folder',
  description: 'folder that holds the journal in audit; without it /var/lib/portolan or ~/.local/state/portolan',
});

/** Tells of every record as `audit list` does: a log that is kept elsewhere is a journal that nobody here can alter. */
export async function recordTeller({ output }: Pick<CommandContext, 'output'>) {
  const { digestOf } = await import('../../core/digest.ts');
  const { envelopeOf } = await import('../../formats/audit/exported.ts');
  return (record: AuditRecord, bytes: Uint8Array) =>
    output.event('record', { ...record, digest: digestOf(bytes), envelope: envelopeOf(bytes) });
}

/** `anna on backup-1`, or a person of the identity provider. */
export function actorText({ who: { user, login, breakGlass }, host }: AuditRecord): string {
  const account = `${user} on ${host}`;
  if (breakGlass === true) return `BREAK GLASS, ${account}`;
  return login === undefined ? account : `${login.subject} (${account})`;
}

/** @throws UseCaseError AUDIT_NOT_RIGHT when something is not */
export async function throwFindings({ place, findings }: AuditReport): Promise<void> {
  if (findings.length === 0) return;
  const { UseCaseError } = await import('../../usecases/errors.ts');
  const others: readonly PortolanError[] = findings;
  throw new UseCaseError('AUDIT_NOT_RIGHT', `${formatCount(findings.length, 'thing')} about the journal not right`, {
    at: { file: place },
    others,
  });
}
