import type { Descriptor } from '../../formats/oci/types.ts';
import { AdapterError } from '../errors.ts';
import type { RegistryAnswer, RegistryClient } from './client.ts';
import { networkFailure, protocolFailure, type RequestTarget } from './failure.ts';

/** Fewer bytes than this in one window of `bodyTimeoutMs` is a server that keeps a connection busy, not a slow one. */
const MIN_WINDOW_BYTES = 16 * 1024;

/**
 * Opens a blob from an offset on. Raises before the first byte when the announced length is not the descriptor's. A
 * server without ranges, or with wrong ones (some caching proxies), is read from the start and the known bytes skipped.
 */
export async function openBlob(
  client: RegistryClient,
  repository: { readonly host: string; readonly repository: string },
  descriptor: Descriptor,
  offsetBytes: number,
  signal?: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const target: RequestTarget = { ...repository, what: `blobs/${descriptor.digest}` };
  if (offsetBytes > 0) {
    const headers = { range: `bytes=${offsetBytes}-` };
    const answer = await client.open({ ...target, headers, allow: [416] }, signal);
    if (isRangeFrom(answer, offsetBytes, descriptor.size)) return guard(client, target, answer, 0, signal);
    if (answer.status === 200) return guard(client, target, checked(target, answer, descriptor), offsetBytes, signal);
    answer.body.destroy();
  }
  const answer = await client.open({ ...target }, signal);
  return guard(client, target, checked(target, answer, descriptor), offsetBytes, signal);
}

function isRangeFrom(answer: RegistryAnswer, offsetBytes: number, sizeBytes: number): boolean {
  if (answer.status !== 206) return false;
  const range = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(String(answer.headers['content-range'] ?? ''));
  if (!range || encoded(answer)) return false;
  const [first, last, total] = [Number(range[1]), Number(range[2]), range[3] === '*' ? sizeBytes : Number(range[3])];
  // A shorter range is fine: the rest is asked for next.
  return first === offsetBytes && last < sizeBytes && last >= first && total === sizeBytes;
}

function checked(target: RequestTarget, answer: RegistryAnswer, descriptor: Descriptor): RegistryAnswer {
  let failure: AdapterError | undefined;
  const length = answer.headers['content-length'];
  if (answer.status !== 200) {
    failure = protocolFailure(target, 'a blob was answered with the wrong status', `HTTP ${answer.status}`);
  } else if (encoded(answer)) {
    failure = protocolFailure(target, 'a blob was compressed on the way', String(answer.headers['content-encoding']));
  } else if (length !== undefined && Number(length) !== descriptor.size) {
    failure = new AdapterError(
      'BLOB_SIZE_MISMATCH',
      `${target.host} announces another length than the descriptor says`,
      {
        expected: `${descriptor.size} bytes`,
        found: `${Number(length)} bytes`,
        at: { digest: descriptor.digest, url: `${target.host}/v2/${target.repository}/${target.what}` },
      },
    );
  }
  if (!failure) return answer;
  answer.body.destroy();
  throw failure;
}

function encoded(answer: RegistryAnswer): boolean {
  const encoding = answer.headers['content-encoding'];
  return encoding !== undefined && encoding !== 'identity';
}

/** The body without its first `skipBytes`, with errors of our own, and with an end to what does not move. */
async function* guard(
  client: RegistryClient,
  target: RequestTarget,
  answer: RegistryAnswer,
  skipBytes: number,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let windowBytes = 0;
  let toSkip = skipBytes;
  const watch = setInterval(() => {
    if (windowBytes < MIN_WINDOW_BYTES) answer.body.destroy(new DOMException('The transfer stalled', 'TimeoutError'));
    windowBytes = 0;
  }, client.bodyTimeoutMs);
  try {
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      windowBytes += chunk.byteLength;
      const skipped = Math.min(toSkip, chunk.byteLength);
      toSkip -= skipped;
      if (skipped < chunk.byteLength) yield chunk.subarray(skipped);
    }
  } catch (cause) {
    throw networkFailure(target, cause, signal);
  } finally {
    clearInterval(watch);
    answer.body.destroy();
  }
}
