import { PortolanError } from '../core/errors.ts';

/** A rule of the product was not met: a stale lock, a bad signature, a medium that is not ours. */
export type UseCaseErrorCode =
  | 'LOCK_STALE'
  | 'LOCK_MISSING'
  | 'SELECTION_UNKNOWN'
  | 'ALREADY_THERE'
  | 'IMAGE_WITHOUT_SOURCE'
  | 'IMAGES_MISSING'
  | 'SIGNER_NOT_NAMED'
  | 'MEDIUM_TOO_SMALL'
  | 'SOURCE_DAMAGED'
  | 'BUNDLE_NOT_FOUND'
  | 'TAG_MISMATCH'
  | 'LISTS_MISMATCH'
  | 'BLOB_NOT_TRUE'
  | 'BLOB_TOO_LARGE'
  | 'NOT_SIGNED_BY_TRUSTED'
  | 'BUNDLE_TOO_OLD'
  | 'AUDIENCE_MISMATCH'
  | 'FILE_OF_BUNDLE_MISSING'
  | 'FILE_OF_BUNDLE_DAMAGED'
  | 'TARGET_TOO_SMALL'
  | 'BUNDLE_NOT_RIGHT';

export class UseCaseError extends PortolanError<UseCaseErrorCode> {}
