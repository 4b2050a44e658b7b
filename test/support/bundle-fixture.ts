import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { fingerprintOf } from '../../src/adapters/files/fingerprint.ts';
import { openMedium } from '../../src/adapters/medium/medium.ts';
import { createPieceCache } from '../../src/adapters/piece-cache/piece-cache.ts';
import { createSealingEngine } from '../../src/adapters/sealing/engine.ts';
import { createUnpackFolder } from '../../src/adapters/unpack-folder/unpack-folder.ts';
import { createVerifiedFiles } from '../../src/adapters/verified-files/verified-files.ts';
import { type Digest, digestOf, hexOf } from '../../src/core/digest.ts';
import type { BundleLock } from '../../src/formats/bundle/lock-types.ts';
import { encodeSbomIndex } from '../../src/formats/bundle/sbom-index.ts';
import { keyHint } from '../../src/formats/sigstore/public-key.ts';
import type { Trust } from '../../src/formats/sigstore/trust.ts';
import type { LocalBlob } from '../../src/ports/blobs.ts';
import type { AcquiredImage } from '../../src/ports/images.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { buildBundle } from '../../src/usecases/bundle/build.ts';
import { unpackBundle } from '../../src/usecases/bundle/unpack.ts';
import { verifyBundle } from '../../src/usecases/bundle/verify.ts';

export const PIECE_BYTES = 1024 * 1024;

export type Signer = ReturnType<typeof createSigner>;

export function createSigner() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return { privateKey, publicKey, keyHint: keyHint(publicKey) };
}

export function trusting(...signers: Signer[]): Trust {
  return {
    keys: signers.map(({ publicKey, keyHint: hint }, index) => ({ keyHint: hint, name: `key ${index}`, publicKey })),
    minimumSequence: new Map(),
    audience: [],
  };
}

/** Files by their path inside the bundle. */
export type FileContents = Readonly<Record<string, Uint8Array>>;

/**
 * A publisher's folder with real files, a real engine and a real medium on disk: what the use cases need, without helm and
 * registries. `dispose` removes everything.
 */
export async function createBundleFixture() {
  const root = await mkdtemp(join(tmpdir(), 'portolan-bundle-'));
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const signer = createSigner();
  const engine = createSealingEngine({ workers: 2 });
  const pieceCache = createPieceCache(join(root, 'pieces'));
  /** Milliseconds since 1970; a test may set it. */
  const clock = { now: () => Date.now() };
  const verifiedFiles = createVerifiedFiles(join(root, 'verified.jsonl'), { now: () => clock.now() });
  await mkdir(join(root, 'sources'));

  async function store(bytes: Uint8Array): Promise<LocalBlob> {
    const digest = digestOf(bytes);
    const path = join(root, 'sources', hexOf(digest));
    if (!(await stat(path).catch(() => undefined))) await writeFile(path, bytes);
    return { digest, sizeBytes: bytes.length, path };
  }
  const mediumFolder = join(root, 'stick');

  return {
    root,
    mediumFolder,
    identity,
    recipient,
    signer,
    trust: trusting(signer),
    engine,
    pieceCache,
    clock,
    store,
    async build(
      files: FileContents,
      options: {
        readonly lock?: Partial<BundleLock>;
        readonly images?: readonly AcquiredImage[];
        readonly recipients?: readonly string[];
        readonly signer?: Signer;
        readonly fresh?: boolean;
        readonly folder?: string;
        readonly signal?: AbortSignal;
      } = {},
    ) {
      const blobs = new Map<Digest, LocalBlob>();
      const locked: BundleLock['files'][number][] = [];
      for (const [path, bytes] of Object.entries(files)) {
        const blob = await store(bytes);
        blobs.set(blob.digest, blob);
        locked.push({ path, source: path, digest: blob.digest, sizeBytes: blob.sizeBytes, mode: 0o644 });
      }
      const lock: BundleLock = {
        mediaType: 'application/vnd.portolan.bundle.lock.v1+json',
        name: 'demo',
        version: '1.0.0',
        sequence: 1,
        audience: [],
        platforms: ['linux/amd64'],
        features: {},
        signers: [],
        pieceSizeBytes: PIECE_BYTES,
        charts: [],
        images: (options.images ?? []).map((image) => ({
          reference: image.reference,
          digest: image.root.digest,
          mediaType: image.root.mediaType,
          platforms: ['linux/amd64'],
          attachments: [],
          found: ['list'],
        })),
        modules: [],
        configuration: [],
        files: locked,
        ...options.lock,
      };
      return buildBundle(
        {
          lock,
          images: options.images ?? [],
          blobs,
          sbomIndex: await store(encodeSbomIndex([])),
          recipients: options.recipients ?? [recipient],
          signer: options.signer ?? signer,
          fresh: options.fresh ?? false,
        },
        {
          medium: await openMedium(options.folder ?? mediumFolder, { create: true }),
          engine,
          pieceCache,
          progress: silentProgress,
          fingerprintOf,
          verifiedFiles,
        },
        options.signal === undefined ? {} : { signal: options.signal },
      );
    },
    async verify(options: { tag?: string; trust?: Trust; identities?: readonly string[]; folder?: string } = {}) {
      return verifyBundle(
        {
          ...(options.tag === undefined ? {} : { tag: options.tag }),
          trust: options.trust ?? trusting(signer),
          identities: options.identities ?? [identity],
        },
        { medium: await openMedium(options.folder ?? mediumFolder), engine, progress: silentProgress },
      );
    },
    async unpack(folder: string, options: { tag?: string; trust?: Trust; identities?: readonly string[] } = {}) {
      const target = await createUnpackFolder(folder);
      try {
        return await unpackBundle(
          {
            ...(options.tag === undefined ? {} : { tag: options.tag }),
            trust: options.trust ?? trusting(signer),
            identities: options.identities ?? [identity],
            form: 'files',
          },
          { medium: await openMedium(mediumFolder), engine, target, progress: silentProgress },
        );
      } finally {
        await target.discard();
      }
    },
    async dispose() {
      await engine.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

export type BundleFixture = Awaited<ReturnType<typeof createBundleFixture>>;

export function randomFile(sizeBytes: number): Uint8Array {
  return randomBytes(sizeBytes);
}
