import { PortolanError } from '../core/errors.ts';

/** The command line was used wrongly. */
export type UsageErrorCode = 'USAGE';

export class UsageError extends PortolanError<UsageErrorCode> {}
