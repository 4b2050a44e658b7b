import { PortolanError } from '../core/errors.ts';

/** The command line was used wrongly, or the program itself is at fault. */
export type UsageErrorCode = 'USAGE' | 'CONFIGURATION_INVALID' | 'NO_TERMINAL' | 'HELP_TOPIC_UNKNOWN' | 'INTERNAL';

export class UsageError extends PortolanError<UsageErrorCode> {}
