import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { CredentialLookup } from '../../../../src/adapters/registry/authorization.ts';
import type {
  RegistryTarget,
  RegistryTargetWarning,
} from '../../../../src/adapters/registry-target/registry-target.ts';
import type { Digest } from '../../../../src/core/digest.ts';
import { MEDIA_TYPES } from '../../../../src/formats/oci/manifest.ts';
import { parseRegistryAddress } from '../../../../src/formats/oci/registry-address.ts';
import type { TargetImage } from '../../../../src/ports/image-target.ts';
import { refuse } from '../../../support/fault-registry.ts';
import { createContent, type ImageContent, pseudoRandom } from '../../../support/image-content.ts';
import { raised, raisedCodes } from '../../../support/raised.ts';
import { openTarget, uploadRegistry } from '../../../support/registry-target-fixture.ts';
import { attachmentOf, blobsOf, ELSEWHERE, HERE, streamOf, targetImage } from '../../../support/target-images.ts';
import type { UploadFault, UploadRegistry } from '../../../support/upload-registry.ts';

const WEB = 'registry.example/cms/web:1.4.0';
const SHOP = 'registry.example/cms/shop:1.4.0';

const write = (target: RegistryTarget, content: ImageContent, images: readonly TargetImage[]) =>
  target.write(images, streamOf(content, blobsOf(images)));

/** Refuses every request of that method whose path matches. */
function refuseAll(method: string, path: RegExp, status: number, code: string, message?: string): UploadFault {
  return (request, response) => {
    if (request.method !== method || !path.test(request.url ?? '')) return undefined;
    request.resume();
    return refuse(response, status, code, {}, message);
  };
}

function oneImage(reference = WEB): { content: ImageContent; image: TargetImage } {
  const content = createContent();
  return { content, image: targetImage(content, reference, content.image()) };
}

describe('registry target: order and names', () => {
  it('names an image last, after its blobs, manifests and attachments', async () => {
    const registry = await uploadRegistry();
    const content = createContent();
    const root = content.index([content.image({ platform: HERE })]);
    const image = targetImage(content, WEB, root, [attachmentOf(content, root)]);
    await write(openTarget(registry), content, [image]);
    const puts = registry.requests.filter(({ method }) => method === 'PUT').map(({ path }) => path.replace(/\?.*/, ''));
    const manifests = puts.filter((path) => path.includes('/manifests/'));
    expect(puts.slice(-manifests.length)).toEqual(manifests);
    const attachment = image.attachments[0];
    const inside = image.blobs.find(({ role }) => role === 'image-manifest')?.digest;
    const list = `sha256-${root.digest.slice(7)}`;
    expect(manifests.map((path) => path.split('/').at(-1))).toEqual([inside, root.digest, attachment, list, '1.4.0']);
  });

  it('keeps the path, drops the host, and puts a prefix before it', async () => {
    const registry = await uploadRegistry();
    const target = openTarget(registry, { address: parseRegistryAddress(`http://${registry.host}/closed/mirror`) });
    const content = createContent();
    const root = content.image();
    const images = [WEB, 'docker.io/library/web:2', `quay.io/cms/tool@${root.digest}`].map((reference) =>
      targetImage(content, reference, root),
    );
    await write(target, content, images);
    expect([...registry.tags.keys()].toSorted()).toEqual([
      'closed/mirror/cms/web:1.4.0',
      'closed/mirror/library/web:2',
    ]);
    expect(registry.manifests.has(`closed/mirror/cms/tool ${root.digest}`)).toBe(true);
    expect(target.name).toBe(`registry=http://${registry.host}/closed/mirror`);
  });

  it('refuses two images of one name before it sends anything, and names them all', async () => {
    const registry = await uploadRegistry();
    const content = createContent();
    const image = (reference: string) =>
      targetImage(content, reference, content.image({ layers: [content.blob(reference)] }));
    const images = ['a.example/web:1', 'b.example/web:1', 'a.example/shop:1', 'b.example/shop:1'].map(image);
    const codes = await raisedCodes(() => write(openTarget(registry), content, images));
    expect(codes).toEqual(['AdapterError REFERENCE_COLLISION', 'AdapterError REFERENCE_COLLISION']);
    expect(registry.requests).toEqual([]);
    const same = content.image({ layers: [content.blob('same')] });
    const twice = ['a.example/web:2', 'b.example/web:2'].map((reference) => targetImage(content, reference, same));
    await write(openTarget(registry), content, twice);
    expect(registry.tags.get('web:2')).toBe(same.digest);
  });
});

describe('registry target: blobs of several repositories', () => {
  const shared = () => {
    const content = createContent();
    const root = content.image();
    return { content, images: [WEB, SHOP].map((reference) => targetImage(content, reference, root)) };
  };

  it.each([
    ['mounts what it has sent', {}, 0],
    ['reads back what the registry does not mount', { mount: false }, 2],
    ['reads back where mounting is refused', { fault: refuseAll('POST', /mount=/, 405, 'UNSUPPORTED') }, 2],
  ] as const)('%s', async (_name, options, copies) => {
    const registry = await uploadRegistry(options);
    const { content, images } = shared();
    await write(openTarget(registry), content, images);
    expect([...registry.tags.keys()].toSorted()).toEqual(['cms/shop:1.4.0', 'cms/web:1.4.0']);
    const reads = registry.requests.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/sha256'));
    expect(reads).toHaveLength(copies);
    expect(registry.uploads.size).toBe(0);
  });

  it('finds a blob that another image brought, in a repository that is not written to', async () => {
    const registry = await uploadRegistry({ mount: false });
    const { content, images } = shared();
    const [web, shop] = images as [TargetImage, TargetImage];
    await write(openTarget(registry), content, [web]);
    const target = openTarget(registry);
    const survey = await target.survey(images);
    expect([...survey.images]).toEqual([WEB]);
    await target.write([shop], streamOf(content, blobsOf([shop], survey.blobs)));
    expect((await target.survey(images)).images).toEqual(new Set([WEB, SHOP]));
  });
});

describe('registry target: an index that names platforms which are not carried', () => {
  function sparse(reference: string) {
    const content = createContent();
    const here = content.image({ platform: HERE });
    const elsewhere = content.image({ platform: ELSEWHERE });
    const root = content.index([elsewhere, here], { annotations: { kept: 'yes' } });
    content.blobs.delete(elsewhere.digest);
    return { content, here, root, image: targetImage(content, reference, root) };
  }

  it('stays as it is where the registry takes it', async () => {
    const registry = await uploadRegistry();
    const warnings: RegistryTargetWarning[] = [];
    const { content, image, root } = sparse(WEB);
    await write(openTarget(registry, { onWarning: (warning) => warnings.push(warning) }), content, [image]);
    expect(registry.tags.get('cms/web:1.4.0')).toBe(root.digest);
    expect(warnings).toEqual([]);
  });

  it('is narrowed to what is carried where the registry refuses it, and that is said', async () => {
    const registry = await uploadRegistry({ sparseIndexes: false });
    const warnings: RegistryTargetWarning[] = [];
    const { content, here, image, root } = sparse(WEB);
    const target = openTarget(registry, { onWarning: (warning) => warnings.push(warning) });
    await write(target, content, [image]);
    const digest = registry.tags.get('cms/web:1.4.0');
    expect(digest).not.toBe(root.digest);
    expect(warnings).toMatchObject([{ kind: 'index-narrowed', reference: WEB, expected: root.digest, found: digest }]);
    const stored = registry.manifests.get(`cms/web ${digest}`);
    expect(stored?.mediaType).toBe(MEDIA_TYPES.ociIndex);
    const document = JSON.parse(String(stored?.bytes));
    expect(document.manifests).toMatchObject([{ digest: here.digest }]);
    expect(document.annotations.kept).toBe('yes');
    // It counts as there, for this index and no other, and goes away under its name.
    expect((await target.survey([image])).images).toEqual(new Set([WEB]));
    const other = { ...image, digest: here.digest };
    expect((await target.survey([other])).images).toEqual(new Set());
    await write(target, content, [image]);
    expect(registry.tags.get('cms/web:1.4.0')).toBe(digest);
    expect(await target.remove([other])).toEqual([]);
    expect(await target.remove([image])).toEqual([`${registry.host}/cms/web:1.4.0`]);
  });

  it('is an error where the reference accepts no other digest; other images get their names', async () => {
    const registry = await uploadRegistry({ sparseIndexes: false });
    const { content, image } = sparse(`registry.example/cms/web:1@sha256:${'0'.repeat(64)}`);
    const pinned = { ...image, reference: `registry.example/cms/web:1@${image.digest}` };
    const shop = targetImage(content, SHOP, content.image());
    const codes = await raisedCodes(() => write(openTarget(registry), content, [pinned, shop]));
    expect(codes).toEqual(['AdapterError INDEX_REFUSED']);
    expect([...registry.tags.keys()]).toEqual(['cms/shop:1.4.0']);
  });

  it('is narrowed at each level', async () => {
    const registry = await uploadRegistry({ sparseIndexes: false });
    const content = createContent();
    const here = content.image({ platform: HERE });
    const elsewhere = content.image({ platform: ELSEWHERE });
    const inner = content.index([here, elsewhere]);
    const root = content.index([inner]);
    content.blobs.delete(elsewhere.digest);
    const image = targetImage(content, WEB, root);
    const target = openTarget(registry);
    await write(target, content, [image]);
    expect((await target.survey([image])).images).toEqual(new Set([WEB]));
  });
});

describe('registry target: attachments', () => {
  it.each([true, false])(
    'are found by the referrers API (%s) or under the tag that stands for it',
    async (referrers) => {
      const registry = await uploadRegistry({ referrers });
      const content = createContent();
      const root = content.image();
      const first = attachmentOf(content, root);
      await write(openTarget(registry), content, [targetImage(content, WEB, root, [first])]);
      const tag = `cms/web:sha256-${root.digest.slice(7)}`;
      expect(registry.tags.has(tag)).toBe(!referrers);
      if (referrers) return;
      // What others listed stays.
      const other = { mediaType: MEDIA_TYPES.ociManifest, digest: `sha256:${'7'.repeat(64)}`, size: 7 };
      const list = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [other] };
      registry.manifests.set(`cms/web ${other.digest}`, {
        bytes: Buffer.from(JSON.stringify(list)),
        mediaType: MEDIA_TYPES.ociIndex,
      });
      registry.tags.set(tag, other.digest as Digest);
      await write(openTarget(registry), content, [targetImage(content, WEB, root, [first])]);
      const stored = registry.manifests.get(`cms/web ${registry.tags.get(tag)}`);
      const digests = JSON.parse(String(stored?.bytes)).manifests.map(({ digest }: { digest: string }) => digest);
      expect(digests).toEqual([other.digest, first.digest]);
    },
  );

  it("get cosign's tag, unless there are signatures which the bundle does not know", async () => {
    const registry = await uploadRegistry();
    const content = createContent();
    const root = content.image();
    const payload = { critical: { image: { 'docker-manifest-digest': root.digest } } };
    const layer = content.blob(JSON.stringify(payload), 'application/vnd.dev.cosign.simplesigning.v1+json');
    const signature = content.image({ layers: [layer] });
    const image = targetImage(content, WEB, root, [signature]);
    await write(openTarget(registry), content, [image]);
    const tag = `cms/web:sha256-${root.digest.slice(7)}.sig`;
    expect(registry.tags.get(tag)).toBe(signature.digest);
    const local = content.image({ layers: [layer, content.blob('signed here', layer.mediaType)] });
    registry.manifests.set(`cms/web ${local.digest}`, {
      bytes: Buffer.from(content.blobs.get(local.digest) ?? []),
      mediaType: local.mediaType,
    });
    registry.tags.set(tag, local.digest);
    await write(openTarget(registry), content, [image]);
    expect(registry.tags.get(tag)).toBe(local.digest);
  });
});

describe('registry target: what a registry says no to', () => {
  it.each([
    [507, 'UNKNOWN', 'insufficient', 'REGISTRY_FULL'],
    [500, 'UNKNOWN', 'write /data/x: no space left on device', 'REGISTRY_FULL'],
    [412, 'DENIED', 'adding 3 MiB will exceed the configured upper limit of 1 GiB', 'REGISTRY_FULL'],
    [405, 'UNSUPPORTED', 'not here', 'REGISTRY_READ_ONLY'],
    [403, 'DENIED', 'the system is in read only mode', 'REGISTRY_READ_ONLY'],
    [403, 'DENIED', 'not yours', 'REGISTRY_UNAUTHORIZED'],
    [401, 'UNAUTHORIZED', 'who are you', 'REGISTRY_UNAUTHORIZED'],
    [404, 'NAME_UNKNOWN', 'no such project', 'REGISTRY_FAILED'],
    [400, 'NAME_INVALID', 'what a name', 'REGISTRY_FAILED'],
  ])('HTTP %i %s (%s) is %s: found by the check, and once by a write', async (status, code, message, expected) => {
    const fault = refuseAll('POST', /uploads/, status, code, message);
    const registry = await uploadRegistry({ fault });
    const { content, image } = oneImage();
    const target = openTarget(registry);
    const found = await target.check({ images: [image] });
    expect(found.map((problem) => problem.code)).toEqual([expected]);
    const before = registry.requests.length;
    expect(await raised(() => write(target, content, [image]))).toMatchObject({ code: expected });
    const posts = registry.requests.slice(before).filter(({ method }) => method === 'POST');
    // Each of the two blobs asks once.
    expect(posts.length).toBeLessThanOrEqual(2);
    expect(registry.tags.size).toBe(0);
  });

  it('does not believe a registry that took a blob under another digest', async () => {
    const registry = await uploadRegistry({
      fault(request, response) {
        if (request.method !== 'PUT' || !request.url?.includes('/uploads/')) return undefined;
        request.resume();
        response.writeHead(201, { 'docker-content-digest': `sha256:${'1'.repeat(64)}` }).end();
        return true;
      },
    });
    const { content, image } = oneImage();
    const error = await raised(() => write(openTarget(registry), content, [image]));
    expect(error.code).toBe('BLOB_DIGEST_MISMATCH');
    expect(image.blobs.map(({ digest }) => digest)).toContain(error.at?.digest);
  });

  it('does not believe a tag whose digest is right and whose bytes are not, nor a blob of another length', async () => {
    const registry = await uploadRegistry();
    const { content, image } = oneImage();
    const target = openTarget(registry);
    await write(target, content, [image]);
    const layer = image.blobs.find(({ role }) => role === 'image-layer')?.digest;
    registry.blobs.set(`cms/web ${layer}`, Buffer.from('cut'));
    const survey = await target.survey([image]);
    expect(survey.blobs.has(layer as Digest)).toBe(false);
    expect(survey.images.size).toBe(0);
  });

  it('says that nothing may be removed', async () => {
    const registry = await uploadRegistry({ fault: refuseAll('DELETE', /manifests/, 405, 'UNSUPPORTED') });
    const { content, image } = oneImage();
    const target = openTarget(registry);
    await write(target, content, [image]);
    expect((await raised(() => target.remove([image]))).code).toBe('REGISTRY_READ_ONLY');
  });

  it('leaves nothing behind after a check', async () => {
    const registry = await uploadRegistry();
    const target = openTarget(registry);
    expect(await target.check({ images: [{ reference: WEB }, { reference: SHOP }] })).toEqual([]);
    expect(registry.uploads.size).toBe(0);
    expect(registry.requests.filter(({ method }) => method === 'POST')).toHaveLength(2);
    await registry.close();
    const [problem] = await target.check();
    expect(problem?.code).toBe('REGISTRY_UNREACHABLE');
  });

  it('wants http:// in front of an address without TLS, and says it in the words of the command line', async () => {
    const registry = await uploadRegistry();
    const target = openTarget(registry, { address: parseRegistryAddress(registry.host) });
    const [problem] = await target.check();
    expect(problem?.code).toBe('REGISTRY_UNTRUSTED');
    expect(problem?.hint).toContain(`registry=http://${registry.host}`);
  });
});

describe('registry target: where an upload goes on', () => {
  it.each([
    ['a path', (path: string) => path],
    ['a path with a query', (path: string) => `${path}?_state=a%20b&x=%2F`],
  ])('at %s, as it was given', async (_name, location) => {
    const registry = await uploadRegistry({ location });
    const { content, image } = oneImage();
    await write(openTarget(registry), content, [image]);
    const puts = registry.requests.filter(({ method, path }) => method === 'PUT' && path.includes('/uploads/'));
    for (const { path } of puts) {
      const upload = path.replace(/[?&]digest=.*/, '');
      expect(upload).toBe(location(upload.replace(/\?.*/, '')));
    }
  });

  it('at no other host without TLS, and never with our credentials', async () => {
    const storage = await uploadRegistry({
      fault(request, response) {
        request.resume();
        response.writeHead(201).end();
        return true;
      },
    });
    const elsewhere = (path: string) => `http://${storage.host}${path}?signature=state-secret`;
    const registry = await uploadRegistry({
      location: elsewhere,
      fault: (request, response) =>
        request.headers.authorization === undefined &&
        refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="x"' }),
    });
    const { content, image } = oneImage();
    const credentials: CredentialLookup = async () => ({ kind: 'password', username: 'ann', password: 'secret' });
    const error = await raised(() => write(openTarget(registry, { credentials }), content, [image]));
    // Another host without TLS was not agreed to.
    expect(error.code).toBe('REGISTRY_PROTOCOL');
    expect(JSON.stringify([error, error.message])).not.toContain('state-secret');
    expect(storage.requests).toEqual([]);
  });

  it('where it came from, when the registry does not know its port', async () => {
    const registry: UploadRegistry = await uploadRegistry({ location: (path) => `http://127.0.0.1${path}` });
    const { content, image } = oneImage();
    await write(openTarget(registry), content, [image]);
    expect(registry.tags.size).toBe(1);
  });

  it('not where a redirect leads', async () => {
    const registry = await uploadRegistry({
      fault(request, response) {
        if (request.method !== 'PUT') return undefined;
        request.resume();
        response.writeHead(307, { location: 'https://elsewhere.example/' }).end();
        return true;
      },
    });
    const { content, image } = oneImage();
    expect((await raised(() => write(openTarget(registry), content, [image]))).code).toBe('REGISTRY_PROTOCOL');
  });
});

describe('registry target: tokens', () => {
  /** A registry whose tokens are good for `uses` requests, and for the repositories and actions that they name. */
  async function guarded(uses: number) {
    const scopes: string[][] = [];
    const left = new Map<string, number>();
    const deny = (request: IncomingMessage, response: ServerResponse, scope: string) => {
      request.resume();
      const challenge = `Bearer realm="http://${request.headers.host}/token",service="registry.example",scope="${scope}"`;
      return refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
    };
    const registry = await uploadRegistry({
      fault(request, response) {
        const url = new URL(request.url ?? '', 'http://registry.invalid');
        if (url.pathname === '/token') {
          const asked = url.searchParams.getAll('scope');
          scopes.push(asked);
          const token = Buffer.from(JSON.stringify([scopes.length, ...asked])).toString('base64url');
          left.set(token, uses);
          response.end(JSON.stringify({ token }));
          return true;
        }
        const [, repository = ''] = /^\/v2\/(.+?)\/(?:blobs|manifests)\//.exec(url.pathname) ?? [];
        if (repository === '') return undefined;
        const needed =
          request.method === 'GET' || request.method === 'HEAD'
            ? 'pull'
            : request.method === 'DELETE' && url.pathname.includes('manifests')
              ? 'delete'
              : 'push';
        const token = (request.headers.authorization ?? '').replace('Bearer ', '');
        const granted: string[] = token === '' ? [] : JSON.parse(Buffer.from(token, 'base64url').toString());
        const isGranted = (name: string, action: string) =>
          granted.some((scope) => {
            const [, of, actions = ''] = String(scope).split(':');
            return of === name && actions.split(',').includes(action);
          });
        const from = url.searchParams.get('from');
        const more = left.get(token) ?? 0;
        if (more === 0 || !isGranted(repository, needed) || (from !== null && !isGranted(from, 'pull'))) {
          return deny(request, response, `repository:${repository}:${needed}`);
        }
        left.set(token, more - 1);
        return undefined;
      },
    });
    return { registry, scopes };
  }

  it('are asked for with the right to push, once for each repository, and with another one to mount from', async () => {
    const { registry, scopes } = await guarded(1000);
    const content = createContent();
    const root = content.image();
    const images = [WEB, SHOP].map((reference) => targetImage(content, reference, root));
    const target = openTarget(registry);
    await target.survey(images);
    await write(target, content, images);
    expect(registry.tags.size).toBe(2);
    expect(scopes.map((scope) => scope.join(' ')).toSorted()).toEqual([
      'repository:cms/shop:pull,push',
      'repository:cms/shop:push,pull repository:cms/web:pull',
      'repository:cms/web:pull,push',
    ]);
    expect(await target.remove(images)).toHaveLength(2);
    expect(scopes.at(-1)).toEqual(['repository:cms/shop:delete,pull']);
  });

  it('are renewed in the middle of an upload', async () => {
    const { registry, scopes } = await guarded(3);
    const content = createContent();
    const layers = [content.blob(pseudoRandom('large', 40 * 1024 * 1024))];
    const image = targetImage(content, WEB, content.image({ layers }));
    await write(openTarget(registry), content, [image]);
    expect(registry.tags.get('cms/web:1.4.0')).toBe(image.digest);
    expect(scopes.length).toBeGreaterThan(2);
  });
});
