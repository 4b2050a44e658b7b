import { onTestFinished } from 'vitest';
import {
  createRegistryTarget,
  type RegistryTarget,
  type RegistryTargetSettings,
} from '../../src/adapters/registry-target/registry-target.ts';
import { parseRegistryAddress } from '../../src/formats/oci/registry-address.ts';
import { startUploadRegistry, type UploadRegistry, type UploadRegistryOptions } from './upload-registry.ts';

export const RETRY = { attempts: 4, baseDelayMs: 1, maxDelayMs: 2 };

/** A registry of the running test. */
export async function uploadRegistry(options: UploadRegistryOptions = {}): Promise<UploadRegistry> {
  const registry = await startUploadRegistry(options);
  onTestFinished(() => registry.close());
  return registry;
}

/** What the running test pushes to it with. */
export function openTarget(registry: UploadRegistry, settings: Partial<RegistryTargetSettings> = {}): RegistryTarget {
  const target = createRegistryTarget({
    address: parseRegistryAddress(`http://${registry.host}`),
    retry: RETRY,
    ...settings,
  });
  onTestFinished(() => target.close());
  return target;
}
