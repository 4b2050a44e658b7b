import { PortolanError } from './errors.ts';

/** The same error, told of another file: a thread knows a file by the number under which it is open, a person by its name. */
export function retold(error: unknown, from: string, to: string): unknown {
  if (!(error instanceof PortolanError) || error.at?.file !== from) return error;
  const Again = error.constructor as new (...parts: ConstructorParameters<typeof PortolanError>) => PortolanError;
  const { code, cause, expected, found, hint, at, others } = error;
  return new Again(code, error.message.replaceAll(from, to), {
    ...(cause === undefined ? {} : { cause }),
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(hint === undefined ? {} : { hint }),
    at: { ...at, file: to },
    others,
  });
}
