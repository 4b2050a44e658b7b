/**
 * What a writer remembers of asking the identity provider for the readers' roles: on its machine, and only to say since when nobody
 * answered. Canonical JSON:
 *
 *     { "version", "issuer", "answered"?: when it last said who holds the role, "silentSince"?: since when it does not say so }
 */
import { z } from 'zod';
import { encodeDocument, textSchema, timeSchema, versionSchema } from '../repository/documents.ts';

export interface RolesMemory {
  readonly version: 1;
  readonly issuer: string;
  readonly answered?: string;
  readonly silentSince?: string;
}

const schema: z.ZodType<RolesMemory> = z.strictObject({
  version: versionSchema,
  issuer: textSchema,
  answered: timeSchema.exactOptional(),
  silentSince: timeSchema.exactOptional(),
});

export function encodeRolesMemory(memory: RolesMemory): Uint8Array {
  return encodeDocument(memory);
}

/** `undefined` for what is damaged or of another version: nothing but a warning depends on it. */
export function decodeRolesMemory(bytes: Uint8Array): RolesMemory | undefined {
  try {
    return schema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch {
    return undefined;
  }
}

/**
 * The memory after the provider was asked at `at`; `before` is of the same issuer. What claims to be from the future was written by a
 * clock that was wrong: it counts as `at`, so that silence is noticed in time all the same.
 */
export function rolesMemoryAfter(
  before: RolesMemory | undefined,
  { issuer, at, answered }: { readonly issuer: string; readonly at: Date; readonly answered: boolean },
): RolesMemory {
  const now = at.toISOString();
  const memory = { version: 1, issuer } as const;
  if (answered) return { ...memory, answered: now };
  const notLater = (time: string) => (Date.parse(time) > at.getTime() ? now : time);
  return {
    ...memory,
    ...(before?.answered === undefined ? {} : { answered: notLater(before.answered) }),
    silentSince: before?.silentSince === undefined ? now : notLater(before.silentSince),
  };
}

/** Since when nobody said who holds the role, where that is longer ago than `maxAgeMs`. */
export function rolesStaleSince(memory: RolesMemory, at: Date, maxAgeMs: number): string | undefined {
  const since = memory.answered ?? memory.silentSince;
  return since !== undefined && at.getTime() - Date.parse(since) > maxAgeMs ? since : undefined;
}
