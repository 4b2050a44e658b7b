import { AdapterError } from '../errors.ts';

/** Several problems as one error: the first, with the others beside it. `undefined` when there is none. */
export function asOneError([first, ...others]: readonly AdapterError[]): AdapterError | undefined {
  if (first === undefined || others.length === 0) return first;
  const { code, message, cause, expected, found, hint, at } = first;
  return new AdapterError(code, message, {
    cause,
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(hint === undefined ? {} : { hint }),
    ...(at === undefined ? {} : { at }),
    others,
  });
}
