import { PortolanError } from '../../src/core/errors.ts';

/** The error that a function raises on purpose; anything else fails the test. */
export async function raised(work: () => unknown): Promise<PortolanError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof PortolanError) return error;
    throw error;
  }
  throw new Error('nothing was raised');
}

/** Class and code, and those of everything else that was reported with it. */
export async function raisedCodes(work: () => unknown): Promise<string[]> {
  const error = await raised(work);
  return [error, ...error.others].map((one) => `${one.name} ${one.code}`);
}
