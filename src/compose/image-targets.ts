import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createContainerdTarget } from '../adapters/containerd/containerd.ts';
import { findCtr } from '../adapters/containerd/ctr-command.ts';
import { createImageFolderTarget } from '../adapters/image-folder/image-folder.ts';
import { createK3sImagesTarget, K3S_IMAGES_FOLDER } from '../adapters/k3s-images/k3s-images.ts';
import { parseRegistryAddress, type RegistryAddress } from '../formats/oci/registry-address.ts';
import type { ImageTarget } from '../ports/image-target.ts';
import type { Progress } from '../ports/progress.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { definedOnly } from './environment.ts';

/** A target as `--images` names it, and as it is recorded. */
export type TargetAddress =
  | { readonly kind: 'containerd' }
  | { readonly kind: 'k3s-images'; readonly folder: string }
  | { readonly kind: 'folder'; readonly folder: string }
  | { readonly kind: 'registry'; readonly address: RegistryAddress };

export interface TargetEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Certificates that registries are trusted by. */
  readonly caFile?: string;
  readonly progress?: Progress;
}

/** @throws UseCaseError TARGET_NOT_SAID; FormatError REGISTRY_ADDRESS_INVALID */
export function parseTargetAddress(text: string, cwd: string): TargetAddress {
  const [, kind, , rest] = /^([a-z0-9-]+)(=(.*))?$/s.exec(text) ?? [];
  const value = rest === undefined || rest === '' ? undefined : rest;
  if (kind === 'containerd' && rest === undefined) return { kind };
  if (kind === 'k3s-images') return { kind, folder: resolve(cwd, value ?? K3S_IMAGES_FOLDER) };
  if (kind === 'folder' && value !== undefined) return { kind, folder: resolve(cwd, value) };
  if (kind === 'registry' && value !== undefined) return { kind, address: parseRegistryAddress(value) };
  throw new UseCaseError('TARGET_NOT_SAID', `"${text}" names no target for images`, {
    expected: 'containerd, k3s-images, k3s-images=DIR, registry=HOST[:PORT][/PREFIX] or folder=DIR',
    hint: 'Write one of these behind --images.',
  });
}

export async function openImageTarget(
  target: TargetAddress,
  { env, cwd, caFile, progress }: TargetEnvironment,
): Promise<ImageTarget> {
  switch (target.kind) {
    case 'k3s-images':
    case 'folder': {
      const { folder } = target;
      return target.kind === 'folder' ? createImageFolderTarget({ folder }) : createK3sImagesTarget({ folder });
    }
    case 'registry': {
      // The HTTP client is loaded only where it is needed.
      const { composeRegistryTarget } = await import('./registry-target.ts');
      return composeRegistryTarget(target.address, {
        env,
        cwd,
        ...(caFile === undefined ? {} : { caFile }),
        ...(progress === undefined ? {} : { progress }),
      });
    }
    default: {
      const found = await findCtr(env.PATH ?? '');
      // Without it the check says what is missing, beside all that is wrong besides.
      const { ctr, address } = found ?? { ctr: ['ctr'] };
      const given = env.CONTAINERD_ADDRESS || address;
      return createContainerdTarget({
        ctr,
        environment: definedOnly(env),
        ...(given === undefined ? {} : { address: given }),
      });
    }
  }
}

/** Where k3s runs its containerd: the default target on such a machine, and no other. */
export async function k3sRunsHere(): Promise<boolean> {
  return stat('/run/k3s/containerd/containerd.sock').then(
    (facts) => facts.isSocket(),
    () => false,
  );
}
