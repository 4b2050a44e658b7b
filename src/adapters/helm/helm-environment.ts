import { join } from 'node:path';
import { AdapterError } from '../errors.ts';

/**
 * What helm sees of this machine: its own configuration, cache, plugins and registry logins are empty folders below
 * `folder`, so that the same chart and values give the same on every machine.
 */
export function helmEnvironment(folder: string, searchPath: string | undefined): Record<string, string> {
  return {
    ...(searchPath === undefined ? {} : { PATH: searchPath }),
    HOME: folder,
    TMPDIR: folder,
    HELM_CACHE_HOME: join(folder, 'cache'),
    HELM_CONFIG_HOME: join(folder, 'config'),
    HELM_DATA_HOME: join(folder, 'data'),
    HELM_PLUGINS: join(folder, 'plugins'),
    KUBECONFIG: join(folder, 'kubeconfig'),
    LC_ALL: 'C',
  };
}

/** Arguments that make helm 4 tell its version. */
export const VERSION_ARGUMENTS = ['version', '--template', '{{.Version}}'] as const;

/** @throws AdapterError HELM_MISSING unless `version` is what helm 4 prints for {@link VERSION_ARGUMENTS}. */
export function requireHelm4(version: string, helmPath: string): void {
  const major = /^v(\d+)\./.exec(version)?.[1];
  if (major !== undefined && Number(major) >= 4) return;
  throw new AdapterError('HELM_MISSING', `${helmPath} is not helm 4.`, {
    expected: 'helm 4 or above',
    found: version.slice(0, 80).trim() || 'a program that tells no version',
    hint: 'Install helm 4 (https://helm.sh/docs/intro/install/), or name it with --helm.',
  });
}
