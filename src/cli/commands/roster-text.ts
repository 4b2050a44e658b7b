import type { KeysReport } from '../../compose/roster-report.ts';
import { formatTable } from '../output-table.ts';

/** A roster as a table: recipients first, then the keys of each role. */
export function rosterText(report: KeysReport): string {
  const rows = [
    ...report.roster.recipients.map(({ role, name, recipient, notAfter }) => [
      role,
      name,
      `${recipient.slice(0, 24)}…${recipient.slice(-8)}`,
      notAfter === undefined ? '' : `until ${notAfter.slice(0, 16).replace('T', ' ')}`,
    ]),
    ...keyRows(report),
  ];
  const columns = [{ title: 'role' }, { title: 'name' }, { title: 'key' }, { title: 'notes' }];
  return [rosterHead(report), formatTable(columns, rows), ...sharedLines(report)].join('\n');
}

export function rosterHead({ roster }: KeysReport): string {
  const fresh = roster.fresh === true ? '; every writer writes everything afresh' : '';
  return `epoch ${roster.epoch} of ${roster.repository}, made ${roster.created}${fresh}`;
}

/** Role, name, key. */
export function keyRows({ keys }: KeysReport): string[][] {
  return keys.map(({ role, name, keyHint }) => [role.slice(0, -1), name, keyHint]);
}

export function sharedLines({ shared }: KeysReport): string[] {
  return shared.map(({ names, roles }) => `one key for several roles (${roles.join(', ')}): ${names.join(', ')}`);
}
