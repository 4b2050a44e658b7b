import { mkdtemp, readdir, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createBlobStore } from '../../../../src/adapters/blob-store/blob-store.ts';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import {
  createRegistrySource,
  type RegistrySource,
  type RegistrySourceOptions,
} from '../../../../src/adapters/registry/registry-source.ts';
import { hexOf } from '../../../../src/core/digest.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import { MAX_MANIFEST_BYTES, MEDIA_TYPES } from '../../../../src/formats/oci/manifest.ts';
import {
  type Fault,
  type FaultRegistry,
  type FaultRegistryOptions,
  refuse,
  startFaultRegistry,
} from '../../../support/fault-registry.ts';
import { createContent, type ImageContent, pseudoRandom } from '../../../support/image-content.ts';
import {
  contentWithAttachments,
  describeImageSource,
  expectCode,
  present,
} from '../../../support/image-source-suite.ts';

const PLATFORMS = ['linux/amd64'];
const RETRY = { attempts: 3, baseDelayMs: 1, maxDelayMs: 2 };
const cleanups: (() => Promise<unknown>)[] = [];

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'portolan-registry-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface Opened {
  readonly registry: FaultRegistry;
  readonly source: RegistrySource;
  readonly folder: string;
  readonly reference: (tag: string) => string;
}

async function open(
  content: ImageContent,
  faults: FaultRegistryOptions = {},
  options: Partial<RegistrySourceOptions> = {},
  folder?: string,
): Promise<Opened> {
  const registry = await startFaultRegistry(content, faults);
  const storeFolder = folder ?? (await temporaryFolder());
  const source = createRegistrySource({
    store: createBlobStore(storeFolder, { resume: RETRY }),
    registries: { [registry.host]: { plainHttp: true } },
    retry: RETRY,
    ...options,
  });
  cleanups.push(async () => {
    await source.close();
    await registry.close();
  });
  return { registry, source, folder: storeFolder, reference: (tag) => `${registry.host}/cms/web:${tag}` };
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describeImageSource(
  'registry',
  async (content) => ({ ...(await open(content)), close: async () => {} }),
  'IMAGE_NOT_FOUND',
);

describeImageSource(
  'registry without the referrers API',
  async (content) => {
    // The tag schema: an index under sha256-<hex>.
    const referrers = new Map<string, { mediaType: string; digest: string; size: number }[]>();
    for (const [digest, mediaType] of content.manifestTypes) {
      const bytes = content.blobs.get(digest);
      const subject =
        bytes && (JSON.parse(new TextDecoder().decode(bytes)) as { subject?: { digest: string } }).subject;
      if (!subject || !bytes) continue;
      const tag = subject.digest.replace(':', '-');
      referrers.set(tag, [...(referrers.get(tag) ?? []), { mediaType, digest, size: bytes.byteLength }]);
    }
    for (const [tag, manifests] of referrers) content.tag(tag, content.index(manifests as never));
    return { ...(await open(content, { referrers: false })), close: async () => {} };
  },
  'IMAGE_NOT_FOUND',
);

/** One image with one layer of 300,000 bytes. */
function largeImage() {
  const content = createContent();
  const layer = content.blob(pseudoRandom('large', 300_000));
  content.tag('1.0', content.image({ layers: [layer] }));
  return { content, layer };
}

function onLayer(layer: { digest: string }, fault: Fault): Fault {
  return (request, response) =>
    request.url?.endsWith(`/blobs/${layer.digest}`) ? fault(request, response) : undefined;
}

function times(count: number, fault: Fault): Fault {
  let left = count;
  return (request, response) => {
    if (left <= 0) return undefined;
    left -= 1;
    return fault(request, response);
  };
}

/** Without Content-Length. */
function inPieces(response: ServerResponse, pieces: readonly Uint8Array[]): true {
  for (const piece of pieces) response.write(piece);
  response.end();
  return true;
}

async function leftovers(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, 'blobs', 'sha256')).catch(() => []);
  return names.filter((name) => !/^[0-9a-f]{64}$/.test(name));
}

describe('registry: a pinned image', () => {
  it('needs no network once every blob is in the store', async () => {
    const content = createContent();
    content.tag('1.0', contentWithAttachments(content).root);
    const { registry, source, reference, folder } = await open(content);
    const request = { reference: reference('1.0'), platforms: PLATFORMS };
    const image = present(await source.acquire(request));
    const asked = registry.requests.length;
    const pinned = {
      digest: image.root.digest,
      attachments: image.attachments.map(({ descriptor }) => descriptor.digest),
    };
    await registry.close();
    const offline = createRegistrySource({ store: createBlobStore(folder), retry: { ...RETRY, attempts: 1 } });
    expect(await offline.acquire({ ...request, pinned })).toEqual(image);
    expect(registry.requests.length).toBe(asked);
  });

  it('does not ask for the tag, which may have moved', async () => {
    const content = createContent();
    const image = content.image();
    content.tag('1.0', content.image({ layers: [content.blob('newer')] }));
    const { registry, source, reference } = await open(content);
    const pinned = { digest: image.digest, attachments: [] };
    const acquired = present(await source.acquire({ reference: reference('1.0'), platforms: PLATFORMS, pinned }));
    expect(acquired.root.digest).toBe(image.digest);
    expect(registry.requests.some(({ path }) => path.endsWith('/manifests/1.0'))).toBe(false);
  });
});

describe('registry: faults on the way', () => {
  const REQUEST = (opened: Opened) => ({ reference: opened.reference('1.0'), platforms: PLATFORMS });

  it.each([429, 500, 502, 503, 504, 408])('tries again after %i, and no more often than it may', async (status) => {
    const content = createContent();
    content.tag('1.0', content.image());
    const brief = await open(content, { fault: times(2, (_request, response) => refuse(response, status, 'BUSY')) });
    expect(await brief.source.acquire(REQUEST(brief))).toBeDefined();
    const always = await open(content, { fault: (_request, response) => refuse(response, status, 'BUSY') });
    const code = status === 429 ? 'REGISTRY_THROTTLED' : 'REGISTRY_FAILED';
    await expectCode(always.source.acquire(REQUEST(always)), AdapterError, code, { found: `HTTP ${status}` });
    expect(always.registry.requests.length).toBe(RETRY.attempts);
  });

  it('waits as long as Retry-After says, within a bound', async () => {
    const content = createContent();
    content.tag('1.0', content.image());
    const headers = { 'retry-after': '86400' };
    const fault = times(1, (_request, response) => refuse(response, 429, 'TOOMANYREQUESTS', headers));
    const opened = await open(content, { fault }, { maxRetryAfterMs: 5 });
    expect(await opened.source.acquire(REQUEST(opened))).toBeDefined();
    // Without the bound the wait is the server's: it ends with the signal alone.
    const stop = new AbortController();
    const patient = await open(content, {
      fault: times(1, (_request, response) => {
        response.on('close', () => setTimeout(() => stop.abort(new Error('stop')), 50));
        return refuse(response, 429, 'TOOMANYREQUESTS', headers);
      }),
    });
    await expect(patient.source.acquire(REQUEST(patient), { signal: stop.signal })).rejects.toThrow('stop');
    expect(patient.registry.requests.length).toBe(1);
  });

  it('does not try again after 400, 403 and 404', async () => {
    const content = createContent();
    content.tag('1.0', content.image());
    for (const [status, code] of [
      [400, 'REGISTRY_FAILED'],
      [403, 'REGISTRY_UNAUTHORIZED'],
      [404, 'IMAGE_NOT_FOUND'],
    ] as const) {
      const opened = await open(content, { fault: (_request, response) => refuse(response, status, 'NO') });
      await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, code);
      expect(opened.registry.requests.length).toBe(1);
    }
  });

  it("shows the registry's own words, without control characters and cut", async () => {
    const content = createContent();
    const message = `\u001b[31mdenied\u0007\u202e${'x'.repeat(5000)}`;
    const opened = await open(content, { fault: (_request, response) => refuse(response, 403, 'DENIED', {}, message) });
    const failure = await opened.source.acquire(REQUEST(opened)).catch((error: unknown) => error as AdapterError);
    const text = (failure as AdapterError).message;
    expect(text).toContain('DENIED');
    expect(text).toContain(opened.registry.host);
    expect(text).toContain('cms/web');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may come through
    expect(text).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(text.length).toBeLessThan(600);
  });

  it('tries again when a manifest is cut, and when the connection dies before an answer', async () => {
    const content = createContent();
    content.tag('1.0', content.image());
    const faults: Fault[] = [
      (_request, response) => {
        response.writeHead(200, { 'content-type': MEDIA_TYPES.ociManifest, 'content-length': 1000 });
        response.write('{"schemaVersion":2', () => response.destroy());
        return true;
      },
      (request) => request.socket.destroy() && true,
    ];
    for (const fault of faults) {
      const brief = await open(content, { fault: times(2, fault) });
      expect(await brief.source.acquire(REQUEST(brief))).toBeDefined();
      const always = await open(content, { fault });
      await expectCode(always.source.acquire(REQUEST(always)), AdapterError, 'REGISTRY_UNREACHABLE');
      expect(always.registry.requests.length).toBe(RETRY.attempts);
    }
  });

  it('tells a lost part from an image that is not there', async () => {
    const content = createContent();
    const child = content.image();
    content.tag('1.0', content.index([child]));
    content.blobs.delete(child.digest);
    const opened = await open(content);
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'BLOB_MISSING');
  });

  it('refuses a proxy that is none, without showing its password', async () => {
    const content = createContent();
    for (const address of ['socks5://ann:secret@proxy.example', 'http://ann:secret@:no port']) {
      const opened = await open(content, {}, { proxy: { httpProxy: address, httpsProxy: address } });
      const failure = await opened.source.acquire(REQUEST(opened)).catch((error: unknown) => error as AdapterError);
      expect(failure).toMatchObject({ code: 'PROXY_INVALID' });
      const { message, cause } = failure as AdapterError;
      expect(`${JSON.stringify(failure)}${message}${cause}`).not.toContain('secret');
    }
  });

  it('goes through a proxy for plain HTTP too, with or without a scheme in its address', async () => {
    const content = createContent();
    content.tag('1.0', content.image());
    // A registry serves as the proxy: it is asked for whole addresses, and answers by itself.
    const proxy = await startFaultRegistry(content);
    cleanups.push(() => proxy.close());
    for (const address of [proxy.host, `http://${proxy.host}`]) {
      const before = proxy.requests.length;
      const opened = await open(createContent(), {}, { proxy: { httpProxy: address } });
      expect(await opened.source.acquire(REQUEST(opened))).toBeDefined();
      expect(opened.registry.requests).toEqual([]);
      expect(proxy.requests.length).toBeGreaterThan(before);
    }
  });

  it('goes on in the middle of a layer when the connection dies', async () => {
    const { content, layer } = largeImage();
    const cut = times(2, (request, response) => {
      const from = Number(/=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const bytes = content.blobs.get(layer.digest) as Uint8Array;
      const range = { 'content-range': `bytes ${from}-${layer.size - 1}/${layer.size}` };
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': layer.size - from, ...(from > 0 ? range : {}) });
      response.write(bytes.subarray(from, from + 100_000), () => response.destroy());
      return true;
    });
    const opened = await open(content, { fault: onLayer(layer, cut) });
    expect(await opened.source.acquire(REQUEST(opened))).toBeDefined();
    const ranges = layerRequests(opened, layer).map(({ headers }) => headers.range);
    expect(ranges.length).toBe(3);
    expect(ranges[0]).toBeUndefined();
    for (const range of ranges.slice(1)) expect(range).toMatch(/^bytes=[1-9]\d*-$/);
    expect(await leftovers(opened.folder)).toEqual([]);
  });

  it('goes on with the next run where the last one stopped', async () => {
    const { content, layer } = largeImage();
    const dies: Fault = (request, response) => {
      if (request.headers.range !== undefined) return response.destroy() && true;
      response.writeHead(200, { 'content-length': layer.size });
      response.write(content.blobs.get(layer.digest)?.subarray(0, 200_000), () => response.destroy());
      return true;
    };
    const first = await open(content, { fault: onLayer(layer, dies) });
    await expectCode(first.source.acquire(REQUEST(first)), AdapterError, 'REGISTRY_UNREACHABLE');
    expect((await leftovers(first.folder)).length).toBe(1);
    const second = await open(content, {}, {}, first.folder);
    expect(await second.source.acquire(REQUEST(second))).toBeDefined();
    const [only, ...more] = layerRequests(second, layer);
    expect(more).toEqual([]);
    expect(only?.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
    expect(await leftovers(first.folder)).toEqual([]);
  });

  it.each<[string, (request: IncomingMessage, response: ServerResponse, bytes: Uint8Array) => void]>([
    ['ignores ranges', (_request, response, bytes) => response.writeHead(200).end(bytes)],
    [
      'answers another range than was asked for',
      (request, response, bytes) =>
        request.headers.range === undefined
          ? response.writeHead(200).end(bytes)
          : response.writeHead(206, { 'content-range': `bytes 0-${bytes.length - 1}/${bytes.length}` }).end(bytes),
    ],
    [
      'answers a range of something longer',
      (request, response, bytes) =>
        request.headers.range === undefined
          ? response.writeHead(200).end(bytes)
          : response.writeHead(206, { 'content-range': 'bytes 100000-999999/1000000' }).end(Buffer.alloc(900_000)),
    ],
    [
      'answers 206 and no Content-Range',
      (request, response, bytes) => response.writeHead(request.headers.range === undefined ? 200 : 206).end(bytes),
    ],
    [
      'refuses ranges with 416',
      (request, response, bytes) =>
        request.headers.range === undefined
          ? response.writeHead(200).end(bytes)
          : void refuse(response, 416, 'RANGE_INVALID'),
    ],
  ])('ends with the right bytes at a server that %s', async (_name, answer) => {
    const { content, layer } = largeImage();
    const bytes = content.blobs.get(layer.digest) as Uint8Array;
    const cut = times(1, (_request, response) => {
      response.writeHead(200, { 'content-length': layer.size });
      response.write(bytes.subarray(0, 100_000), () => response.destroy());
      return true;
    });
    const fault = onLayer(layer, (request, response) => {
      if (!cut(request, response)) answer(request, response, bytes);
      return true;
    });
    const opened = await open(content, { fault });
    expect(await opened.source.acquire(REQUEST(opened))).toBeDefined();
    expect(await leftovers(opened.folder)).toEqual([]);
  });

  it.each<[string, (response: ServerResponse, bytes: Uint8Array) => void]>([
    ['longer, announced', (response, bytes) => response.end(Buffer.concat([bytes, bytes]))],
    ['longer, not announced', (response, bytes) => inPieces(response, [bytes, bytes])],
    [
      'shorter, announced',
      (response, bytes) => response.writeHead(200, { 'content-length': 9 }).end(bytes.subarray(0, 9)),
    ],
    ['shorter, not announced', (response, bytes) => inPieces(response, [bytes.subarray(0, 4), bytes.subarray(4, 9)])],
  ])('refuses a layer that is %s', async (_name, answer) => {
    const { content, layer } = largeImage();
    const fault = onLayer(layer, (_request, response) => {
      answer(response, content.blobs.get(layer.digest) as Uint8Array);
      return true;
    });
    const opened = await open(content, { fault });
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'BLOB_SIZE_MISMATCH');
    expect(await leftovers(opened.folder)).toEqual([]);
  });

  it('refuses wrong bytes of the right length, and leaves nothing', async () => {
    const { content, layer } = largeImage();
    const fault = onLayer(layer, (_request, response) => inPieces(response, [Buffer.alloc(layer.size)]));
    const opened = await open(content, { fault });
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'BLOB_DIGEST_MISMATCH');
    const names = await readdir(join(opened.folder, 'blobs', 'sha256'));
    expect(names.filter((name) => name.startsWith(hexOf(layer.digest)))).toEqual([]);
  });

  it('refuses a layer that was compressed on the way', async () => {
    const { content, layer } = largeImage();
    const fault = onLayer(layer, (_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('whatever');
      return true;
    });
    const opened = await open(content, { fault });
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'REGISTRY_PROTOCOL');
  });

  it('gives up on a server that never answers', async () => {
    const content = createContent();
    const opened = await open(
      content,
      { fault: () => true },
      { headersTimeoutMs: 50, retry: { ...RETRY, attempts: 2 } },
    );
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'REGISTRY_TIMEOUT');
    expect(opened.registry.requests.length).toBe(2);
  });

  it('gives up on a manifest that trickles in for ever', async () => {
    const content = createContent();
    const fault: Fault = (_request, response) => {
      const timer = setInterval(() => response.write(' '), 5);
      response.on('close', () => clearInterval(timer));
      return true;
    };
    const opened = await open(content, { fault }, { documentTimeoutMs: 100, retry: { ...RETRY, attempts: 2 } });
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'REGISTRY_TIMEOUT');
  });

  it('gives up on a layer that trickles in for ever', async () => {
    const { content, layer } = largeImage();
    const fault = onLayer(layer, (_request, response) => {
      response.writeHead(200, { 'content-length': layer.size });
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
      return true;
    });
    // Each resumption brings a few bytes; what is wrong is found when the resumptions are used up.
    const options = { bodyTimeoutMs: 60 };
    const opened = await open(content, { fault }, options);
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'REGISTRY_TIMEOUT');
  });

  it('stops in the middle of a layer when it is told to, and keeps what it has', async () => {
    const { content, layer } = largeImage();
    const stop = new AbortController();
    const fault = onLayer(layer, (_request, response) => {
      response.writeHead(200, { 'content-length': layer.size });
      response.write(content.blobs.get(layer.digest)?.subarray(0, 100_000));
      return true;
    });
    const opened = await open(content, { fault });
    let total = 0;
    const onBytes = (bytes: number): void => {
      total += bytes;
      if (total >= 100_000) stop.abort(new Error('stop'));
    };
    await expect(opened.source.acquire(REQUEST(opened), { signal: stop.signal, onBytes })).rejects.toThrow('stop');
    expect((await leftovers(opened.folder)).length).toBe(1);
  });

  it('refuses a manifest without end before it has read it all', async () => {
    const content = createContent();
    let sent = 0;
    const fault: Fault = (_request, response) => {
      const block = Buffer.alloc(65_536, 0x20);
      const push = (): void => {
        if (response.destroyed) return;
        sent += block.length;
        if (response.write(block)) setImmediate(push);
        else response.once('drain', push);
      };
      push();
      return true;
    };
    const opened = await open(content, { fault });
    await expectCode(opened.source.acquire(REQUEST(opened)), FormatError, 'MANIFEST_TOO_LARGE');
    expect(sent).toBeLessThan(4 * MAX_MANIFEST_BYTES);
  });

  it('refuses a manifest that is announced as another type than it has', async () => {
    const content = createContent();
    content.tag('1.0', content.image());
    content.manifestTypes.set(content.tags.get('1.0')?.digest as never, MEDIA_TYPES.ociIndex);
    const opened = await open(content);
    await expectCode(opened.source.acquire(REQUEST(opened)), FormatError, 'MANIFEST_INVALID');
  });

  it('refuses a web page', async () => {
    const fault: Fault = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>Log in to the network</html>');
      return true;
    };
    const opened = await open(createContent(), { fault });
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'REGISTRY_PROTOCOL');
  });

  it('names a host that does not answer, and one that does not exist', async () => {
    const content = createContent();
    const opened = await open(content);
    await opened.registry.close();
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'REGISTRY_UNREACHABLE', {
      found: 'ECONNREFUSED',
    });
    const unknown = opened.source.acquire({ reference: 'registry.invalid/cms/web:1.0', platforms: PLATFORMS });
    await expectCode(unknown, AdapterError, 'REGISTRY_UNREACHABLE');
  });

  it('speaks plain HTTP only where that was asked for', async () => {
    const content = createContent();
    content.tag('1.0', content.image());
    const opened = await open(content, {}, { registries: {} });
    await expectCode(opened.source.acquire(REQUEST(opened)), AdapterError, 'REGISTRY_UNTRUSTED');
    expect(opened.registry.requests).toEqual([]);
  });

  it('fetches a layer that two images share once', async () => {
    const { content, layer } = largeImage();
    content.tag('2.0', content.image({ layers: [layer, content.blob('own')] }));
    const opened = await open(content);
    await Promise.all(
      ['1.0', '2.0'].map((tag) => opened.source.acquire({ reference: opened.reference(tag), platforms: PLATFORMS })),
    );
    expect(layerRequests(opened, layer).length).toBe(1);
  });

  it('runs no more transfers at once than it may', async () => {
    const content = createContent();
    const layers = Array.from({ length: 12 }, (_, at) => content.blob(`layer ${at}`));
    content.tag('1.0', content.image({ layers }));
    let running = 0;
    let most = 0;
    const fault: Fault = (request, response) => {
      if (!request.url?.includes('/blobs/')) return undefined;
      running += 1;
      most = Math.max(most, running);
      setTimeout(() => {
        running -= 1;
        response.end(content.blobs.get(request.url?.split('/').at(-1) as never));
      }, 5);
      return true;
    };
    const opened = await open(content, { fault }, { parallel: 3 });
    expect(await opened.source.acquire(REQUEST(opened))).toBeDefined();
    expect(most).toBe(3);
  });

  function layerRequests(opened: Opened, layer: { digest: string }) {
    return opened.registry.requests.filter(({ path }) => path.endsWith(`/blobs/${layer.digest}`));
  }
});

describe('registry: referrers', () => {
  it('follows pages on the host that it asked, whatever the link says', async () => {
    const content = createContent();
    const image = content.image();
    content.tag('1.0', image);
    const sboms = ['a', 'b'].map((name) =>
      content.image({
        config: content.blob('{}', MEDIA_TYPES.ociEmpty),
        layers: [content.blob(name, 'application/spdx+json')],
      }),
    );
    const page = (response: ServerResponse, at: number, link: Record<string, string>): true => {
      response.writeHead(200, { 'content-type': MEDIA_TYPES.ociIndex, ...link });
      const manifests = [{ ...sboms[at], platform: undefined }];
      response.end(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests }));
      return true;
    };
    const fault: Fault = (request, response) => {
      if (!request.url?.includes('/referrers/')) return undefined;
      if (request.url.includes('?last=1')) return page(response, 1, {});
      return page(response, 0, { link: '<https://elsewhere.example/v2/other/referrers/x?last=1>; rel="next"' });
    };
    const opened = await open(content, { fault });
    const acquired = present(await opened.source.acquire({ reference: opened.reference('1.0'), platforms: PLATFORMS }));
    expect(acquired.attachments.map(({ descriptor }) => descriptor.digest).sort()).toEqual(
      sboms.map(({ digest }) => digest).sort(),
    );
  });

  it('refuses attachments that are too large together, before it fetches them', async () => {
    const content = createContent();
    const image = content.image();
    content.tag('1.0', image);
    const huge = { ...content.blob('huge', 'application/spdx+json'), size: 700 * 1024 * 1024 };
    for (const name of ['a', 'b']) {
      const config = content.blob(name, MEDIA_TYPES.ociEmpty);
      content.image({ config, layers: [huge], extra: { subject: { ...image, platform: undefined } } });
    }
    const opened = await open(content);
    const request = { reference: opened.reference('1.0'), platforms: PLATFORMS };
    await expectCode(opened.source.acquire(request), AdapterError, 'ATTACHMENT_LIMIT');
    expect(opened.registry.requests.some(({ path }) => path.endsWith(huge.digest))).toBe(false);
  });

  it('refuses more attachments than anybody has, and pages without end', async () => {
    const content = createContent();
    content.tag('1.0', content.image());
    for (const count of [300, 1]) {
      const fault: Fault = (request, response) => {
        if (!request.url?.includes('/referrers/')) return undefined;
        const manifests = Array.from({ length: count }, (_, at) => ({
          ...content.blob(`${at}`),
          mediaType: MEDIA_TYPES.ociManifest,
        }));
        response.writeHead(200, { 'content-type': MEDIA_TYPES.ociIndex, link: '<?last=x>; rel="next"' });
        response.end(JSON.stringify({ schemaVersion: 2, manifests }));
        return true;
      };
      const opened = await open(content, { fault });
      const request = { reference: opened.reference('1.0'), platforms: PLATFORMS };
      await expectCode(opened.source.acquire(request), AdapterError, 'ATTACHMENT_LIMIT');
    }
  });
});
