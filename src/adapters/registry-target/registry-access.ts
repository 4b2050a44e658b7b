import type { Digest } from '../../core/digest.ts';
import type { TargetBlob } from '../../ports/image-target.ts';
import type { RegistryClient, RegistryReply, RegistryRequest } from '../registry/client.ts';
import { answeredStatus } from '../registry/failure.ts';

/** A registry that is written to, and what was learned of it on the way. */
export interface RegistryAccess {
  readonly client: RegistryClient;
  readonly host: string;
  readonly limits: UploadLimits;
}

export interface UploadLimits {
  /** What is sent in one request. Halved when a proxy in between refuses it. */
  bodyBytes: number;
  /** Whether the registry takes a blob in several requests; where not, it goes in one, which cannot be resumed. */
  parts: 'unproven' | 'proven' | 'refused';
}

const CANCEL_TIMEOUT_MS = 2000;
const CANCEL_TRIES = 3;

type WhatOfRepository = Pick<RegistryRequest, 'method' | 'what' | 'headers' | 'allow' | 'body' | 'url' | 'digest'>;

/** A request with push rights to one repository, tried as often as the policy says. */
export function ask(
  { client, host }: RegistryAccess,
  repository: string,
  request: WhatOfRepository,
  signal: AbortSignal,
): Promise<RegistryReply> {
  return client.exchange({ host, repository, access: 'push', ...request }, { retried: true, signal });
}

/** Whether a repository holds a blob, whole. */
export async function holdsBlob(
  access: RegistryAccess,
  repository: string,
  blob: Pick<TargetBlob, 'digest' | 'sizeBytes'>,
  signal: AbortSignal,
): Promise<boolean> {
  const request = { method: 'HEAD', what: `blobs/${blob.digest}`, allow: [404] } as const;
  return isWhole(await ask(access, repository, request, signal), blob.sizeBytes);
}

/** Whether the answer to a HEAD is that of something which is there with that length. */
export function isWhole(reply: RegistryReply, sizeBytes: number): boolean {
  const length = reply.headers['content-length'];
  return reply.status === 200 && (length === undefined || Number(length) === sizeBytes);
}

/**
 * Has the registry link a blob that it holds in another repository. False where it does not do that, or does not hold it
 * there: it then opened an upload, which is closed again.
 */
export async function mountBlob(
  { client, host }: RegistryAccess,
  repository: string,
  from: string,
  digest: Digest,
  signal: AbortSignal,
): Promise<boolean> {
  const query = new URLSearchParams({ mount: digest, from });
  const url = new URL(`${client.originOf(host)}/v2/${repository}/blobs/uploads/?${query}`);
  const target = { host, repository, access: 'push', mountFrom: from, what: 'blobs/uploads/', url } as const;
  try {
    const reply = await client.exchange({ ...target, method: 'POST' }, { retried: true, signal });
    if (reply.status === 201) return true;
    if (reply.location !== undefined) await cancelUpload({ client, host }, repository, reply.location);
    return false;
  } catch (failure) {
    // Refused, for instance because the account may not read there. Whoever cannot write at all finds out next.
    const status = answeredStatus(failure);
    if (status !== undefined && status < 500 && status !== 429) return false;
    throw failure;
  }
}

/** Tells the registry that an upload is given up, so that its bytes go at once. Best effort, also after an abort. */
export async function cancelUpload(
  { client, host }: Pick<RegistryAccess, 'client' | 'host'>,
  repository: string,
  url: URL,
): Promise<void> {
  const signal = AbortSignal.timeout(CANCEL_TIMEOUT_MS);
  const upload = { host, repository, access: 'push', what: 'blobs/uploads/' } as const;
  let at = url;
  for (let tries = 0; tries < CANCEL_TRIES; tries += 1) {
    try {
      await client.exchange({ ...upload, method: 'DELETE', url: at }, { signal });
      return;
    } catch (failure) {
      // An address may be good for one length of the upload alone, which is another one after a part broke off.
      if (![400, 416].includes(answeredStatus(failure) ?? 0)) return;
    }
    const reply = await client.exchange({ ...upload, url: at }, { signal }).catch(() => undefined);
    if (reply?.location === undefined) return;
    at = reply.location;
  }
}
