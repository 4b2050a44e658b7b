/**
 * One blob into one repository (OCI distribution specification v1.1, "Pushing a blob in chunks", "Pushing a blob
 * monolithically"). A small blob goes in one request. A larger one goes in parts, each of which stays in memory until the
 * registry has acknowledged it: after a lost connection, or a restart, the registry is asked how far it came, and the rest
 * of the part is sent. A registry that knows the upload no more loses what was forgotten here: UPLOAD_LOST.
 */
import { backoffMs, pause } from '../../core/retry.ts';
import type { TargetBlob } from '../../ports/image-target.ts';
import { AdapterError } from '../errors.ts';
import type { RegistryReply } from '../registry/client.ts';
import { answeredStatus, decideRetry, protocolFailure, type RequestTarget } from '../registry/failure.ts';
import type { BlobFeed } from './blob-feed.ts';
import { BLOCK_BYTES } from './block-pool.ts';
import { ask, cancelUpload, holdsBlob, type RegistryAccess } from './registry-access.ts';

/** What goes into one request where nothing else is known. */
const PART_BYTES = 8 * 1024 * 1024;
/**
 * The same where the registry has shown that it takes parts: each costs it a round trip, a flush and the reading of a hash
 * state. Also the largest least length that a registry may ask for (`OCI-Chunk-Min-Length`).
 */
export const LARGE_PART_BYTES = 16 * 1024 * 1024;
/** What is kept from the start of a blob until then: this much can be sent once more in another way. */
const PROOF_BYTES = 2 * PART_BYTES;
/** Below this a refusal of a length is final. */
const MIN_BODY_BYTES = 256 * 1024;
const OCTETS = { 'content-type': 'application/octet-stream' };

/** Resolves when the registry has the blob. Raises AdapterError UPLOAD_LOST, REGISTRY_…, BLOB_DIGEST_MISMATCH. */
export async function uploadBlob(
  access: RegistryAccess,
  repository: string,
  blob: TargetBlob,
  feed: BlobFeed,
  signal: AbortSignal,
): Promise<void> {
  const upload = createUpload(access, repository, blob, feed, signal);
  try {
    if (blob.sizeBytes <= Math.min(PART_BYTES, access.limits.bodyBytes)) {
      await feed.until(Number.POSITIVE_INFINITY, signal);
      if (await upload.whole()) return;
    }
    if (access.limits.parts !== 'refused' && (await upload.parts())) return;
    await upload.stream();
  } catch (failure) {
    await upload.cancel();
    throw failure;
  }
}

interface Upload {
  /** All in one request, as often as it takes. False when that is too large for what is in between. */
  whole(): Promise<boolean>;
  /** In parts. False when the registry does not take parts; nothing is forgotten then. */
  parts(): Promise<boolean>;
  /** All in one request, with whatever comes in. Not to be repeated. */
  stream(): Promise<void>;
  cancel(): Promise<void>;
}

function createUpload(
  access: RegistryAccess,
  repository: string,
  blob: TargetBlob,
  feed: BlobFeed,
  signal: AbortSignal,
): Upload {
  const { client, host, limits } = access;
  const { policy } = client;
  const target: RequestTarget = {
    host,
    repository,
    what: `blobs/uploads/ of ${blob.digest}`,
    access: 'push',
    digest: blob.digest,
  };
  /** Where the upload goes on; `undefined` when there is none. */
  let location: URL | undefined;
  let leastBytes = 0;
  const partBytes = () => Math.max(leastBytes, limits.parts === 'proven' ? LARGE_PART_BYTES : PART_BYTES);
  /** How far the registry has it. */
  let acknowledged = 0;
  /** Failures since the last progress. */
  let failures = 0;
  /** The most that it ever had. */
  let furthest = 0;

  const cancel = async (): Promise<void> => {
    if (location !== undefined) await cancelUpload(access, repository, location);
    location = undefined;
  };

  const begin = async (): Promise<URL> => {
    await cancel();
    const reply = await ask(
      access,
      repository,
      { method: 'POST', what: 'blobs/uploads/', digest: blob.digest },
      signal,
    );
    if (reply.location === undefined) throw protocolFailure(target, 'the upload has no address', 'no Location');
    location = reply.location;
    leastBytes = Number(/^\d{1,15}$/.exec(String(reply.headers['oci-chunk-min-length'] ?? ''))?.[0] ?? 0);
    if (leastBytes > LARGE_PART_BYTES) limits.parts = 'refused';
    else if (leastBytes > 0) limits.parts = 'proven';
    acknowledged = 0;
    return location;
  };

  const send = (method: 'PATCH' | 'PUT' | 'GET', url: URL, from: number, to: number, headers = {}) =>
    client.exchange(
      {
        ...target,
        method,
        url,
        headers: method === 'GET' ? headers : { ...OCTETS, ...headers },
        ...(method === 'GET' ? {} : { body: { parts: feed.slice(from, to), sizeBytes: to - from } }),
      },
      { signal },
    );

  /** Counts a failure; waits if it is worth another try, and throws it otherwise. */
  const wait = async (failure: unknown, mayRepeat: boolean): Promise<void> => {
    const decision = decideRetry(failure);
    failures += 1;
    if (signal.aborted || failures >= policy.attempts || (decision === 'give-up' && !mayRepeat)) throw failure;
    const delayMs = decision === 'give-up' ? 0 : (decision.delayMs ?? 0);
    await pause(Math.max(delayMs, backoffMs(failures, policy)), { signal });
  };

  const shrink = (triedBytes: number): boolean => {
    if (triedBytes <= MIN_BODY_BYTES) return false;
    limits.bodyBytes = Math.min(limits.bodyBytes, Math.max(MIN_BODY_BYTES, Math.ceil(triedBytes / 2)));
    return true;
  };

  const accepted = (reply: RegistryReply): void => {
    const said = reply.headers['docker-content-digest'];
    if (said === undefined || said === blob.digest) return;
    throw new AdapterError('BLOB_DIGEST_MISMATCH', `${host} took a blob and calls it by another digest`, {
      expected: blob.digest,
      found: String(said).slice(0, 100),
      at: { digest: blob.digest },
      hint: 'Run the command again. If it repeats, the registry or something before it alters data.',
    });
  };

  /** Asks how far the registry has it. Begins again where it knows nothing of the upload, if all is still here. */
  const recover = async (lost: unknown): Promise<void> => {
    let found: number | undefined;
    if (location !== undefined) {
      try {
        const reply = await send('GET', location, 0, 0);
        found = rangeEnd(reply);
        location = reply.location ?? location;
      } catch (failure) {
        const status = answeredStatus(failure);
        if (status === undefined || status >= 500 || status === 429 || status === 401) return wait(failure, false);
      }
      // `0-0` is said of nothing and of one byte. Where the one was refused, it is the other.
      if (found === 1) found = answeredStatus(lost) === 416 ? 1 - Math.min(1, acknowledged) : 0;
    }
    if (found !== undefined && found >= feed.from && found <= feed.to) {
      if (found > furthest) failures = 0;
      furthest = Math.max(furthest, found);
      acknowledged = found;
      return;
    }
    if (feed.from > 0) throw uploadLost(target, lost);
    await begin();
  };

  const forget = (): void => {
    // Also where another upload concluded that it does not.
    if (acknowledged >= PROOF_BYTES) limits.parts = 'proven';
    if (limits.parts === 'proven') feed.release(acknowledged);
  };

  const finish = (reply: RegistryReply): true => {
    accepted(reply);
    location = undefined;
    feed.release(feed.to);
    return true;
  };

  /** Whether all of it arrived, and the answer alone was lost. It may also have come from elsewhere: then this upload is over. */
  const arrived = async (): Promise<boolean> => {
    if (!(await holdsBlob(access, repository, blob, signal))) return false;
    await cancel();
    return finish({ status: 200, headers: {} });
  };

  return {
    async whole() {
      for (;;) {
        const url = await begin();
        try {
          return finish(await send('PUT', withDigest(url, blob), 0, blob.sizeBytes));
        } catch (failure) {
          if (answeredStatus(failure) === 413 && shrink(blob.sizeBytes)) return false;
          await wait(failure, isForgotten(failure));
          if (await arrived()) return true;
        }
      }
    },

    async parts() {
      failures = 0;
      await begin();
      if (limits.parts === 'refused') return false;
      for (;;) {
        await feed.until(acknowledged + partBytes(), signal);
        const from = acknowledged;
        const to = Math.min(from + Math.min(partBytes(), limits.bodyBytes), feed.to);
        const isLast = feed.finished && from === feed.to;
        const url = location ?? (await begin());
        try {
          if (isLast) return finish(await send('PUT', withDigest(url, blob), from, from));
          const reply = await send('PATCH', url, from, to, { 'content-range': `${from}-${to - 1}` });
          location = reply.location ?? url;
          const end = rangeEnd(reply) ?? to;
          // A registry that took less than was sent gets the rest.
          acknowledged = end > from && end <= to ? end : to;
          if (acknowledged > furthest) failures = 0;
          furthest = Math.max(furthest, acknowledged);
          forget();
        } catch (failure) {
          if (answeredStatus(failure) === 413 && shrink(to - from)) continue;
          const mayNotTakeParts = isRefusal(failure) && limits.parts !== 'proven' && feed.from === 0 && !isLast;
          // Once it may be the upload that is over. Twice it is the way in which it is sent.
          if (mayNotTakeParts && failures > 0) {
            limits.parts = 'refused';
            return false;
          }
          await wait(failure, mayNotTakeParts || isForgotten(failure));
          if (isLast && (await arrived())) return true;
          await recover(failure);
        }
      }
    },

    async stream() {
      const url = withDigest(await begin(), blob);
      const body = { parts: drain(feed, signal), sizeBytes: blob.sizeBytes };
      try {
        finish(await client.exchange({ ...target, method: 'PUT', url, headers: OCTETS, body }, { signal }));
      } catch (failure) {
        // What was sent is forgotten: only the next run can send it again.
        throw decideRetry(failure) === 'give-up' ? failure : uploadLost(target, failure);
      }
    },

    cancel,
  };
}

/**
 * Everything, as it comes in, in whole blocks: undici asks for the next only when the connection has taken one of that
 * length, so that its memory may then serve again.
 */
async function* drain(feed: BlobFeed, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let at = 0; !feed.finished || at < feed.to; ) {
    await feed.until(at + BLOCK_BYTES, signal);
    const to = feed.finished ? feed.to : feed.to - (feed.to % BLOCK_BYTES);
    for (const piece of feed.slice(at, to)) {
      yield piece;
      at += piece.byteLength;
      if (!feed.finished) feed.release(at);
    }
  }
}

/** A refusal by which a registry may mean that it knows the upload no more, or has it to another length. */
function isForgotten(failure: unknown): boolean {
  return [400, 404, 416].includes(answeredStatus(failure) ?? 0) && isRefusal(failure);
}

/** A refusal of this request that says nothing about the blob and the account. */
function isRefusal(failure: unknown): boolean {
  const status = answeredStatus(failure) ?? 0;
  if (status < 400 || (status >= 500 && status !== 501) || [401, 403, 408, 413, 429].includes(status)) return false;
  return failure instanceof AdapterError && !['BLOB_DIGEST_MISMATCH', 'REGISTRY_FULL'].includes(failure.code);
}

function withDigest(location: URL, { digest }: TargetBlob): URL {
  const url = new URL(location);
  // Not by searchParams, which would write the registry's own query anew.
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  return url;
}

/** How many bytes a registry says that it has: `Range: 0-8388607`. Of `0-0`, which may mean none as well, 1. */
function rangeEnd(reply: RegistryReply): number | undefined {
  const end = /^(?:bytes[= ])?0-(\d{1,16})$/.exec(String(reply.headers.range ?? ''))?.[1];
  return end === undefined ? undefined : Number(end) + 1;
}

function uploadLost(target: RequestTarget, cause: unknown): AdapterError {
  return new AdapterError('UPLOAD_LOST', `${target.host} lost an upload to ${target.repository} half-way`, {
    cause,
    ...(cause instanceof Error ? { found: cause.message } : {}),
    at: { url: `${target.host}/v2/${target.repository}/${target.what}` },
    hint: 'Run the command again: what arrived whole is kept, and this blob is sent again.',
  });
}
