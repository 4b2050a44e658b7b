import type { ErrorDetails, Place } from '../../core/errors.ts';
import { PortolanError } from '../../core/errors.ts';
import { FormatError, type FormatErrorCode } from '../../formats/errors.ts';
import { AdapterError, type AdapterErrorCode } from '../errors.ts';

/** An error in a shape that survives structured clone, which keeps neither class nor code. */
type Failure =
  | {
      readonly layer: 'format';
      readonly code: FormatErrorCode;
      readonly message: string;
      readonly details: ErrorDetails;
    }
  | {
      readonly layer: 'adapter';
      readonly code: AdapterErrorCode;
      readonly message: string;
      readonly details: ErrorDetails;
    }
  | { readonly layer: 'none'; readonly message: string; readonly stack: string | undefined };

export function encodeFailure(error: unknown): unknown {
  return toFailure(error);
}

function toFailure(error: unknown): Failure {
  if (error instanceof FormatError) {
    return { layer: 'format', code: error.code, message: error.message, details: detailsOf(error) };
  }
  if (error instanceof AdapterError) {
    return { layer: 'adapter', code: error.code, message: error.message, details: detailsOf(error) };
  }
  const fault = error instanceof Error ? error : new Error(String(error));
  return { layer: 'none', message: fault.message, stack: fault.stack };
}

export function decodeFailure(value: unknown): Error {
  const failure = value as Failure;
  if (failure.layer === 'format') return new FormatError(failure.code, failure.message, failure.details);
  if (failure.layer === 'adapter') return new AdapterError(failure.code, failure.message, failure.details);
  const error = new Error(failure.message);
  if (failure.stack !== undefined) error.stack = failure.stack;
  return error;
}

function detailsOf(error: PortolanError): ErrorDetails {
  return {
    ...(error.cause === undefined ? {} : { cause: plainCause(error.cause) }),
    ...(error.expected === undefined ? {} : { expected: error.expected }),
    ...(error.found === undefined ? {} : { found: error.found }),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.at === undefined ? {} : { at: error.at satisfies Place }),
  };
}

/** Structured clone keeps a plain Error's message and stack. */
function plainCause(cause: unknown): Error {
  if (cause instanceof PortolanError) return new Error(`${cause.code}: ${cause.message}`);
  return cause instanceof Error ? cause : new Error(String(cause));
}
