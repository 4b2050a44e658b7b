import { PortolanError } from '../core/errors.ts';

/** A rule of the product was not met: a stale lock, a bad signature, a medium that is not ours. */
export type UseCaseErrorCode = 'LOCK_STALE';

export class UseCaseError extends PortolanError<UseCaseErrorCode> {}
