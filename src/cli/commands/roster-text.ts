import type { KeysReport } from '../../compose/repository-keys.ts';
import { formatTable } from '../output-table.ts';

/** A roster as a table: recipients first, then the keys of each role. */
export function rosterText({ roster, keys, shared }: KeysReport): string {
  const rows = [
    ...roster.recipients.map(({ role, name, recipient, notAfter }) => [
      role,
      name,
      `${recipient.slice(0, 24)}…${recipient.slice(-8)}`,
      notAfter === undefined ? '' : `until ${notAfter.slice(0, 16).replace('T', ' ')}`,
    ]),
    ...keys.map(({ role, name, keyHint }) => [role.slice(0, -1), name, keyHint, '']),
  ];
  const columns = [{ title: 'role' }, { title: 'name' }, { title: 'key' }, { title: 'notes' }];
  return [
    `epoch ${roster.epoch} of ${roster.repository}, made ${roster.created}`,
    formatTable(columns, rows),
    ...shared.map(({ names, roles }) => `one key for several roles (${roles.join(', ')}): ${names.join(', ')}`),
  ].join('\n');
}
