import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { openMedium } from '../adapters/medium/medium.ts';
import { createSealingEngine } from '../adapters/sealing/engine.ts';
import { createUnpackFolder } from '../adapters/unpack-folder/unpack-folder.ts';
import type { SigningKey } from '../formats/sigstore/cosign-key.ts';
import type { Trust } from '../formats/sigstore/trust.ts';
import type { Progress } from '../ports/progress.ts';
import { type InspectReport, inspectBundle } from '../usecases/bundle/inspect.ts';
import { type ListedBundle, listBundles } from '../usecases/bundle/list.ts';
import { type SignReport, signBundle } from '../usecases/bundle/sign.ts';
import { type UnpackReport, unpackBundle } from '../usecases/bundle/unpack.ts';
import type { UnpackForm } from '../usecases/bundle/unpack-layout.ts';
import { type VerifyReport, verifyBundle } from '../usecases/bundle/verify.ts';

/** `DIR[:TAG]` of the command line. */
export interface BundleAddress {
  /** Absolute. */
  readonly folder: string;
  readonly tag?: string;
}

/** A folder may have a colon in its name: what exists is a folder, else the last colon starts the tag. */
export async function parseBundleAddress(text: string, cwd: string): Promise<BundleAddress> {
  const whole = resolve(cwd, text);
  const colon = text.lastIndexOf(':');
  const exists = await stat(whole).then(
    () => true,
    () => false,
  );
  if (exists || colon < 1 || text.includes('/', colon)) return { folder: whole };
  return { folder: resolve(cwd, text.slice(0, colon)), tag: text.slice(colon + 1) };
}

interface Running {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export async function composeList(folder: string): Promise<ListedBundle[]> {
  return listBundles(await openMedium(folder));
}

export async function composeInspect(
  address: BundleAddress,
  identities: readonly string[],
  { signal }: Running,
): Promise<InspectReport> {
  const medium = await openMedium(address.folder);
  await using engine = disposableEngine();
  return await inspectBundle({ ...tagOf(address), identities }, { medium, engine }, { signal });
}

export async function composeVerify(
  address: BundleAddress,
  request: { readonly trust: Trust; readonly identities: readonly string[] },
  { progress, signal }: Running,
): Promise<VerifyReport> {
  const medium = await openMedium(address.folder);
  await using engine = disposableEngine();
  return await verifyBundle({ ...tagOf(address), ...request }, { medium, engine, progress }, { signal });
}

export async function composeUnpack(
  address: BundleAddress,
  folder: string,
  request: { readonly trust: Trust; readonly identities: readonly string[]; readonly form: UnpackForm },
  { progress, signal }: Running,
): Promise<UnpackReport> {
  const medium = await openMedium(address.folder);
  const target = await createUnpackFolder(folder);
  try {
    // What is unpacked is synced as a whole before it gets its name.
    await using engine = disposableEngine();
    return await unpackBundle({ ...tagOf(address), ...request }, { medium, engine, target, progress }, { signal });
  } finally {
    await target.discard();
  }
}

export async function composeSign(
  address: BundleAddress,
  request: { readonly signer: SigningKey; readonly identities: readonly string[] },
  { signal }: Running,
): Promise<SignReport> {
  const medium = await openMedium(address.folder);
  return signBundle({ ...tagOf(address), ...request }, { medium }, { signal });
}

export function disposableEngine() {
  const engine = createSealingEngine();
  return { ...engine, [Symbol.asyncDispose]: () => engine.close() };
}

function tagOf({ tag }: BundleAddress): { tag?: string } {
  return tag === undefined ? {} : { tag };
}
