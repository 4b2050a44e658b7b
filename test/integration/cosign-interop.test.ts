/** Portolan and cosign read each other's keys, and accept each other's signatures: on a file, and in a real registry. */
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Digest, digestOf, hexOf } from '../../src/core/digest.ts';
import { EMPTY_BLOB, encodeManifest, MANIFEST_MEDIA_TYPE } from '../../src/formats/bundle/manifest.ts';
import { LISTS_MEDIA_TYPE, PIECE_MEDIA_TYPE } from '../../src/formats/bundle/media-types.ts';
import { FormatError } from '../../src/formats/errors.ts';
import { openCosignKey, type SigningKey } from '../../src/formats/sigstore/cosign-key.ts';
import { encodeSignatureReferrer } from '../../src/formats/sigstore/referrer.ts';
import { signManifest, verifyManifestSignature } from '../../src/formats/sigstore/signature-bundle.ts';
import { decodeTrust, type Trust } from '../../src/formats/sigstore/trust.ts';
import { type RegistryProcess, startRegistryProcess } from '../support/registry-process.ts';

const run = promisify(execFile);
const PASSWORD = 'throw-away';
const blobs = ['lists', 'piece'].map((text) => Buffer.from(text));
const descriptorOf = (bytes: Uint8Array, mediaType: string) => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});
const manifestBytes = encodeManifest({
  name: 'demo',
  version: '1.0.0',
  lists: descriptorOf(blobs[0] as Buffer, LISTS_MEDIA_TYPE),
  pieces: [descriptorOf(blobs[1] as Buffer, PIECE_MEDIA_TYPE)],
});
const manifest = descriptorOf(manifestBytes, MANIFEST_MEDIA_TYPE);

let folder: string;
let registry: RegistryProcess;
let key: SigningKey;
let trust: Trust;
const at = (name: string) => join(folder, name);

/** A home of its own, no password prompt, and no search for Sigstore's public services. */
async function cosign(...args: string[]): Promise<string> {
  const environment = { PATH: process.env.PATH, HOME: folder, COSIGN_PASSWORD: PASSWORD, COSIGN_YES: 'true' };
  const { stdout } = await run('cosign', args, { cwd: folder, env: environment });
  return stdout;
}
const OFFLINE = ['--signing-config', 'signing.json', '--trusted-root', 'root.json'];
const VERIFY = ['--key', 'cosign.pub', '--insecure-ignore-tlog'];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-cosign-'));
  registry = await startRegistryProcess(at('registry'));
  const signingConfig = {
    mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
    rekorTlogConfig: {},
    tsaConfig: {},
  };
  await writeFile(at('signing.json'), JSON.stringify(signingConfig));
  await writeFile(at('root.json'), '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}');
  await writeFile(at('manifest.json'), manifestBytes);
  await cosign('generate-key-pair');
  key = await openCosignKey(await readFile(at('cosign.key')), PASSWORD);
  trust = decodeTrust(await readFile(at('cosign.pub')), 'cosign.pub');
});
afterAll(async () => {
  await registry?.close();
  await rm(folder, { recursive: true, force: true });
});

const verify = (bundle: Uint8Array) =>
  verifyManifestSignature(bundle, { manifestDigest: manifest.digest, trustedKeys: trust.keys });
const code = (wanted: string) => expect.objectContaining({ constructor: FormatError, code: wanted });

test('a key pair that cosign made opens, with its password alone', async () => {
  expect(trust.keys.map(({ keyHint }) => keyHint)).toEqual([key.keyHint]);
  await expect(openCosignKey(await readFile(at('cosign.key')), 'wrong')).rejects.toEqual(code('WRONG_PASSWORD'));
});

test('key pairs of other kinds that cosign imported are refused', async () => {
  const ed25519 = generateKeyPairSync('ed25519').privateKey;
  const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey;
  for (const [name, other] of [
    ['ed25519', ed25519],
    ['p384', p384],
  ] as const) {
    await writeFile(at(`${name}.pem`), other.export({ type: 'pkcs8', format: 'pem' }));
    await cosign('import-key-pair', '--key', `${name}.pem`, '--output-key-prefix', name);
    await expect(openCosignKey(await readFile(at(`${name}.key`)), PASSWORD)).rejects.toEqual(
      code('SIGNING_KEY_UNSUPPORTED'),
    );
    const publicKey = await readFile(at(`${name}.pub`));
    expect(() => decodeTrust(publicKey)).toThrow(code('PUBLIC_KEY_UNSUPPORTED'));
  }
});

test('cosign verify-blob accepts our signature over the manifest, and over nothing else', async () => {
  await writeFile(at('ours.json'), signManifest(manifestBytes, key));
  await cosign('verify-blob', ...VERIFY, '--bundle', 'ours.json', 'manifest.json');
  await writeFile(at('other.json'), Buffer.concat([manifestBytes, Buffer.from('\n')]));
  await expect(cosign('verify-blob', ...VERIFY, '--bundle', 'ours.json', 'other.json')).rejects.toThrow();
});

test('we accept what cosign attest-blob signs with the predicate of signing', async () => {
  await writeFile(at('predicate.json'), '{}');
  const signing = ['--key', 'cosign.key', ...OFFLINE, '--predicate', 'predicate.json'];
  const type = ['--type', 'https://sigstore.dev/cosign/sign/v1'];
  await cosign('attest-blob', ...signing, ...type, '--bundle', 'attested.json', 'manifest.json');
  expect(verify(await readFile(at('attested.json'))).name).toBe('cosign.pub');
  await cosign('attest-blob', ...signing, '--type', 'slsaprovenance1', '--bundle', 'provenance.json', 'manifest.json');
  const provenance = await readFile(at('provenance.json'));
  expect(() => verify(provenance)).toThrow(code('SIGNATURE_MALFORMED'));
});

test('a bare signature of cosign sign-blob is told apart', async () => {
  await cosign('sign-blob', '--key', 'cosign.key', ...OFFLINE, '--bundle', 'bare.json', 'manifest.json');
  const bare = await readFile(at('bare.json'));
  expect(() => verify(bare)).toThrow(code('SIGNATURE_UNSUPPORTED'));
});

/** An OCI layout with the manifest and what hangs on it, as a medium has it. */
async function writeLayout(layout: string, bundle: Uint8Array): Promise<void> {
  const referrer = encodeSignatureReferrer(manifest, bundle);
  await mkdir(join(layout, 'blobs', 'sha256'), { recursive: true });
  for (const bytes of [...blobs, EMPTY_BLOB, manifestBytes, referrer.manifestBytes, referrer.layerBytes]) {
    await writeFile(join(layout, 'blobs', 'sha256', hexOf(digestOf(bytes))), bytes);
  }
  const tagged = { ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'demo-1.0.0' } };
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [tagged, referrer.descriptor] }),
  );
}

const copy = (layout: string, target: string) =>
  run('oras', [
    'cp',
    '--recursive',
    '--from-oci-layout',
    '--to-plain-http',
    `${layout}:demo-1.0.0`,
    `${target}:demo-1.0.0`,
  ]);
const image = (target: string, digest: Digest) => `${target}@${digest}`;

test('oras carries our signature into a registry, and cosign verify finds and accepts it there', async () => {
  const target = `${registry.host}/cms/ours`;
  await writeLayout(at('layout'), signManifest(manifestBytes, key));
  await copy(at('layout'), target);
  const out = await cosign('verify', ...VERIFY, '--allow-http-registry', image(target, manifest.digest));
  expect(JSON.parse(out)).toMatchObject([{ critical: { image: { 'docker-manifest-digest': manifest.digest } } }]);
});

test('cosign verify refuses a signature by another key there', async () => {
  const target = `${registry.host}/cms/forged`;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  await writeLayout(at('forged'), signManifest(manifestBytes, { privateKey, publicKey, keyHint: key.keyHint }));
  await copy(at('forged'), target);
  await expect(cosign('verify', ...VERIFY, '--allow-http-registry', image(target, manifest.digest))).rejects.toThrow();
});

test('we accept what cosign sign makes in a registry, and our referrer is the one that it pushes', async () => {
  const target = `${registry.host}/cms/theirs`;
  const layout = at('unsigned');
  await writeLayout(layout, signManifest(manifestBytes, key));
  await run('oras', ['cp', '--from-oci-layout', '--to-plain-http', `${layout}:demo-1.0.0`, `${target}:demo-1.0.0`]);
  const signing = ['--key', 'cosign.key', ...OFFLINE, '--bundle', 'signed.json', '--allow-http-registry'];
  await cosign('sign', ...signing, image(target, manifest.digest));
  const bundle = await readFile(at('signed.json'));
  expect(verify(bundle).keyHint).toBe(key.keyHint);

  const tag = `sha256-${hexOf(manifest.digest)}`;
  const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';
  const get = async (reference: string) =>
    (await fetch(`http://${registry.host}/v2/cms/theirs/manifests/${reference}`, { headers: { accept } })).json();
  const referrers = (await get(tag)) as { manifests: { digest: string }[] };
  expect(referrers.manifests).toHaveLength(1);
  const theirs = (await get(referrers.manifests[0]?.digest ?? '')) as { annotations: Record<string, string> };
  const createdAt = theirs.annotations['org.opencontainers.image.created'] ?? '';
  const ours = encodeSignatureReferrer(manifest, bundle, { createdAt });
  expect(JSON.parse(Buffer.from(ours.manifestBytes).toString())).toEqual(theirs);
});
