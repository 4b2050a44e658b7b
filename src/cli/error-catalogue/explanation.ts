import type { AdapterErrorCode } from '../../adapters/errors.ts';
import type { FormatErrorCode } from '../../formats/errors.ts';
import type { UseCaseErrorCode } from '../../usecases/errors.ts';
import type { UsageErrorCode } from '../errors.ts';

export type ErrorCode = FormatErrorCode | AdapterErrorCode | UseCaseErrorCode | UsageErrorCode;

/** 1 failed, 2 wrong use, 3 the thing that was checked is not right. */
export type ExitStatus = 1 | 2 | 3;

export interface Explanation {
  readonly status: ExitStatus;
  /** What happened, in a sentence. */
  readonly meaning: string;
  /** What the person does, in one or more sentences. */
  readonly remedy: string;
}

export type Explanations = Readonly<Partial<Record<ErrorCode, Explanation>>>;
