/**
 * The root of every error that Portolan raises on purpose. Each layer has one subclass with a closed union of codes
 * (FormatError, AdapterError, UseCaseError, UsageError). Tests match class and code, never text. The command line turns
 * a code into an exit status and an explanation in one place: src/cli/error-catalogue.ts.
 */

/** Where the fault lies. A person must be able to go there: a file with line and column, a key path, a digest, a URL. */
export interface Place {
  readonly file?: string;
  /** 1-based. */
  readonly line?: number;
  /** 1-based. */
  readonly column?: number;
  /** Key path inside a document, such as `charts[0].path`. */
  readonly key?: string;
  readonly digest?: string;
  readonly url?: string;
}

export interface ErrorDetails {
  readonly cause?: unknown;
  readonly expected?: string | number;
  readonly found?: string | number;
  /** What the person does next, as one sentence in the imperative. */
  readonly hint?: string;
  readonly at?: Place;
  /** Further problems found in the same pass; each is reported in full. */
  readonly others?: readonly PortolanError[];
}

export abstract class PortolanError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly expected: string | number | undefined;
  readonly found: string | number | undefined;
  readonly hint: string | undefined;
  readonly at: Place | undefined;
  readonly others: readonly PortolanError[];

  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.expected = details.expected;
    this.found = details.found;
    this.hint = details.hint;
    this.at = details.at;
    this.others = details.others ?? [];
  }
}

/** @throws the first of the problems, with the others in it. */
export function throwProblems(problems: readonly PortolanError[]): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  if (others.length === 0) throw first;
  // The same class and code, so that the exit status is that of the first problem.
  const Again = first.constructor as new (...parts: ConstructorParameters<typeof PortolanError>) => PortolanError;
  throw new Again(first.code, first.message, {
    ...(first.cause === undefined ? {} : { cause: first.cause }),
    ...(first.expected === undefined ? {} : { expected: first.expected }),
    ...(first.found === undefined ? {} : { found: first.found }),
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    ...(first.at === undefined ? {} : { at: first.at }),
    others: [...first.others, ...others],
  });
}
