import { PortolanError } from '../core/errors.ts';

/** The world did not do what was asked: file system, registry, child process. */
export type AdapterErrorCode = 'FILE_UNREADABLE';

export class AdapterError extends PortolanError<AdapterErrorCode> {}
