/**
 * Runs the functions, `width` at a time, in their order. When one fails no further one starts; those that run are waited
 * for, so that nothing works on behind the caller's back; then the first error is thrown.
 */
export async function runAll(
  work: readonly (() => Promise<void>)[],
  width: number,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  let next = 0;
  const errors: unknown[] = [];
  const lane = async () => {
    while (next < work.length && errors.length === 0) {
      const one = work[next++] as () => Promise<void>;
      try {
        options.signal?.throwIfAborted();
        await one();
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, work.length) }, lane));
  if (errors.length > 0) throw errors[0];
}
