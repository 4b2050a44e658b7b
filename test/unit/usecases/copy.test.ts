import { mkdir, open, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFileTransfer } from '../../../src/adapters/medium/file-transfer.ts';
import { openMedium } from '../../../src/adapters/medium/medium.ts';
import { hexOf } from '../../../src/core/digest.ts';
import type { FileTransfer } from '../../../src/ports/file-transfer.ts';
import type { Medium } from '../../../src/ports/medium.ts';
import { silentProgress } from '../../../src/ports/progress.ts';
import { type CopyRequest, copyBundles } from '../../../src/usecases/bundle/copy.ts';
import { signBundle } from '../../../src/usecases/bundle/sign.ts';
import {
  type BundleFixture,
  createBundleFixture,
  createSigner,
  PIECE_BYTES,
  randomFile,
  trusting,
} from '../../support/bundle-fixture.ts';
import { raised, raisedCodes } from '../../support/raised.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const TAG = 'demo-1.0.0';
const OLD = 'demo-0.9.0';
const SIGNATURE = `${TAG}.sigstore.json`;
const other = createSigner();
const FILES = { 'big.bin': randomFile(2 * PIECE_BYTES + 5), 'small.txt': new TextEncoder().encode('small\n') };

let fixture: BundleFixture;
beforeAll(async () => {
  fixture = await createBundleFixture();
  await fixture.build({ 'old.bin': randomFile(PIECE_BYTES) }, { lock: { version: '0.9.0' } });
  await fixture.build(FILES);
});
afterAll(() => fixture?.dispose());

interface CopyOptions {
  readonly request?: Partial<CopyRequest>;
  readonly source?: string;
  readonly transfer?: FileTransfer;
  readonly target?: (medium: Medium) => Medium;
  readonly signal?: AbortSignal;
  readonly warnings?: string[];
}

async function copy(to: string, options: CopyOptions = {}) {
  const transfer = options.transfer ?? createFileTransfer();
  const source = await openMedium(options.source ?? fixture.mediumFolder);
  const opened = await openMedium(to, { create: true, readBack: transfer.readBack });
  const target = options.target?.(opened) ?? opened;
  const progress = { ...silentProgress, warn: (message: string) => void options.warnings?.push(message) };
  const request = { all: false, tag: TAG, ...options.request };
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  return copyBundles(request, { source, target, transfer, progress }, signal);
}

const newMedium = async () => join(await temporaryFolder(), 'stick');
const blobs = (medium: string) => join(medium, 'blobs', 'sha256');
const blobNames = async (medium: string) => (await readdir(blobs(medium))).sort();

/** A medium of its own with the bundle, to be damaged. */
async function ownSource(): Promise<string> {
  const source = await newMedium();
  await copy(source);
  return source;
}

/** The path of a piece of the bundle. */
async function pieceOf(medium: string, index = 0): Promise<string> {
  const { manifests } = JSON.parse(await readFile(join(medium, 'index.json'), 'utf8'));
  const entry = manifests.find(
    ({ annotations }: { annotations?: Record<string, string> }) =>
      annotations?.['org.opencontainers.image.ref.name'] === TAG,
  );
  const { layers } = JSON.parse(await readFile(join(blobs(medium), hexOf(entry.digest)), 'utf8'));
  return join(blobs(medium), hexOf(layers[index + 1].digest));
}

async function flipByte(path: string): Promise<void> {
  await using file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, 1000);
  byte.writeUInt8(byte.readUInt8(0) ^ 1);
  await file.write(byte, 0, 1, 1000);
}

async function listing(medium: string): Promise<Map<string, string>> {
  const entries = await readdir(medium, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = paths
    .sort()
    .map(async (path) => [path.slice(medium.length), await readFile(path, 'base64')] as const);
  return new Map(await Promise.all(contents));
}

describe('a copy', () => {
  test('has every file of the bundle, its signature and the instructions, and verifies', async () => {
    const medium = await newMedium();
    const report = await copy(medium);
    expect(report).toMatchObject({
      bundles: [{ tag: TAG, signatures: 1 }],
      there: { files: 0 },
      written: { files: report.files },
      readBack: { files: report.files },
    });
    expect(await fixture.verify({ folder: medium })).toMatchObject({ problems: [], remarks: [], tag: TAG });
    expect((await readdir(medium)).sort()).toEqual(
      ['README.txt', 'blobs', SIGNATURE, 'index.json', 'oci-layout'].sort(),
    );
    // The lists, the pieces; the manifest, the empty configuration, the referrer and its layer.
    expect(await blobNames(medium)).toHaveLength(report.files + 4);
  });

  test('again writes nothing, and leaves every byte as it is', async () => {
    const medium = await newMedium();
    const { files } = await copy(medium);
    const before = await listing(medium);
    expect(await copy(medium)).toMatchObject({ there: { files }, written: { files: 0 }, readBack: { files } });
    expect(await listing(medium)).toEqual(before);
  });

  test('of one more bundle writes what is missing alone, and of all bundles each of them', async () => {
    const medium = await newMedium();
    const first = await copy(medium, { request: { tag: OLD } });
    const all = await copy(medium, { request: { all: true } });
    expect(all.there.files).toBeGreaterThanOrEqual(first.files);
    for (const tag of [TAG, OLD]) expect(await fixture.verify({ folder: medium, tag })).toMatchObject({ problems: [] });
  });

  test('of a copy is the same, byte for byte', async () => {
    const [one, two] = [await newMedium(), await newMedium()];
    await copy(one);
    await copy(two, { source: one });
    expect(await listing(two)).toEqual(await listing(one));
  });

  test('under a tag that is taken replaces that bundle, and what only that one had goes', async () => {
    const medium = await newMedium();
    await fixture.build({ 'other.bin': randomFile(3 * PIECE_BYTES) }, { folder: medium });
    const report = await copy(medium);
    expect(await fixture.verify({ folder: medium })).toMatchObject({ problems: [], remarks: [] });
    expect(await blobNames(medium)).toHaveLength(report.files + 4);
    expect((await readdir(medium)).filter((name) => name.endsWith('.sigstore.json'))).toEqual([SIGNATURE]);
  });

  test('with trust says who signed, and is refused where nobody trusted did: nothing is written', async () => {
    const medium = await newMedium();
    expect(await raisedCodes(() => copy(medium, { request: { trust: trusting(other) } }))).toEqual([
      'UseCaseError NOT_SIGNED_BY_TRUSTED',
      'FormatError SIGNATURE_UNKNOWN_KEY',
      'FormatError SIGNATURE_UNKNOWN_KEY',
    ]);
    expect(await readdir(join(medium, '..'))).toEqual([]);
    const { keyHint } = fixture.signer;
    const report = await copy(medium, { request: { trust: fixture.trust } });
    expect(report.bundles).toMatchObject([{ signedBy: { keyHint } }]);
  });
});

describe('signatures', () => {
  test('of which only the file or only the referrer is there are completed', async () => {
    const whole = await ownSource();
    const withoutFile = await ownSource();
    await rm(join(withoutFile, SIGNATURE));
    const withoutReferrer = await ownSource();
    const index = JSON.parse(await readFile(join(withoutReferrer, 'index.json'), 'utf8'));
    index.manifests = index.manifests.filter(({ annotations }: { annotations: Record<string, string> }) =>
      Object.values(annotations).includes(TAG),
    );
    await writeFile(join(withoutReferrer, 'index.json'), JSON.stringify(index));
    for (const source of [withoutFile, withoutReferrer]) {
      const medium = await newMedium();
      await copy(medium, { source });
      expect(await listing(medium)).toEqual(await listing(whole));
    }
  });

  test('of several publishers all go along, and those that are on the target stay', async () => {
    const source = await ownSource();
    await signBundle({ signer: other, identities: [] }, { medium: await openMedium(source) });
    const medium = await newMedium();
    expect((await copy(medium, { source })).bundles).toMatchObject([{ signatures: 2 }]);
    expect((await copy(medium)).bundles).toMatchObject([{ signatures: 2 }]);
    const { signatures, problems } = await fixture.verify({ folder: medium, trust: trusting(fixture.signer, other) });
    expect(problems).toEqual([]);
    // Each as a file and as a referrer.
    expect(signatures.map(({ trusted }) => trusted?.keyHint).sort()).toEqual(
      [fixture.signer.keyHint, fixture.signer.keyHint, other.keyHint, other.keyHint].sort(),
    );
  });

  test('that belong to nothing here are left behind, with a warning', async () => {
    const source = await ownSource();
    const stale = await readFile(join(fixture.mediumFolder, `${OLD}.sigstore.json`));
    await writeFile(join(source, `${TAG}.0123456789abcdef.sigstore.json`), stale);
    await writeFile(join(source, `${TAG}.0000000000000000.sigstore.json`), 'no signature');
    const warnings: string[] = [];
    const medium = await newMedium();
    expect((await copy(medium, { source, warnings })).bundles).toMatchObject([{ signatures: 1 }]);
    expect(warnings).toHaveLength(2);
    expect((await readdir(medium)).filter((name) => name.endsWith('.sigstore.json'))).toEqual([SIGNATURE]);
  });
});

describe('a damaged source', () => {
  test('is named, nothing of it lands, the rest is there for the next run', async () => {
    const source = await ownSource();
    const piece = await pieceOf(source);
    await flipByte(piece);
    const medium = await newMedium();
    const error = await raised(() => copy(medium, { source }));
    expect(error).toMatchObject({ code: 'BUNDLE_NOT_RIGHT', others: [{ code: 'BLOB_DAMAGED', at: { file: piece } }] });
    const left = await readdir(medium, { recursive: true });
    expect(left).not.toContain('index.json');
    expect(left.filter((name) => name.endsWith(hexOf(`sha256:${piece.slice(-64)}` as never)))).toEqual([]);
    expect(left.filter((name) => /\.part$|\.tmp$|\.portolan/.test(name))).toEqual([]);
    const report = await copy(medium);
    expect(report).toMatchObject({ there: { files: report.files - 1 }, written: { files: 1 } });
  });

  test('whose files are missing or cut is told before anything is written, all at once', async () => {
    const source = await ownSource();
    const [first, second] = [await pieceOf(source, 0), await pieceOf(source, 1)];
    await rm(first);
    await truncate(second, 1000);
    const medium = await newMedium();
    expect(await raisedCodes(() => copy(medium, { source }))).toEqual([
      'UseCaseError BUNDLE_NOT_RIGHT',
      'UseCaseError FILE_OF_BUNDLE_MISSING',
      'UseCaseError FILE_OF_BUNDLE_DAMAGED',
    ]);
    expect(await readdir(join(medium, '..'))).toEqual([]);
  });

  test('whose piece is a link to another file is as good as missing', async () => {
    const source = await ownSource();
    const piece = await pieceOf(source);
    const elsewhere = join(await temporaryFolder(), 'piece');
    await writeFile(elsewhere, await readFile(piece));
    await rm(piece);
    await symlink(elsewhere, piece);
    const medium = await newMedium();
    expect(await raisedCodes(() => copy(medium, { source }))).toEqual([
      'UseCaseError BUNDLE_NOT_RIGHT',
      'UseCaseError FILE_OF_BUNDLE_MISSING',
    ]);
  });
});

describe('the target', () => {
  test('has a damaged file: it is written again, and told', async () => {
    const medium = await ownSource();
    await flipByte(await pieceOf(medium));
    const warnings: string[] = [];
    const report = await copy(medium, { warnings });
    expect(report).toMatchObject({ there: { files: report.files - 1 }, written: { files: 1 } });
    expect(warnings).toHaveLength(1);
    expect(await fixture.verify({ folder: medium })).toMatchObject({ problems: [] });
  });

  test('has links in the place of files: they are replaced, and what they lead to is not touched', async () => {
    const elsewhere = join(await temporaryFolder(), 'precious');
    await writeFile(elsewhere, 'precious');
    const medium = await newMedium();
    await mkdir(blobs(medium), { recursive: true });
    const piece = join(blobs(medium), (await pieceOf(fixture.mediumFolder)).slice(-64));
    await symlink(elsewhere, piece);
    await symlink(elsewhere, join(medium, 'README.txt'));
    await copy(medium);
    expect(await readFile(elsewhere, 'utf8')).toBe('precious');
    expect(await fixture.verify({ folder: medium })).toMatchObject({ problems: [] });
  });

  test('gives back other bytes than were written: named, removed, and index.json does not name the bundle', async () => {
    const medium = await newMedium();
    const real = createFileTransfer();
    const bad: string[] = [];
    const transfer: FileTransfer = {
      ...real,
      async readBack(file, options) {
        if (bad.length < 2 && file.path.startsWith(blobs(medium)) && file.sizeBytes >= PIECE_BYTES) {
          bad.push(file.path);
          await flipByte(file.path);
        }
        return real.readBack(file, options);
      },
    };
    const error = await raised(() => copy(medium, { transfer }));
    expect(error).toMatchObject({ code: 'COPY_NOT_RIGHT' });
    expect(error.others.map(({ at }) => at?.file).sort()).toEqual(bad.sort());
    const left = await readdir(medium, { recursive: true });
    expect(left).not.toContain('index.json');
    for (const path of bad) expect(left).not.toContain(path.slice(medium.length + 1));
    const report = await copy(medium);
    expect(report).toMatchObject({ written: { files: 2 }, there: { files: report.files - 2 } });
  });

  test('gives back another index.json: the former one stays', async () => {
    const medium = await newMedium();
    await copy(medium, { request: { tag: OLD } });
    const before = await readFile(join(medium, 'index.json'), 'utf8');
    const real = createFileTransfer();
    const transfer: FileTransfer = {
      ...real,
      async readBack(file, options) {
        if (/\/\.index\.json\./.test(file.path)) await writeFile(file.path, Buffer.alloc(file.sizeBytes));
        return real.readBack(file, options);
      },
    };
    expect(await raisedCodes(() => copy(medium, { transfer }))).toEqual(['AdapterError READ_BACK_FAILED']);
    expect(await readFile(join(medium, 'index.json'), 'utf8')).toBe(before);
    expect(await fixture.verify({ folder: medium })).toMatchObject({ problems: [], tag: OLD });
  });

  test('cannot hold files of that size: nothing is written', async () => {
    const medium = await newMedium();
    const limited = (opened: Medium): Medium => ({
      ...opened,
      volume: async () => ({ ...(await opened.volume()), maxFileBytes: PIECE_BYTES }),
    });
    expect(await raisedCodes(() => copy(medium, { target: limited }))).toEqual(['UseCaseError MEDIUM_FILE_LIMIT']);
    expect(await readdir(join(medium, '..'))).toEqual([]);
  });

  test('is another folder than it was when the copy began: told as what it is', async () => {
    const medium = await newMedium();
    const gone = (opened: Medium): Medium => ({
      ...opened,
      async syncBlobs() {
        // Kept under another name, so that the new folder cannot get its inode.
        await rename(medium, `${medium}-gone`);
        await mkdir(medium);
        await opened.syncBlobs();
      },
    });
    expect(await raisedCodes(() => copy(medium, { target: gone }))).toEqual(['AdapterError DISK_GONE']);
  });

  test('is left without half a file when the copy is stopped', async () => {
    const medium = await newMedium();
    const controller = new AbortController();
    const real = createFileTransfer();
    const transfer: FileTransfer = {
      ...real,
      copy: (job, options) => real.copy(job, { ...options, onBytes: () => controller.abort(new Error('stopped')) }),
    };
    await expect(copy(medium, { transfer, signal: controller.signal })).rejects.toThrow('stopped');
    const left = await readdir(medium, { recursive: true }).catch(() => []);
    expect(left.filter((name) => /\.part$|\.portolan|index\.json/.test(name))).toEqual([]);
  });
});
