import { PortolanError } from '../core/errors.ts';

/** Bytes that are not what their format says. Pure: raised from memory, never from I/O. */
export type FormatErrorCode = 'DEFINITION_INVALID';

export class FormatError extends PortolanError<FormatErrorCode> {}
