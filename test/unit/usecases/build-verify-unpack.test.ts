import { mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateX25519Identity } from 'age-encryption';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMedium } from '../../../src/adapters/medium/medium.ts';
import { listBundles } from '../../../src/usecases/bundle/list.ts';
import { signBundle } from '../../../src/usecases/bundle/sign.ts';
import {
  type BundleFixture,
  createBundleFixture,
  createSigner,
  PIECE_BYTES,
  randomFile,
  trusting,
} from '../../support/bundle-fixture.ts';

let fixture: BundleFixture;
beforeEach(async () => {
  fixture = await createBundleFixture();
});
afterEach(() => fixture.dispose());

const FILES = {
  'k3s/large.bin': randomFile(PIECE_BYTES * 2 + 12_345),
  'k3s/small.txt': new TextEncoder().encode('a small file'),
  'empty.txt': new Uint8Array(0),
};

/** Every file of a folder with its bytes, to tell whether anything changed. */
async function snapshot(folder: string): Promise<Map<string, string>> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (path) => [path, await readFile(path, 'base64')] as const)));
}

const blobsOf = (folder: string) => readdir(join(folder, 'blobs', 'sha256'));

async function flip(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[offset] = (bytes[offset] as number) ^ 1;
  await writeFile(path, bytes);
}

describe('build, verify and unpack', () => {
  it('gives back every byte', async () => {
    const built = await fixture.build(FILES);
    expect(await fixture.verify()).toMatchObject({ tag: 'demo-1.0.0', problems: [], remarks: [], root: built.root });
    const folder = join(fixture.root, 'opened');
    await fixture.unpack(folder);
    for (const [path, bytes] of Object.entries(FILES)) {
      expect(Buffer.compare(await readFile(join(folder, 'files', path)), bytes)).toBe(0);
    }
    expect((await readdir(fixture.root)).filter((name) => name.includes('.tmp'))).toEqual([]);
  });

  it('gives the same root on another medium, with other ciphertext', async () => {
    const first = await fixture.build(FILES);
    const second = await fixture.build(FILES, { folder: join(fixture.root, 'other'), fresh: true });
    expect(second.root).toBe(first.root);
    expect(second.manifestDigest).not.toBe(first.manifestDigest);
  });

  it('seals only what changed', async () => {
    await fixture.build(FILES);
    const again = await fixture.build(FILES);
    expect(again.pieces).toMatchObject({ sealed: 0, reused: 3 });
    const changed = await fixture.build({ ...FILES, 'k3s/small.txt': new TextEncoder().encode('changed') });
    expect(changed.pieces).toMatchObject({ sealed: 1, reused: 2 });
    expect((await fixture.verify()).problems).toEqual([]);
  });

  it('believes a hash for an hour from the hashing on, however often it is believed', async () => {
    const minutes = (count: number) => count * 60_000;
    const large = { 'large.bin': randomFile(PIECE_BYTES * 2) };
    const remembered = async () => (await readFile(join(fixture.root, 'verified.jsonl'), 'utf8')).split('}').length;
    fixture.clock.now = () => 0;
    await fixture.build(large);
    const before = await remembered();
    // The hour ends while the second build, which still believed, is at work.
    let calls = 0;
    fixture.clock.now = () => minutes(calls++ === 0 ? 59 : 61);
    await fixture.build(large, { fresh: true });
    expect(calls).toBeGreaterThan(0);
    expect(await remembered()).toBe(before);
    await fixture.build(large, { fresh: true });
    expect(await remembered()).toBe(before + 1);
  });

  it('seals afresh on demand', async () => {
    await fixture.build(FILES);
    expect((await fixture.build(FILES, { fresh: true })).pieces).toMatchObject({ sealed: 3, reused: 0 });
  });

  it('does not take a piece again that was damaged since', async () => {
    await fixture.build(FILES);
    const medium = await openMedium(fixture.mediumFolder);
    for (const name of await blobsOf(fixture.mediumFolder)) {
      const path = join(fixture.mediumFolder, 'blobs', 'sha256', name);
      if ((await readFile(path)).length > PIECE_BYTES) await flip(path, 600_000);
    }
    expect((await fixture.build(FILES)).pieces).toMatchObject({ sealed: 3, reused: 0 });
    expect((await fixture.verify()).problems).toEqual([]);
    expect(await medium.readIndex()).toHaveLength(2);
  });

  it('shares pieces between bundles of one medium, and keeps the others', async () => {
    await fixture.build(FILES);
    const second = await fixture.build({ ...FILES, 'new.txt': randomFile(100) }, { lock: { version: '1.1.0' } });
    expect(second.pieces).toMatchObject({ sealed: 1, reused: 3 });
    expect((await fixture.verify({ tag: 'demo-1.0.0' })).problems).toEqual([]);
    expect((await fixture.verify({ tag: 'demo-1.1.0' })).problems).toEqual([]);
    const listed = await listBundles(await openMedium(fixture.mediumFolder));
    expect(listed.map(({ tag, missing }) => ({ tag, missing }))).toEqual([
      { tag: 'demo-1.0.0', missing: 0 },
      { tag: 'demo-1.1.0', missing: 0 },
    ]);
  });

  it('leaves no file that the medium does not name', async () => {
    await fixture.build(FILES);
    await fixture.build({ 'k3s/small.txt': randomFile(20) });
    const blobs = await blobsOf(fixture.mediumFolder);
    // One piece, the lists, the manifest, the empty config, the referrer and its layer.
    expect(blobs).toHaveLength(6);
    expect((await readdir(fixture.mediumFolder)).sort()).toEqual([
      'README.txt',
      'blobs',
      'demo-1.0.0.sigstore.json',
      'index.json',
      'oci-layout',
    ]);
  });

  it('asks which bundle where there are several', async () => {
    await fixture.build(FILES);
    await fixture.build(FILES, { lock: { version: '1.1.0' } });
    await expect(fixture.verify()).rejects.toMatchObject({ code: 'BUNDLE_NOT_FOUND' });
    await expect(fixture.verify({ tag: 'demo-9.9.9' })).rejects.toMatchObject({ code: 'BUNDLE_NOT_FOUND' });
  });
});

describe('damage', () => {
  const damages: Readonly<Record<string, (path: string) => Promise<void>>> = {
    flipped: (path) => readFile(path).then((bytes) => flip(path, Math.floor(bytes.length / 2))),
    'flipped at the start': (path) => flip(path, 0),
    cut: (path) => readFile(path).then((bytes) => truncate(path, bytes.length - 1)),
    longer: (path) => readFile(path).then((bytes) => writeFile(path, Buffer.concat([bytes, Buffer.from('x')]))),
    emptied: (path) => truncate(path, 0),
    missing: (path) => rm(path),
  };

  for (const [how, damage] of Object.entries(damages)) {
    it(`names each file that is ${how}, with and without a key, and unpacks nothing`, async () => {
      await fixture.build(FILES);
      const medium = await openMedium(fixture.mediumFolder);
      const manifest = (await medium.readIndex()).find(
        (entry) => entry.annotations?.['org.opencontainers.image.ref.name'],
      );
      const { layers } = JSON.parse(await readFile(medium.blobPath(manifest?.digest as never), 'utf8'));
      for (const { digest } of layers) {
        const path = medium.blobPath(digest);
        const whole = await readFile(path);
        await damage(path);
        for (const identities of [[], [fixture.identity]]) {
          const { problems } = await fixture.verify({ identities });
          expect(problems.map(({ at }) => at?.file)).toEqual([path]);
        }
        const target = join(fixture.root, 'never');
        await expect(fixture.unpack(target)).rejects.toMatchObject({ at: { digest } });
        expect(await readdir(fixture.root)).not.toContain('never');
        await writeFile(path, whole);
      }
      expect((await fixture.verify()).problems).toEqual([]);
    });
  }

  it('notices two pieces that were swapped', async () => {
    await fixture.build(FILES);
    const medium = await openMedium(fixture.mediumFolder);
    const [manifest] = await medium.readIndex();
    const { layers } = JSON.parse(await readFile(medium.blobPath(manifest?.digest as never), 'utf8'));
    const [one, other] = [medium.blobPath(layers[1].digest), medium.blobPath(layers[2].digest)];
    await rename(one, `${one}.x`);
    await rename(other, one);
    await rename(`${one}.x`, other);
    const { problems } = await fixture.verify({ identities: [] });
    expect(problems.map(({ code, at }) => [code, at?.file]).sort()).toEqual(
      [one, other].map((path) => ['FILE_OF_BUNDLE_DAMAGED', path]).sort(),
    );
  });

  it('names the pieces that were swapped for others of the same recipients, when unpacking', async () => {
    await fixture.build(FILES);
    const other = join(fixture.root, 'other');
    await fixture.build({ 'x.bin': randomFile(PIECE_BYTES * 3) }, { folder: other });
    const layersOf = async (folder: string) => {
      const medium = await openMedium(folder);
      const [manifest] = await medium.readIndex();
      const { layers } = JSON.parse(await readFile(medium.blobPath(manifest?.digest as never), 'utf8'));
      return layers.map(({ digest }: { digest: string }) => medium.blobPath(digest as never)) as string[];
    };
    const [ours, theirs] = [await layersOf(fixture.mediumFolder), await layersOf(other)];
    // Both open for the identity and authenticate: only the digests tell that they do not belong here.
    for (const index of [1, 2, 3]) {
      const path = ours[index] as string;
      const whole = await readFile(path);
      await writeFile(path, await readFile(theirs[index] as string));
      const unpack = fixture.unpack(join(fixture.root, 'never'));
      await expect(unpack).rejects.toMatchObject({ code: 'FILE_OF_BUNDLE_DAMAGED', at: { file: path } });
      await writeFile(path, whole);
    }
  });

  it('notices a manifest that was altered', async () => {
    await fixture.build(FILES);
    const medium = await openMedium(fixture.mediumFolder);
    const [manifest] = await medium.readIndex();
    await flip(medium.blobPath(manifest?.digest as never), 100);
    await expect(fixture.verify()).rejects.toMatchObject({ code: 'BLOB_DAMAGED' });
  });

  it('notices a tag that was moved to another bundle', async () => {
    await fixture.build(FILES);
    await fixture.build(FILES, { lock: { version: '2.0.0' } });
    const path = join(fixture.mediumFolder, 'index.json');
    const index = await readFile(path, 'utf8');
    await writeFile(path, index.replace('demo-1.0.0', 'demo-x').replace('demo-2.0.0', 'demo-1.0.0'));
    await expect(fixture.verify({ tag: 'demo-1.0.0' })).rejects.toMatchObject({ code: 'TAG_MISMATCH' });
  });
});

describe('signatures', () => {
  it('refuses a bundle that no trusted key signed, and writes nothing', async () => {
    await fixture.build(FILES);
    const trust = trusting(createSigner());
    expect((await fixture.verify({ trust })).problems).toMatchObject([{ code: 'NOT_SIGNED_BY_TRUSTED' }]);
    await expect(fixture.unpack(join(fixture.root, 'never'), { trust })).rejects.toMatchObject({
      code: 'NOT_SIGNED_BY_TRUSTED',
    });
    expect(await readdir(fixture.root)).not.toContain('never');
  });

  it('accepts the file alone, or the referrer alone, and remarks a stale file', async () => {
    await fixture.build(FILES);
    const file = join(fixture.mediumFolder, 'demo-1.0.0.sigstore.json');
    const signature = await readFile(file);
    await rm(file);
    expect((await fixture.verify()).problems).toEqual([]);
    await writeFile(file, signature.toString().replace(/"sig":"..../, '"sig":"AAAA'));
    const report = await fixture.verify();
    expect(report.problems).toEqual([]);
    expect(report.remarks).toHaveLength(1);
    await writeFile(file, signature);
    const path = join(fixture.mediumFolder, 'index.json');
    const index = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify({ ...index, manifests: index.manifests.slice(0, 1) }));
    expect((await fixture.verify()).problems).toEqual([]);
    await rm(file);
    expect((await fixture.verify()).problems).toMatchObject([{ code: 'NOT_SIGNED_BY_TRUSTED', found: 'no signature' }]);
  });

  it('refuses the signature of a trusted publisher who did not pack the bundle', async () => {
    await fixture.build(FILES);
    const courier = createSigner();
    const medium = await openMedium(fixture.mediumFolder);
    await signBundle({ signer: courier, identities: [] }, { medium });
    expect((await fixture.verify({ trust: trusting(courier), identities: [] })).problems).toEqual([]);
    expect((await fixture.verify({ trust: trusting(courier) })).problems).toMatchObject([{ code: 'SIGNER_NOT_NAMED' }]);
    await expect(fixture.unpack(join(fixture.root, 'never'), { trust: trusting(courier) })).rejects.toMatchObject({
      code: 'SIGNER_NOT_NAMED',
    });
  });

  it('holds the sequence and the audience against the trust file', async () => {
    await fixture.build(FILES, { lock: { sequence: 7, audience: ['plant-7', 'plant-8'] } });
    const given = { ...trusting(fixture.signer), minimumSequence: new Map([['demo', 7]]), audience: ['plant-8'] };
    expect((await fixture.verify({ trust: given })).problems).toEqual([]);
    const others = { ...given, minimumSequence: new Map([['other', 99]]), audience: [] };
    expect((await fixture.verify({ trust: others })).problems).toEqual([]);
    await fixture.unpack(join(fixture.root, 'opened'), { trust: given });

    const newer = { ...given, minimumSequence: new Map([['demo', 8]]) };
    const elsewhere = { ...given, audience: ['harbour'] };
    for (const [trust, code] of [
      [newer, 'BUNDLE_TOO_OLD'],
      [elsewhere, 'AUDIENCE_MISMATCH'],
    ] as const) {
      expect((await fixture.verify({ trust })).problems).toMatchObject([{ code }]);
      await expect(fixture.unpack(join(fixture.root, 'never'), { trust })).rejects.toMatchObject({ code });
      expect(await readdir(fixture.root)).not.toContain('never');
    }
  });

  it('takes a second signature by a key that the definition names', async () => {
    const second = createSigner();
    const lock = { signers: [fixture.signer.keyHint, second.keyHint] };
    await fixture.build(FILES, { lock });
    const medium = await openMedium(fixture.mediumFolder);
    const request = { signer: second, identities: [fixture.identity] };
    expect(await signBundle(request, { medium })).toMatchObject({ added: true });
    expect(await signBundle(request, { medium })).toMatchObject({ added: false });
    expect(await fixture.verify({ trust: trusting(second) })).toMatchObject({ problems: [], remarks: [{}, {}] });
    const stranger = { signer: createSigner(), identities: [fixture.identity] };
    await expect(signBundle(stranger, { medium })).rejects.toMatchObject({ code: 'SIGNER_NOT_NAMED' });
  });

  it('refuses to build with a key that the definition does not name', async () => {
    const lock = { signers: [createSigner().keyHint] };
    await expect(fixture.build(FILES, { lock })).rejects.toMatchObject({ code: 'SIGNER_NOT_NAMED' });
    expect(await readdir(fixture.root)).not.toContain('stick');
  });
});

describe('refusals leave everything as it was', () => {
  it('a folder that is not a medium', async () => {
    await mkdir(fixture.mediumFolder);
    await writeFile(join(fixture.mediumFolder, 'holiday.jpg'), 'picture');
    const before = await snapshot(fixture.mediumFolder);
    await expect(fixture.build(FILES)).rejects.toMatchObject({ code: 'MEDIUM_NOT_OURS' });
    expect(await snapshot(fixture.mediumFolder)).toEqual(before);
  });

  it('an image layout of somebody else', async () => {
    await mkdir(fixture.mediumFolder);
    await writeFile(join(fixture.mediumFolder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const entry = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: `sha256:${'a'.repeat(64)}`,
      size: 2,
    };
    await writeFile(join(fixture.mediumFolder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
    const before = await snapshot(fixture.mediumFolder);
    await expect(fixture.build(FILES)).rejects.toMatchObject({ code: 'MEDIUM_NOT_OURS' });
    expect(await snapshot(fixture.mediumFolder)).toEqual(before);
  });

  it('recipients of two kinds', async () => {
    await fixture.build(FILES);
    const before = await snapshot(fixture.mediumFolder);
    const { generateHybridIdentity, identityToRecipient } = await import('age-encryption');
    const postQuantum = await identityToRecipient(await generateHybridIdentity());
    const mixed = fixture.build(FILES, { recipients: [fixture.recipient, postQuantum], lock: { version: '3.0.0' } });
    await expect(mixed).rejects.toMatchObject({ code: 'RECIPIENTS_MIXED' });
    expect(await snapshot(fixture.mediumFolder)).toEqual(before);
  });

  it('a source that is not what its digest says', async () => {
    await fixture.build({ 'a.txt': randomFile(100) });
    const before = await snapshot(fixture.mediumFolder);
    for (const sizeBytes of [1000, PIECE_BYTES * 3]) {
      const bytes = randomFile(sizeBytes);
      const { path } = await fixture.store(bytes);
      await flip(path, 500);
      const build = fixture.build({ 'b.bin': bytes }, { lock: { version: '3.0.0' } });
      await expect(build).rejects.toMatchObject({ at: { file: path } });
      const after = await snapshot(fixture.mediumFolder);
      for (const [file, content] of before) expect(after.get(file)).toBe(content);
    }
  });

  it('a source that was altered within the hour in which its hash is believed', async () => {
    const bytes = randomFile(PIECE_BYTES * 3);
    await fixture.build({ 'b.bin': bytes });
    const { path } = await fixture.store(bytes);
    await flip(path, 500);
    const build = fixture.build({ 'b.bin': bytes }, { lock: { version: '3.0.0' }, fresh: true });
    await expect(build).rejects.toMatchObject({ code: 'SOURCE_DAMAGED', at: { file: path } });
  });

  it('another identity', async () => {
    await fixture.build(FILES);
    const identities = [await generateX25519Identity()];
    expect((await fixture.verify({ identities })).problems.map(({ code }) => code)).toEqual(['NO_MATCHING_IDENTITY']);
    await expect(fixture.unpack(join(fixture.root, 'never'), { identities })).rejects.toMatchObject({
      code: 'NO_MATCHING_IDENTITY',
    });
  });

  it('a target that holds something', async () => {
    await fixture.build(FILES);
    const folder = join(fixture.root, 'full');
    await mkdir(folder);
    await writeFile(join(folder, 'mine.txt'), 'mine');
    await expect(fixture.unpack(folder)).rejects.toMatchObject({ code: 'TARGET_NOT_EMPTY' });
    expect(await readdir(folder)).toEqual(['mine.txt']);
  });

  it('an abort in the middle of a build', async () => {
    await fixture.build({ 'a.txt': randomFile(100) });
    const before = await snapshot(fixture.mediumFolder);
    const abort = new AbortController();
    const build = fixture.build(
      { 'b.bin': randomFile(PIECE_BYTES * 12) },
      { lock: { version: '2.0.0' }, signal: abort.signal },
    );
    setTimeout(() => abort.abort(), 5);
    await expect(build).rejects.toThrow();
    const after = await snapshot(fixture.mediumFolder);
    for (const [file, content] of before) expect(after.get(file)).toBe(content);
    await fixture.build({ 'a.txt': randomFile(100) });
    expect((await fixture.verify()).problems).toEqual([]);
  });

  it('a medium that another process is writing to', async () => {
    await fixture.build(FILES);
    const medium = await openMedium(fixture.mediumFolder, { create: true });
    await using _held = await medium.lock();
    await expect(fixture.build(FILES)).rejects.toMatchObject({ code: 'MEDIUM_BUSY' });
  });
});
