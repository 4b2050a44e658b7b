import type { AdapterErrorCode } from '../adapters/errors.ts';
import type { FormatErrorCode } from '../formats/errors.ts';
import type { UseCaseErrorCode } from '../usecases/errors.ts';
import type { UsageErrorCode } from './errors.ts';

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

/** The one place that maps a code to an exit status, and what `portolan help CODE` and docs/errors.md print. */
export const ERROR_CATALOGUE: Readonly<Record<ErrorCode, Explanation>> = {
  // --- formats ---
  DEFINITION_INVALID: {
    status: 2,
    meaning: 'bundle.yaml does not follow its schema.',
    remedy: 'Go to the file, line and column that the message names and correct the key that it names.',
  },
  // --- adapters ---
  FILE_UNREADABLE: {
    status: 1,
    meaning: 'A file that the command needs cannot be read.',
    remedy: 'Check that the path exists and that you may read it.',
  },
  // --- use cases ---
  LOCK_STALE: {
    status: 1,
    meaning: 'bundle.lock.json no longer agrees with what lies on disk.',
    remedy: 'Run `portolan bundle lock` again and look at what changed.',
  },
  // --- command line ---
  USAGE: {
    status: 2,
    meaning: 'The command line was used wrongly.',
    remedy: 'Run the command with --help.',
  },
};
