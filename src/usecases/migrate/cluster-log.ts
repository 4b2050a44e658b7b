import { z } from 'zod';
import type { Place } from '../../core/errors.ts';
import { printable } from '../../core/printable.ts';
import { UseCaseError, type UseCaseErrorCode } from '../errors.ts';
import type { MigrationEvent } from './types.ts';

/** What a Pod has told so far: the lines of `portolan migrate … --json`. */
export interface PodLog {
  readonly events: readonly MigrationEvent[];
  /** Of the last event: those up to it are known when the log is read again. */
  readonly lastNumber: number;
  readonly result: unknown;
  readonly error: UseCaseError | undefined;
  /** The last lines that are no events, for an error. */
  readonly rest: readonly string[];
}

const REST_LINES = 10;
const TEXT_LIMIT = 4000;

const text = z.string().transform((value) => printable(value, TEXT_LIMIT));
const named = { module: text, file: text };
const eventSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('waiting-for-lock'), holder: text }),
  z.object({ kind: z.literal('started'), ...named, index: z.number(), total: z.number() }),
  z.object({ kind: z.literal('applied'), ...named, durationMs: z.number() }),
  z.object({ kind: z.literal('deferred'), ...named }),
  z.object({ kind: z.literal('repaired'), ...named }),
  z.object({ kind: z.literal('retry'), ...named, reason: text, attempt: z.number() }),
  z.object({ kind: z.literal('notice'), message: text }),
]);

const scalar = z.union([text, z.number()]).optional();
const placeSchema = z.object({
  file: text.optional(),
  line: z.number().optional(),
  column: z.number().optional(),
  key: text.optional(),
  digest: text.optional(),
  url: text.optional(),
});
const errorSchema = z.object({
  code: z.string().regex(/^[A-Z][A-Z0-9_]{1,60}$/),
  message: text,
  expected: scalar,
  found: scalar,
  hint: text.optional(),
  at: placeSchema.optional(),
  causes: z.array(text).max(5).optional(),
  others: z.array(z.unknown()).max(1000).optional(),
});

/** A Pod's log is whatever its image printed: nothing in it is believed to have a form. */
export function readPodLog(log: string, afterNumber: number): PodLog {
  const events: MigrationEvent[] = [];
  const rest: string[] = [];
  let lastNumber = afterNumber;
  let result: unknown;
  let error: UseCaseError | undefined;
  for (const line of log.split('\n')) {
    const value = parse(line);
    if (value === undefined) {
      if (line.trim() !== '') rest.push(printable(line));
      continue;
    }
    if (value.event === 'result') result = value;
    else if (value.event === 'error') error = errorOf(value);
    else if (value.event === 'migration' && typeof value.number === 'number' && value.number > lastNumber) {
      lastNumber = value.number;
      const parsed = eventSchema.safeParse(value);
      if (parsed.success) events.push(parsed.data);
    }
  }
  return { events, lastNumber, result, error, rest: rest.slice(-REST_LINES) };
}

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** The error of the program in the Pod, as if it had happened here: the code finds the same exit status and explanation. */
function errorOf(value: unknown): UseCaseError {
  const parsed = errorSchema.safeParse(value);
  if (!parsed.success) {
    return new UseCaseError('MIGRATION_POD_FAILED', 'The Pod told of an error in a form that is not known here', {
      hint: 'Use the image of the Portolan that runs the import.',
    });
  }
  const { code, message, expected, found, hint, at, causes = [], others = [] } = parsed.data;
  return new UseCaseError(code as UseCaseErrorCode, message, {
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(hint === undefined ? {} : { hint }),
    ...(at === undefined ? {} : { at: at as Place }),
    ...(causes.length === 0 ? {} : { cause: new Error(causes.join(': ')) }),
    others: others.map(errorOf),
  });
}
