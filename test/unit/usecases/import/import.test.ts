import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createImageFolderTarget } from '../../../../src/adapters/image-folder/image-folder.ts';
import { openBytes } from '../../../../src/formats/age/sealed-bytes.ts';
import { openReceipt } from '../../../../src/formats/target/receipt.ts';
import { silentProgress } from '../../../../src/ports/progress.ts';
import { completedSequenceOf, dueContracts } from '../../../../src/usecases/import/import-migrations.ts';
import { collectGarbage } from '../../../../src/usecases/installed/gc.ts';
import { readInstalled, writeInstalled } from '../../../../src/usecases/installed/installed-state.ts';
import { removeBundle } from '../../../../src/usecases/installed/remove.ts';
import { bundleStatus } from '../../../../src/usecases/installed/status.ts';
import { createSigner, trusting } from '../../../support/bundle-fixture.ts';
import { createImportFixture, type ImportFixture } from '../../../support/import-fixture.ts';

let fixture: ImportFixture;
beforeEach(async () => {
  fixture = await createImportFixture();
});
afterEach(() => fixture.dispose());

const WEB = 'registry.example/cms/web:1.0.0';
const SHOP = 'registry.example/cms/shop:1.0.0';
const IMAGES = { [WEB]: [3_000_000, 20_000], [SHOP]: [3_000_000, 1_500_000] };

async function referencesIn(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, 'index.json'), 'utf8').catch(() => '{"manifests":[]}');
  const { manifests } = JSON.parse(text) as { manifests: { annotations?: Record<string, string> }[] };
  return manifests.flatMap(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] ?? []).sort();
}

function installed() {
  return { state: fixture.state, progress: silentProgress, now: () => new Date(0) };
}

const locked = { holder: 'a test', lockWaitMs: 0 };

describe('an import', () => {
  it('brings what is missing, and nothing the second time', async () => {
    const built = await fixture.build(IMAGES);
    const first = await fixture.import();
    expect(first).toMatchObject({ root: built.root, images: { sent: 2 } });
    expect(await referencesIn(fixture.imagesFolder)).toEqual([SHOP, WEB].sort());
    expect(await fixture.import()).toMatchObject({ images: { sent: 0, sentBytes: 0 } });
  });

  it('plans without changing anything', async () => {
    await fixture.build(IMAGES);
    const { plan, problems } = await fixture.plan();
    expect(problems).toEqual([]);
    expect(plan).toMatchObject({
      tag: 'demo-1.0.0',
      images: { images: 2, missing: expect.arrayContaining([WEB, SHOP]) },
    });
    expect(await readdir(fixture.closedFolder)).toEqual([]);
  });

  it('gives a receipt of what the target holds, sealed to whom the bundle names', async () => {
    await fixture.build(IMAGES);
    const { receipt, receiptSealed } = await fixture.import();
    expect(receiptSealed).toBe(false);
    const opened = openReceipt(receipt);
    const held = new Set(await readdir(join(fixture.imagesFolder, 'blobs', 'sha256')));
    expect(opened.images?.blobs.length).toBeGreaterThan(5);
    for (const digest of opened.images?.blobs ?? []) expect(held.has(digest.slice(7))).toBe(true);

    const { recipient, identity } = fixture.publisher;
    const lock = { version: '1.1.0', sequence: 2, receipt: { recipients: [recipient] } };
    await fixture.build(IMAGES, { lock });
    const second = await fixture.import({ request: { tag: 'demo-1.1.0' } });
    expect(second.receiptSealed).toBe(true);
    const bytes = await openBytes(second.receipt, [identity], { maxBytes: 1024 * 1024 });
    // One target, one key.
    expect(openReceipt(bytes)).toMatchObject({ bundle: { sequence: 2 }, keyHint: opened.keyHint });
  });

  it('refuses a receipt in which anything was changed', async () => {
    await fixture.build({ [WEB]: [100] });
    const { receipt } = await fixture.import();
    const text = new TextDecoder().decode(receipt);
    const envelope = JSON.parse(text) as { payload: string; signatures: { sig: string }[] };
    const payload = Buffer.from(envelope.payload, 'base64').toString().replace('demo', 'dema');
    const forged = { ...envelope, payload: Buffer.from(payload).toString('base64') };
    expect(() => openReceipt(Buffer.from(JSON.stringify(forged)))).toThrow(
      expect.objectContaining({ code: 'RECEIPT_INVALID' }),
    );
    expect(() => openReceipt(Buffer.from(text.slice(0, -20)))).toThrow(
      expect.objectContaining({ code: 'RECEIPT_INVALID' }),
    );
  });

  it('names each file of the bundle that is damaged, brings nothing under a name, and converges once it is mended', async () => {
    await fixture.build(IMAGES);
    const blobs = join(fixture.publisher.mediumFolder, 'blobs', 'sha256');
    let refused = 0;
    for (const name of await readdir(blobs)) {
      const path = join(blobs, name);
      const good = await readFile(path);
      if (good.length < 100) continue;
      const bad = Buffer.from(good);
      const at = bad.length >> 1;
      bad[at] = (bad[at] as number) ^ 4;
      await writeFile(path, bad);
      const outcome = await fixture.import().catch((error) => error);
      await writeFile(path, good);
      // The signature lies on the medium twice: one copy is enough.
      if (outcome?.tag === 'demo-1.0.0') {
        await rm(fixture.closedFolder, { recursive: true });
        await mkdir(fixture.closedFolder);
        continue;
      }
      refused += 1;
      const errors = [outcome, ...outcome.others];
      expect(errors.map(({ at }) => at?.digest ?? at?.file ?? '').join(), name).toContain(name);
      expect(await referencesIn(fixture.imagesFolder)).toEqual([]);
    }
    expect(refused).toBeGreaterThan(3);
    expect(await fixture.import()).toMatchObject({ images: { target: expect.any(String) } });
    expect(await referencesIn(fixture.imagesFolder)).toEqual([SHOP, WEB].sort());
  });

  it('says everything that stands against it at once', async () => {
    await fixture.build(IMAGES, { lock: { audience: ['another ship'] } });
    const trust = {
      ...fixture.publisher.trust,
      audience: ['this ship'],
      minimumSequence: new Map([['demo', 7]]),
    };
    const folder = join(fixture.closedFolder, 'not-a-layout');
    await mkdir(folder);
    await writeFile(join(folder, 'something'), 'else');
    const target = createImageFolderTarget({ folder });
    const { problems } = await fixture.plan({ target, request: { trust } });
    expect(problems.map(({ code }) => code)).toEqual(expect.arrayContaining(['BUNDLE_TOO_OLD', 'AUDIENCE_MISMATCH']));
    expect(problems.length).toBeGreaterThan(2);
    await expect(fixture.import({ target, request: { trust } })).rejects.toMatchObject({ code: 'IMPORT_REFUSED' });
    expect(await readdir(folder)).toEqual(['something']);
  });

  it("refuses another publisher's bundle", async () => {
    await fixture.build(IMAGES);
    await expect(fixture.import({ request: { trust: trusting(createSigner()) } })).rejects.toMatchObject({
      code: 'NOT_SIGNED_BY_TRUSTED',
    });
    expect(await readdir(fixture.closedFolder)).toEqual([]);
  });

  it('ends on the way when it is told to, and goes on where it was', async () => {
    await fixture.build(IMAGES);
    const controller = new AbortController();
    const progress = {
      ...silentProgress,
      task: () => ({ advance: () => controller.abort(new Error('enough')), done: () => {} }),
    };
    const dependencies = { progress };
    await expect(fixture.import({ dependencies, signal: controller.signal })).rejects.toThrow('enough');
    expect(await referencesIn(fixture.imagesFolder)).toEqual([]);
    await fixture.import();
    expect(await referencesIn(fixture.imagesFolder)).toEqual([SHOP, WEB].sort());
    expect((await readInstalled(fixture.state, 'demo')).running).toBeUndefined();
  });

  it('waits for whoever holds the target, and says who it is', async () => {
    await fixture.build({ [WEB]: [100] });
    await using _lock = await fixture.state.lock('somebody else', { waitMs: 0 });
    await expect(fixture.import()).rejects.toMatchObject({
      code: 'TARGET_LOCKED',
      found: expect.stringContaining('somebody else'),
    });
  });
});

describe('a target that had the bundle before', () => {
  const second = { version: '1.1.0', sequence: 2 };

  it('remembers the parts that came one after the other as one release', async () => {
    await fixture.build({ [WEB]: [100] });
    await fixture.import();
    await fixture.import({ parts: ['charts', 'migrations'] });
    const { applied } = await readInstalled(fixture.state, 'demo');
    expect(applied?.parts).toEqual(['images', 'charts', 'migrations']);
    await fixture.build({ [WEB]: [100] }, { lock: second });
    await fixture.import({ request: { tag: 'demo-1.1.0' } });
    expect((await readInstalled(fixture.state, 'demo')).applied?.parts).toEqual(['images']);
  });

  it('lets contract files run only where no program of an older release is left', async () => {
    await fixture.build({ [WEB]: [100] });
    await fixture.import();
    const record = await readInstalled(fixture.state, 'demo');
    if (record.applied === undefined) throw new Error('nothing is applied');
    const digest = record.applied.root;
    const place = { name: 'web', release: 'web', namespace: 'demo', stage: 'app' } as const;
    const chart = { ...place, chart: digest, values: digest, revision: 1 };
    const first = {
      ...record.applied,
      parts: ['charts', 'migrations'],
      charts: [chart],
      deferred: ['core/2_b.contract.sql'],
    };
    const tablesOnly = { ...first, sequence: 2, parts: ['images', 'migrations'] };
    const modules = [{ name: 'core', requires: [], files: [{ name: '2_b.contract.sql', digest }] }];
    const due = (sequence: number, applied: typeof first) =>
      dueContracts({ sequence, modules }, { ...record, applied, former: first });
    expect(completedSequenceOf({ applied: first })).toBe(1);
    expect(due(2, first)).toEqual(['core/2_b.contract.sql']);
    // The same bundle once more completes nothing further.
    expect(due(1, first)).toEqual([]);
    // The programs of the first still run.
    expect(completedSequenceOf({ applied: tablesOnly, former: first })).toBe(1);
    expect(due(3, tablesOnly)).toEqual([]);
    expect(completedSequenceOf({ applied: tablesOnly, former: tablesOnly })).toBe(0);
    // Where there are no programs, nothing of theirs is needed.
    expect(completedSequenceOf({ applied: { ...tablesOnly, charts: [] } })).toBe(2);
    expect(completedSequenceOf({})).toBe(0);
  });

  it('refuses an older one and another one of the same sequence, unless it is said', async () => {
    await fixture.build({ [WEB]: [100] });
    await fixture.build({ [SHOP]: [100] }, { lock: second });
    await fixture.import({ request: { tag: 'demo-1.1.0' } });
    await expect(fixture.import({ request: { tag: 'demo-1.0.0' } })).rejects.toMatchObject({
      code: 'DOWNGRADE_REFUSED',
    });
    await fixture.build({ [SHOP]: [200] }, { lock: { version: '1.1.1', sequence: 2 } });
    await expect(fixture.import({ request: { tag: 'demo-1.1.1' } })).rejects.toMatchObject({ code: 'SEQUENCE_REUSED' });
    await fixture.import({ request: { tag: 'demo-1.0.0', allowDowngrade: true } });
    // The highest that was ever applied stays what counts.
    expect((await readInstalled(fixture.state, 'demo')).highest).toMatchObject({ sequence: 2 });
    await removeBundle({ ...locked, name: 'demo', deleteData: true, chartTimeoutMs: 1 }, installed());
    await expect(fixture.import({ request: { tag: 'demo-1.0.0' } })).rejects.toMatchObject({
      code: 'DOWNGRADE_REFUSED',
    });
  });

  it('refuses a bundle that leaves out a module with tables, unless it is said', async () => {
    await fixture.build({ [WEB]: [100] });
    await fixture.import();
    const record = await readInstalled(fixture.state, 'demo');
    if (record.applied === undefined) throw new Error('nothing is applied');
    const applied = { ...record.applied, features: { shop: true }, modules: [{ name: 'shop', contracts: [] }] };
    await writeInstalled(fixture.state, { ...record, applied });
    await fixture.build({ [WEB]: [100] }, { lock: second });
    const request = { tag: 'demo-1.1.0' };
    await expect(fixture.import({ request })).rejects.toMatchObject({
      code: 'DATA_ORPHANED',
      found: expect.stringContaining('module shop'),
    });
    await fixture.import({ request: { ...request, allowOrphans: true } });
  });

  it('keeps what the present and the former release need, and gc takes the rest', async () => {
    const target = () => createImageFolderTarget({ folder: fixture.imagesFolder });
    const gc = (dryRun = false) =>
      collectGarbage({ ...locked, dryRun }, { ...installed(), openTarget: async () => target() });
    const image = (version: string) => `registry.example/cms/web:${version}`;
    for (const [index, version] of ['1.0.0', '1.1.0', '1.2.0'].entries()) {
      await fixture.build({ [image(version)]: [1000 + index] }, { lock: { version, sequence: index + 1 } });
      await fixture.import({ request: { tag: `demo-${version}` } });
    }
    expect(await bundleStatus(installed())).toMatchObject([
      { name: 'demo', applied: { version: '1.2.0' }, former: { version: '1.1.0' }, idleImages: 1 },
    ]);
    expect((await gc(true)).removed).toMatchObject([{ reference: image('1.0.0') }]);
    expect(await referencesIn(fixture.imagesFolder)).toHaveLength(3);
    expect((await gc()).removed).toMatchObject([{ reference: image('1.0.0') }]);
    expect(await referencesIn(fixture.imagesFolder)).toEqual([image('1.1.0'), image('1.2.0')]);
    expect((await gc()).removed).toEqual([]);
    await removeBundle({ ...locked, name: 'demo', deleteData: false, chartTimeoutMs: 1 }, installed());
    expect((await gc()).removed).toHaveLength(2);
    expect(await referencesIn(fixture.imagesFolder)).toEqual([]);
  });

  it('knows no bundle that was never there', async () => {
    const request = { ...locked, name: 'demo', deleteData: false, chartTimeoutMs: 1 };
    await expect(removeBundle(request, installed())).rejects.toMatchObject({ code: 'BUNDLE_NOT_INSTALLED' });
  });
});
