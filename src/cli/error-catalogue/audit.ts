import type { Explanations } from './explanation.ts';

/** Of the audit journal. */
export const AUDIT = {
  AUDIT_UNWRITABLE: {
    status: 1,
    meaning:
      'The audit journal in the state folder cannot be written, so it would not be known who restored what. Nothing was decrypted.',
    remedy:
      'Make room on its disk, make the folder writable for the account that restores, or name another folder with --state DIR.',
  },
  AUDIT_NOT_RIGHT: {
    status: 3,
    meaning: 'The audit journal is not what was written into it. What is wrong is named with it.',
    remedy:
      'Keep a copy of the folder as it is. Compare with records that left the machine before, and with the head that was noted.',
  },
  AUDIT_RECORD_MISSING: {
    status: 3,
    meaning: 'A record of the audit journal is gone, or stands in another place than it was written to.',
    remedy:
      'Look for it in what `portolan audit list --json` printed before, or in a backup of the machine. Ask who may write to the state folder.',
  },
  AUDIT_RECORD_REPLACED: {
    status: 3,
    meaning:
      'The digest that the next record, or a head that was noted, has of a record does not fit: another one stood there.',
    remedy:
      'Look for the other one in what `portolan audit list --json` printed before, or in a backup of the machine. Ask who may write to the state folder.',
  },
  AUDIT_EXPORT_INVALID: {
    status: 2,
    meaning: 'The file is not what `portolan audit list --json` prints.',
    remedy: 'Give its whole output, one event a line, and nothing else.',
  },
} as const satisfies Explanations;
