import { createCredentialLookup } from '../adapters/registry/credentials.ts';
import { createRegistryTarget, type RegistryTarget } from '../adapters/registry-target/registry-target.ts';
import type { RegistryAddress } from '../formats/oci/registry-address.ts';
import type { Progress } from '../ports/progress.ts';
import { credentialFiles, proxyOf } from './registry-settings.ts';

export interface RegistryTargetEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Certificates that the registry is trusted by, beside the system's. Absolute. */
  readonly caFile?: string;
  /** Told of images that the registry takes in another form only. */
  readonly progress?: Progress;
}

/** A registry as a place for images, with the credentials and the proxy that the container engines would use. */
export function composeRegistryTarget(
  address: RegistryAddress,
  { env, cwd, caFile, progress }: RegistryTargetEnvironment,
): RegistryTarget {
  return createRegistryTarget({
    address,
    credentials: createCredentialLookup({ files: credentialFiles(env, cwd) }),
    proxy: proxyOf(env),
    onWarning: ({ message }) => progress?.warn(message),
    ...(caFile === undefined ? {} : { caFile }),
  });
}
