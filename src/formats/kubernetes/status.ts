/**
 * What an API server says when it refuses: a `Status` object (kubernetes.io/docs/reference/kubernetes-api/common-definitions/status).
 */
import { z } from 'zod';
import { printable } from '../../core/printable.ts';

export interface ApiStatus {
  /** One word: `AlreadyExists`, `Conflict`, `Forbidden`, `Invalid`, `NotFound` … Empty when the answer had none. */
  readonly reason: string;
  /** Fit to be shown. Empty when the answer had none. */
  readonly message: string;
  readonly causes: readonly { readonly field: string; readonly reason: string }[];
  readonly retryAfterMs?: number;
}

const text = z.string().nullish();
const statusSchema = z.looseObject({
  kind: z.literal('Status'),
  reason: text,
  message: text,
  details: z
    .looseObject({
      retryAfterSeconds: z.number().nullish(),
      causes: z.array(z.looseObject({ reason: text, field: text })).nullish(),
    })
    .nullish(),
});

const MESSAGE_LENGTH = 1000;
const MAX_CAUSES = 10;

/** A server that stands before the API server (a proxy, a load balancer) answers in its own words: these are the message then. */
export function decodeStatus(body: Uint8Array): ApiStatus {
  const whole = new TextDecoder().decode(body);
  let parsed: unknown;
  try {
    parsed = JSON.parse(whole);
  } catch {
    return { reason: '', message: printable(whole), causes: [] };
  }
  const result = statusSchema.safeParse(parsed);
  if (!result.success) return { reason: '', message: '', causes: [] };
  const { reason, message, details } = result.data;
  return {
    reason: printable(reason ?? ''),
    message: printable(message ?? '', MESSAGE_LENGTH),
    causes: (details?.causes ?? []).slice(0, MAX_CAUSES).map((cause) => ({
      field: printable(cause.field ?? ''),
      reason: printable(cause.reason ?? ''),
    })),
    ...(details?.retryAfterSeconds ? { retryAfterMs: details.retryAfterSeconds * 1000 } : {}),
  };
}
