/** Stock tools carry a bundle through folders and registries; Portolan verifies and opens what they leave (docs/moving.md). */
import { cp, mkdtemp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hexOf } from '../../src/core/digest.ts';
import { portolan, succeed } from '../support/program.ts';
import { createPublisher, manifestOf, PROJECT_FILES, type Publisher } from '../support/publisher.ts';
import { type RegistryProcess, startRegistryProcess } from '../support/registry-process.ts';

const TAG = 'demo-1.0.0';
const SIGNATURE = `${TAG}.sigstore.json`;
let publisher: Publisher;
let registry: RegistryProcess;
beforeAll(async () => {
  publisher = await createPublisher();
  registry = await startRegistryProcess(publisher.at('registry'));
  expect(await publisher.build()).toMatchObject({ status: 0, result: { tag: TAG } });
});
afterAll(async () => {
  await registry?.close();
  await publisher?.dispose();
});

/** Movers find no configuration of this machine: a home of their own. */
const tool = (program: string, ...args: string[]) =>
  succeed(program, args, { cwd: publisher.root, env: publisher.env });
const skopeo = (...args: string[]) => tool('skopeo', '--insecure-policy', ...args);

let names = 0;
/** A repository that nothing was pushed to, and a folder that does not exist. */
function fresh(): { readonly repository: string; readonly folder: string } {
  names += 1;
  return { repository: `${registry.host}/demo/mover${names}`, folder: publisher.at(`moved${names}`) };
}

/** Verified whole, and every file of the project as it was. The medium may be called by its folder alone, and by its tag. */
async function expectWhole(folder: string): Promise<void> {
  for (const bundle of [folder, `${folder}:${TAG}`]) {
    const verified = await publisher.verify(bundle);
    expect(verified, verified.stdout + verified.stderr).toMatchObject({ status: 0, result: { tag: TAG, ok: true } });
  }
  const listed = await portolan(['bundle', 'list', folder]);
  expect(listed.result).toMatchObject({ bundles: [{ tag: TAG, missing: 0, signers: [expect.any(String)] }] });
  const target = await mkdtemp(publisher.at('target-'));
  expect(await publisher.unpack(folder, target)).toMatchObject({ status: 0, result: { tag: TAG } });
  for (const [path, bytes] of Object.entries(PROJECT_FILES)) {
    expect(Buffer.compare(await readFile(join(target, 'files', path)), bytes)).toBe(0);
  }
}

/** What a mover leaves without the signature is told apart from a bundle that somebody else signed, and is mended by one copy. */
async function expectWholeOnceSigned(folder: string): Promise<void> {
  const unsigned = await publisher.verify(folder);
  expect(unsigned).toMatchObject({ status: 3, result: { ok: false, problems: [{ code: 'NOT_SIGNED_BY_TRUSTED' }] } });
  expect(unsigned.error).toMatchObject({ others: [{ code: 'NOT_SIGNED_BY_TRUSTED', found: 'no signature' }] });
  await cp(join(publisher.medium, SIGNATURE), join(folder, SIGNATURE));
  await expectWhole(folder);
}

/** A later build goes on where the mover stopped: it writes to the folder, and tidies up. */
async function expectBuildable(folder: string): Promise<void> {
  const built = await publisher.build({ medium: folder });
  expect(built, built.stdout).toMatchObject({ status: 0, result: { tag: TAG } });
  await expectWhole(folder);
  const { layers } = await manifestOf(folder, TAG);
  // The manifest, its layers, the empty configuration, the referrer and its layer.
  expect(await readdir(join(folder, 'blobs', 'sha256'))).toHaveLength(layers.length + 4);
}

describe('folders', () => {
  test('cp -r', async () => {
    const { folder } = fresh();
    await tool('cp', '-r', publisher.medium, folder);
    await expectWhole(folder);
    await expectBuildable(folder);
  });

  test('tar through a pipe', async () => {
    const { folder } = fresh();
    await tool('sh', '-c', `mkdir "$2" && tar -C "$1" -cf - . | tar -C "$2" -xf -`, 'sh', publisher.medium, folder);
    await expectWhole(folder);
  });

  test('oras cp -r from layout to layout', async () => {
    const { folder } = fresh();
    await tool(
      'oras',
      'cp',
      '-r',
      '--from-oci-layout',
      '--to-oci-layout',
      `${publisher.medium}:${TAG}`,
      `${folder}:${TAG}`,
    );
    await expectWhole(folder);
    await expectBuildable(folder);
  });

  test('skopeo copy from layout to layout, with a tag and without', async () => {
    for (const tag of [`:${TAG}`, '']) {
      const { folder } = fresh();
      await skopeo('copy', `oci:${publisher.medium}:${TAG}`, `oci:${folder}${tag}`);
      await expectWholeOnceSigned(folder);
      await expectBuildable(folder);
    }
  });

  test('several bundles: oras and skopeo add to a folder, and what loses its tags is told apart by what is signed', async () => {
    const both = fresh().folder;
    const tags = [TAG, 'demo-1.1.0'];
    await cp(publisher.medium, both, { recursive: true });
    await publisher.change('1.1.0');
    expect(await publisher.build({ medium: both })).toMatchObject({ status: 0 });
    await publisher.change('1.0.0', 'small\n');
    const expectBoth = async (folder: string) => {
      const listed = await portolan(['bundle', 'list', folder]);
      expect(listed.result).toMatchObject({ bundles: tags.map((tag) => ({ tag, missing: 0 })) });
      for (const tag of tags) {
        expect(await publisher.verify(`${folder}:${tag}`)).toMatchObject({ status: 0, result: { tag } });
      }
      expect((await publisher.verify(folder)).error).toMatchObject({ code: 'BUNDLE_NOT_FOUND' });
    };
    const withOras = fresh().folder;
    const withSkopeo = fresh().folder;
    for (const tag of tags) {
      await tool('oras', 'cp', '-r', '--from-oci-layout', '--to-oci-layout', `${both}:${tag}`, `${withOras}:${tag}`);
      await skopeo('copy', `oci:${both}:${tag}`, `oci:${withSkopeo}:${tag}`);
      await cp(join(both, `${tag}.sigstore.json`), join(withSkopeo, `${tag}.sigstore.json`));
    }
    const strip = '.manifests |= map(del(.annotations, .artifactType))';
    await tool('sh', '-c', 'cd "$2" && jq "$1" index.json >new && mv new index.json', 'sh', strip, both);
    for (const folder of [withOras, withSkopeo, both]) {
      await expectBoth(folder);
      expect(await publisher.build({ medium: folder })).toMatchObject({ status: 0 });
      await expectBoth(folder);
    }
  });
});

describe('through a registry', () => {
  const pushAll = (repository: string) =>
    tool(
      'oras',
      'cp',
      '-r',
      '--from-oci-layout',
      '--to-plain-http',
      `${publisher.medium}:${TAG}`,
      `${repository}:${TAG}`,
    );

  test('oras cp -r carries bundle and signature there and back; cosign verify accepts it there', async () => {
    const { repository, folder } = fresh();
    await pushAll(repository);
    const { digest } = await manifestOf(publisher.medium, TAG);
    const verify = ['verify', '--key', publisher.trust, '--insecure-ignore-tlog', '--allow-http-registry'];
    const accepted = JSON.parse(await tool('cosign', ...verify, `${repository}:${TAG}`));
    expect(accepted).toMatchObject([{ critical: { image: { 'docker-manifest-digest': digest } } }]);
    await tool('oras', 'cp', '-r', '--from-plain-http', '--to-oci-layout', `${repository}:${TAG}`, `${folder}:${TAG}`);
    await expectWhole(folder);
    await expectBuildable(folder);
  });

  test('cosign verify refuses there what another key signed', async () => {
    const { repository } = fresh();
    await pushAll(repository);
    const other = await mkdtemp(publisher.at('other-'));
    await succeed('cosign', ['generate-key-pair'], { cwd: other, env: publisher.env });
    const verify = ['verify', '--key', join(other, 'cosign.pub'), '--insecure-ignore-tlog', '--allow-http-registry'];
    await expect(tool('cosign', ...verify, `${repository}:${TAG}`)).rejects.toThrow();
  });

  test('oras cp without -r leaves the signature behind', async () => {
    const { repository, folder } = fresh();
    await tool(
      'oras',
      'cp',
      '--from-oci-layout',
      '--to-plain-http',
      `${publisher.medium}:${TAG}`,
      `${repository}:${TAG}`,
    );
    await tool('oras', 'cp', '--from-plain-http', '--to-oci-layout', `${repository}:${TAG}`, `${folder}:${TAG}`);
    await expectWholeOnceSigned(folder);
    await expectBuildable(folder);
  });

  test('oras cp under another tag is found out, and mended by the right one', async () => {
    const { repository, folder } = fresh();
    await pushAll(repository);
    await tool('oras', 'cp', '-r', '--from-plain-http', '--to-oci-layout', `${repository}:${TAG}`, `${folder}:latest`);
    const verified = await publisher.verify(folder);
    expect(verified).toMatchObject({ status: 3, error: { code: 'TAG_MISMATCH', expected: TAG, found: 'latest' } });
    await tool('oras', 'tag', '--oci-layout', `${folder}:latest`, TAG);
    await expectWhole(folder);
  });

  test('skopeo copy', async () => {
    const { repository, folder } = fresh();
    await skopeo('copy', '--dest-tls-verify=false', `oci:${publisher.medium}:${TAG}`, `docker://${repository}:${TAG}`);
    await skopeo('copy', '--src-tls-verify=false', `docker://${repository}:${TAG}`, `oci:${folder}:${TAG}`);
    await expectWholeOnceSigned(folder);
    await expectBuildable(folder);
  });

  test('crane pull, with and without the reference', async () => {
    const { repository } = fresh();
    await pushAll(repository);
    for (const flags of [[], ['--annotate-ref']]) {
      const { folder } = fresh();
      await tool('crane', 'pull', '--insecure', '--format=oci', ...flags, `${repository}:${TAG}`, folder);
      await expectWholeOnceSigned(folder);
      await expectBuildable(folder);
    }
  });

  test('crane push --index carries the whole medium with its signatures, whoever fetches it', async () => {
    const { repository } = fresh();
    const source = `${repository}:medium`;
    await tool('crane', 'push', '--insecure', '--index', publisher.medium, source);
    const fetches = {
      crane: (to: string) => tool('crane', 'pull', '--insecure', '--format=oci', source, to),
      oras: (to: string) => tool('oras', 'cp', '-r', '--from-plain-http', '--to-oci-layout', source, `${to}:medium`),
      skopeo: (to: string) =>
        skopeo('copy', '--all', '--src-tls-verify=false', `docker://${source}`, `oci:${to}:medium`),
    };
    for (const fetch of Object.values(fetches)) {
      const { folder } = fresh();
      await fetch(folder);
      await expectWhole(folder);
      await expectBuildable(folder);
    }
  });

  test('crane copy to another registry, by digest', async () => {
    const { repository, folder } = fresh();
    await pushAll(repository);
    const { digest } = await manifestOf(publisher.medium, TAG);
    const other = fresh().repository;
    await tool('crane', 'copy', '--insecure', `${repository}:${TAG}`, `${other}:${TAG}`);
    expect((await tool('crane', 'digest', '--insecure', `${other}:${TAG}`)).trim()).toBe(digest);
    await tool('crane', 'pull', '--insecure', '--format=oci', '--annotate-ref', `${other}@${digest}`, folder);
    await expectWholeOnceSigned(folder);
  });
});

test('a signature that Portolan adds in the folder is found by cosign in the registry, once it was carried there', async () => {
  const { repository, folder } = fresh();
  await tool('oras', 'cp', '--from-oci-layout', '--to-oci-layout', `${publisher.medium}:${TAG}`, `${folder}:${TAG}`);
  const signed = await portolan(['bundle', 'sign', folder, '--sign-key', publisher.at('cosign.key')], {
    env: { COSIGN_PASSWORD: publisher.env.COSIGN_PASSWORD },
  });
  expect(signed).toMatchObject({ status: 0, result: { added: true } });
  await expectWhole(folder);
  await tool('oras', 'cp', '-r', '--from-oci-layout', '--to-plain-http', `${folder}:${TAG}`, `${repository}:${TAG}`);
  const verify = ['verify', '--key', publisher.trust, '--insecure-ignore-tlog', '--allow-http-registry'];
  const { digest } = await manifestOf(folder, TAG);
  expect(await tool('cosign', ...verify, `${repository}:${TAG}`)).toContain(hexOf(digest));
});
