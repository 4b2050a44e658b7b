import { join, resolve } from 'node:path';
import type { TransportSettings } from '../adapters/registry/transport.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the container engines keep credentials, in the order in which they look (docker's config.json, containers' auth.json). */
export function credentialFiles(env: Environment, cwd = '.'): string[] {
  const home = env.HOME;
  const config = env.XDG_CONFIG_HOME ?? (home === undefined ? undefined : join(home, '.config'));
  const candidates = [
    env.REGISTRY_AUTH_FILE,
    env.XDG_RUNTIME_DIR && join(env.XDG_RUNTIME_DIR, 'containers', 'auth.json'),
    config && join(config, 'containers', 'auth.json'),
    env.DOCKER_CONFIG ? join(env.DOCKER_CONFIG, 'config.json') : home && join(home, '.docker', 'config.json'),
  ];
  return candidates.filter((path) => path !== undefined && path !== '').map((path) => resolve(cwd, path as string));
}

/** The variables that curl and the container engines read; the lower-case spelling goes first. */
export function proxyOf(env: Environment): NonNullable<TransportSettings['proxy']> {
  const read = (name: string) => env[name.toLowerCase()] || env[name] || env.ALL_PROXY || undefined;
  const httpProxy = read('HTTP_PROXY');
  const httpsProxy = read('HTTPS_PROXY');
  const noProxy = env.no_proxy || env.NO_PROXY;
  return {
    ...(httpProxy === undefined ? {} : { httpProxy }),
    ...(httpsProxy === undefined ? {} : { httpsProxy }),
    ...(noProxy === undefined ? {} : { noProxy }),
  };
}
