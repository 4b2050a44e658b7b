import { ADAPTERS } from './error-catalogue/adapters.ts';
import { AUDIT } from './error-catalogue/audit.ts';
import { BACKUP_ADAPTERS } from './error-catalogue/backup-adapters.ts';
import { BACKUP_FORMATS } from './error-catalogue/backup-formats.ts';
import { BACKUPS } from './error-catalogue/backups.ts';
import { BUNDLES } from './error-catalogue/bundles.ts';
import { CLUSTER } from './error-catalogue/cluster.ts';
import { COMMAND_LINE } from './error-catalogue/command-line.ts';
import { ENROLMENTS } from './error-catalogue/enrolments.ts';
import type { ErrorCode, Explanation } from './error-catalogue/explanation.ts';
import { FORMATS } from './error-catalogue/formats.ts';
import { IDENTITY } from './error-catalogue/identity.ts';
import { OPERATIONS } from './error-catalogue/operations.ts';
import { STORAGE } from './error-catalogue/storage.ts';
import { TELEMETRY } from './error-catalogue/telemetry.ts';

export type { ErrorCode, Explanation } from './error-catalogue/explanation.ts';

/**
 * The one place that maps a code to an exit status, and what `portolan help CODE` and docs/errors.md print. The compiler finds a
 * code without an explanation; test/unit/house/sources.test.ts one that has two.
 */
export const ERROR_CATALOGUE: Readonly<Record<ErrorCode, Explanation>> = {
  ...COMMAND_LINE,
  ...FORMATS,
  ...ADAPTERS,
  ...CLUSTER,
  ...BUNDLES,
  ...OPERATIONS,
  ...BACKUP_FORMATS,
  ...BACKUP_ADAPTERS,
  ...BACKUPS,
  ...STORAGE,
  ...ENROLMENTS,
  ...IDENTITY,
  ...AUDIT,
  ...TELEMETRY,
};
