import type { SessionKeys } from '../../../formats/storage/web-identity-answer.ts';
import { AdapterError } from '../../errors.ts';
import { retryAdvised } from '../store-errors.ts';
import type { CredentialsProvider, StorageCredentials } from './credentials.ts';

export interface RenewedKeys {
  readonly credentials: CredentialsProvider;
  /** Ends a renewal that is under way. */
  close(): void;
}

/** After a renewal that failed, while there is time left. */
const PAUSE_MS = 15_000;

/**
 * Keys that are renewed when a third of their life is left, beside the work that goes on with them. While the provider is down,
 * what is unexpired is used, and it is asked again every 15 seconds. Several who ask at once share one request.
 */
export function renewedKeys(
  obtain: (options: { readonly signal: AbortSignal }) => Promise<SessionKeys>,
  { now, onFailure }: { readonly now: () => number; readonly onFailure?: (failure: unknown) => void },
): RenewedKeys {
  const ended = new AbortController();
  let kept: { readonly keys: SessionKeys; readonly renewFromMs: number } | undefined;
  let underway: Promise<SessionKeys> | undefined;
  let pausedUntilMs = 0;
  const renew = () => {
    underway ??= obtain({ signal: ended.signal })
      .then((keys) => {
        const lifeMs = Math.max(0, keys.expiration.getTime() - now());
        kept = { keys, renewFromMs: now() + (lifeMs * 2) / 3 };
        pausedUntilMs = 0;
        return keys;
      })
      .finally(() => {
        underway = undefined;
      });
    return underway;
  };
  const given = (): StorageCredentials & { readonly renewFrom: Date } => {
    const { keys, renewFromMs } = kept as NonNullable<typeof kept>;
    const fromMs = Math.max(renewFromMs, pausedUntilMs);
    return { ...keys, renewFrom: new Date(Math.min(fromMs, keys.expiration.getTime())) };
  };
  return {
    async credentials({ signal, refused }) {
      const isUsable =
        kept !== undefined && kept.keys.expiration.getTime() > now() && kept.keys.accessKeyId !== refused?.accessKeyId;
      if (!isUsable) {
        const isFirst = kept === undefined;
        try {
          await unlessAborted(renew(), signal);
        } catch (failure) {
          // In the middle of a long run, an outage of the provider is waited for as one of the storage is.
          const isOutage = failure instanceof AdapterError && failure.code === 'IDENTITY_PROVIDER_UNREACHABLE';
          throw isOutage && !isFirst ? retryAdvised(failure) : failure;
        }
        return given();
      }
      if (now() >= given().renewFrom.getTime() && underway === undefined) {
        renew().catch((failure) => {
          if (ended.signal.aborted) return;
          pausedUntilMs = now() + PAUSE_MS;
          onFailure?.(failure);
        });
      }
      return given();
    },
    close: () => ended.abort(),
  };
}

/** One of several who wait gives up without ending it for the others. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
