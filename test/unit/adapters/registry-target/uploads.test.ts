import { describe, expect, it } from 'vitest';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import type { RegistryTargetSettings } from '../../../../src/adapters/registry-target/registry-target.ts';
import type { Digest } from '../../../../src/core/digest.ts';
import type { TargetImage } from '../../../../src/ports/image-target.ts';
import { refuse } from '../../../support/fault-registry.ts';
import { createContent, type ImageContent, pseudoRandom } from '../../../support/image-content.ts';
import { openTarget, RETRY, uploadRegistry } from '../../../support/registry-target-fixture.ts';
import { blobsOf, streamOf, targetImage } from '../../../support/target-images.ts';
import type { UploadFault, UploadRegistry } from '../../../support/upload-registry.ts';

const MIB = 1024 * 1024;
const WEB = 'registry.example/cms/web:1.4.0';

let random: Uint8Array = new Uint8Array();

/** The same bytes for all tests: making them takes longer than sending them. */
function bytesOf(sizeBytes: number): Uint8Array {
  if (random.length < sizeBytes) random = pseudoRandom('layer', sizeBytes);
  return random.subarray(0, sizeBytes);
}

/** An image with one layer of that length. */
function imageOf(sizeBytes: number): { content: ImageContent; image: TargetImage; layer: Digest } {
  const content = createContent();
  const layer = content.blob(bytesOf(sizeBytes));
  const image = targetImage(content, WEB, content.image({ layers: [layer] }));
  return { content, image, layer: layer.digest };
}

/** Parts as a bundle gives them. */
async function* blobsFrom(content: ImageContent, images: readonly TargetImage[]) {
  for await (const blob of streamOf(content, blobsOf(images))) {
    const bytes = content.blobs.get(blob.digest) as Uint8Array;
    const parts = async function* () {
      for (let at = 0; at < bytes.length; at += MIB) yield bytes.subarray(at, at + MIB);
    };
    yield { ...blob, bytes: parts() };
  }
}

async function push(registry: UploadRegistry, sizeBytes: number, settings: Partial<RegistryTargetSettings> = {}) {
  const { content, image, layer } = imageOf(sizeBytes);
  const target = openTarget(registry, settings);
  await target.write([image], blobsFrom(content, [image]));
  expect(registry.tags.get('cms/web:1.4.0')).toBe(image.digest);
  expect(registry.blobs.get(`cms/web ${layer}`)?.equals(content.blobs.get(layer) ?? Buffer.of())).toBe(true);
  expect(registry.uploads.size).toBe(0);
  return { content, image, layer, target };
}

async function failure(work: Promise<unknown>): Promise<AdapterError> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(AdapterError);
  // What an upload's address holds is a secret of the registry's.
  const shown = JSON.stringify([error, (error as Error).message, (error as AdapterError).at]);
  expect(shown).not.toContain('state-secret');
  return error as AdapterError;
}

/** The given thing for the request of that number among those that match; nothing for the others. */
function once(matches: (method: string, path: string) => boolean, number: number, fault: UploadFault): UploadFault {
  let seen = 0;
  return (request, response) => {
    if (!matches(request.method ?? '', request.url ?? '')) return undefined;
    seen += 1;
    return seen === number ? fault(request, response) : undefined;
  };
}
const isPatch = (method: string) => method === 'PATCH';
const isCommit = (method: string, path: string) => method === 'PUT' && path.includes('/uploads/');
const sentTo = (registry: UploadRegistry, method: string) =>
  registry.requests.filter((request) => request.method === method && request.path.includes('/uploads/'));
const ranges = (registry: UploadRegistry) => sentTo(registry, 'PATCH').map(({ headers }) => headers['content-range']);

describe('registry target: a blob in parts', () => {
  it('sends a small blob in one request, and a large one in parts that grow once they are known to be taken', async () => {
    const registry = await uploadRegistry();
    await push(registry, 40 * MIB);
    expect(ranges(registry)).toEqual([
      `0-${8 * MIB - 1}`,
      `${8 * MIB}-${16 * MIB - 1}`,
      `${16 * MIB}-${32 * MIB - 1}`,
      `${32 * MIB}-${40 * MIB - 1}`,
    ]);
    expect(sentTo(registry, 'POST')).toHaveLength(2);
  });

  it.each([1, 2, 3])('goes on where the registry stands after part %i broke off', async (number) => {
    const cut = 3 * MIB + 123;
    const registry = await uploadRegistry({ fault: once(isPatch, number, () => ({ cutAfterBytes: cut })) });
    await push(registry, 34 * MIB);
    const [first, second] = ranges(registry).slice(number - 1, number + 1) as [string, string];
    expect(Number(second.split('-')[0])).toBe(Number(first.split('-')[0]) + cut);
    expect(sentTo(registry, 'POST')).toHaveLength(2);
  });

  it.each([0, 1])('tells an upload of %i bytes from the other, which registries write alike', async (bytes) => {
    const registry = await uploadRegistry({ fault: once(isPatch, 1, () => ({ cutAfterBytes: bytes })) });
    await push(registry, 17 * MIB);
  });

  it('sends a part again that was answered with an error, and not what came before', async () => {
    const registry = await uploadRegistry({
      fault: once(isPatch, 2, (request, response) => {
        request.resume();
        return refuse(response, 500, 'UNKNOWN');
      }),
    });
    await push(registry, 20 * MIB);
    expect(ranges(registry).slice(1, 3)).toEqual([`${8 * MIB}-${16 * MIB - 1}`, `${8 * MIB}-${16 * MIB - 1}`]);
  });

  it('takes an answer that was lost for what it was', async () => {
    const registry = await uploadRegistry({ fault: once(isPatch, 2, () => 'answer-lost') });
    await push(registry, 20 * MIB);
    expect(ranges(registry)).toHaveLength(3);
  });

  it('asks whether a blob is there when the answer to its end was lost', async () => {
    const registry = await uploadRegistry({ fault: once(isCommit, 1, () => 'answer-lost') });
    await push(registry, 20 * MIB);
    const small = await uploadRegistry({ fault: once(isCommit, 1, () => 'answer-lost') });
    await push(small, 1000);
    for (const { requests } of [registry, small]) {
      expect(requests.filter(({ method, path }) => isCommit(method, path))).toHaveLength(2);
    }
  });

  it('begins anew when the registry forgot an upload of which all is still here', async () => {
    const registry: UploadRegistry = await uploadRegistry({
      fault: once(isPatch, 2, () => {
        registry.uploads.clear();
        return undefined;
      }),
    });
    await push(registry, 20 * MIB);
    expect(ranges(registry).filter((range) => range?.startsWith('0-'))).toHaveLength(2);
  });

  it('says that an upload was lost of which the start is gone, sends the other blobs, and the next write mends it', async () => {
    const registry: UploadRegistry = await uploadRegistry({
      fault: once(isPatch, 4, () => {
        registry.uploads.clear();
        return undefined;
      }),
    });
    const { content, image, layer } = imageOf(60 * MIB);
    const target = openTarget(registry);
    const error = await failure(target.write([image], blobsFrom(content, [image])));
    expect(error.code).toBe('UPLOAD_LOST');
    expect(error.at?.digest).toBeUndefined();
    expect(registry.tags.size).toBe(0);
    const survey = await target.survey([image]);
    const missing = image.blobs.filter(({ digest }) => !survey.blobs.has(digest)).map(({ digest }) => digest);
    expect(missing.toSorted()).toEqual([layer, image.digest].toSorted());
    await target.write([image], streamOf(content, blobsOf([image], survey.blobs)));
    expect(registry.tags.get('cms/web:1.4.0')).toBe(image.digest);
  });

  it.each([413, 1])('sends less at once where a proxy allows no more (from status or length %i)', async (kind) => {
    const limit = kind === 413 ? 3 * MIB : MIB;
    const registry = await uploadRegistry({
      fault(request, response) {
        if (Number(request.headers['content-length'] ?? 0) <= limit) return undefined;
        request.resume();
        return refuse(response, 413, 'SIZE_INVALID');
      },
    });
    await push(registry, kind === 413 ? 20 * MIB : 6 * MIB);
  });

  it('says so where nothing is small enough', async () => {
    const registry = await uploadRegistry({
      fault(request, response) {
        if (Number(request.headers['content-length'] ?? 0) <= 1000) return undefined;
        request.resume();
        return refuse(response, 413, 'SIZE_INVALID');
      },
    });
    expect((await failure(push(registry, 20 * MIB))).code).toBe('REGISTRY_BODY_LIMIT');
  });

  it.each([405, 400, 501])('sends a blob in one request where parts are refused with %i', async (status) => {
    const registry = await uploadRegistry({
      fault(request, response) {
        if (request.method !== 'PATCH') return undefined;
        request.resume();
        return refuse(response, status, 'UNSUPPORTED');
      },
    });
    const { target } = await push(registry, 40 * MIB);
    expect(sentTo(registry, 'PUT').map(({ headers }) => headers['content-length'])).toContain(String(40 * MIB));
    // It is known from then on.
    const patches = sentTo(registry, 'PATCH').length;
    const content = createContent();
    const other = targetImage(content, WEB, content.image({ layers: [content.blob(pseudoRandom('other', 20 * MIB))] }));
    await target.write([other], streamOf(content, blobsOf([other])));
    expect(sentTo(registry, 'PATCH')).toHaveLength(patches);
  });

  it('finds out for several blobs at once that parts are refused', async () => {
    const registry = await uploadRegistry({
      fault(request, response) {
        if (request.method !== 'PATCH') return undefined;
        request.resume();
        return refuse(response, 405, 'UNSUPPORTED');
      },
    });
    const content = createContent();
    // Each is read to its end before the first is known to be refused.
    const layers = [10, 9.5, 9].map((mib) => content.blob(bytesOf(mib * MIB)));
    const image = targetImage(content, WEB, content.image({ layers }));
    await openTarget(registry).write([image], blobsFrom(content, [image]));
    expect(registry.tags.get('cms/web:1.4.0')).toBe(image.digest);
  });

  it('sends parts as long as the registry wants them', async () => {
    const registry = await uploadRegistry({ headers: { 'oci-chunk-min-length': String(12 * MIB) } });
    await push(registry, 40 * MIB);
    for (const range of ranges(registry).slice(0, -1)) {
      const [from, to] = (range ?? '').split('-').map(Number) as [number, number];
      expect(to - from + 1).toBeGreaterThanOrEqual(12 * MIB);
    }
    const greedy = await uploadRegistry({ headers: { 'oci-chunk-min-length': String(100 * MIB) } });
    await push(greedy, 40 * MIB);
    expect(sentTo(greedy, 'PATCH')).toEqual([]);
  });

  it('gives up after as many failures as it may, and closes the upload', async () => {
    const registry = await uploadRegistry({
      fault(request, response) {
        if (request.method !== 'PATCH') return undefined;
        request.resume();
        return refuse(response, 503, 'UNAVAILABLE');
      },
    });
    expect((await failure(push(registry, 20 * MIB))).code).toBe('REGISTRY_FAILED');
    expect(ranges(registry)).toHaveLength(RETRY.attempts);
    expect(registry.uploads.size).toBe(0);
    expect(registry.tags.size).toBe(0);
  });

  it('does not wait for ever for a registry that says nothing', async () => {
    const registry = await uploadRegistry({ fault: (request) => request.method === 'PATCH' });
    const settings = { headersTimeoutMs: 100, retry: { ...RETRY, attempts: 2 } };
    expect((await failure(push(registry, 20 * MIB, settings))).code).toBe('REGISTRY_TIMEOUT');
  });

  it('tries again where it came too often', async () => {
    const registry = await uploadRegistry({
      fault: once(isPatch, 1, (request, response) => {
        request.resume();
        return refuse(response, 429, 'TOOMANYREQUESTS', { 'retry-after': '3600' });
      }),
    });
    await push(registry, 10 * MIB, { maxRetryAfterMs: 1 });
  });

  it('ends at once when it is stopped, with the reason, and closes the upload', async () => {
    const stop = new AbortController();
    const reason = new Error('stopped by the test');
    const registry = await uploadRegistry({
      fault(request) {
        if (request.method !== 'PATCH') return undefined;
        stop.abort(reason);
        return true;
      },
    });
    const { content, image } = imageOf(20 * MIB);
    const write = openTarget(registry).write([image], blobsFrom(content, [image]), { signal: stop.signal });
    await expect(write).rejects.toBe(reason);
    expect(registry.uploads.size).toBe(0);
  });
});

describe('registry target: what is in memory and under way', () => {
  it('reads no more than 32 MiB ahead of what the registry has taken', async () => {
    const open = Promise.withResolvers<void>();
    let read = 0;
    let waiting = 0;
    const registry = await uploadRegistry({
      fault(request) {
        if (request.method === 'PATCH' && waiting === 0) {
          waiting = 1;
          return true; // Never answered.
        }
        return undefined;
      },
    });
    const { content, image, layer } = imageOf(80 * MIB);
    const bytes = content.blobs.get(layer) as Uint8Array;
    const stop = new AbortController();
    const blob = image.blobs.find(({ digest }) => digest === layer);
    if (blob === undefined) throw new Error('no layer');
    const parts = async function* () {
      for (let at = 0; at < bytes.length; at += MIB) {
        read += 1;
        if (read === 32) open.resolve();
        yield bytes.subarray(at, at + MIB);
      }
    };
    const blobs = async function* () {
      yield { ...blob, bytes: parts() };
    };
    const write = openTarget(registry).write([image], blobs(), { signal: stop.signal });
    const ended = write.catch(() => {});
    await open.promise;
    // Whatever could still be read is read in these turns of the loop.
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(read).toBeLessThanOrEqual(33);
    stop.abort();
    await ended;
  });

  it('sends eight small blobs at once, and no more', async () => {
    const held: (() => void)[] = [];
    let most = 0;
    const registry = await uploadRegistry({
      async fault(request) {
        if (request.method !== 'POST') return undefined;
        const { promise, resolve } = Promise.withResolvers<void>();
        held.push(resolve);
        if (held.length === 8) {
          // Whoever else would come, comes in these turns of the loop.
          for (let turn = 0; turn < 100; turn += 1) await new Promise((next) => setImmediate(next));
          most = Math.max(most, held.length);
          for (const release of held.splice(0)) release();
        }
        await promise;
        return undefined;
      },
    });
    const content = createContent();
    // With the configuration 64: every group of eight is complete.
    const layers = Array.from({ length: 63 }, (_, number) => content.blob(pseudoRandom(`${number}`, 2000)));
    const image = targetImage(content, WEB, content.image({ layers }));
    await openTarget(registry).write([image], streamOf(content, blobsOf([image])));
    expect(most).toBe(8);
    expect(registry.tags.size).toBe(1);
  });
});
