import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalJson } from '../../core/canonical-json.ts';
import type { ChartRenderer } from '../../ports/charts.ts';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';
import { runHelm } from './helm-process.ts';

export interface HelmSettings {
  /** The program: an absolute path, or a name that is found on `searchPath`. */
  readonly helmPath: string;
  /** The child's PATH. */
  readonly searchPath?: string;
  readonly timeoutMs?: number;
  readonly outputLimitBytes?: number;
}

const TIMEOUT_MS = 120_000;
const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * Renders with `helm template`. Nothing of the user's reaches helm: its configuration, cache, plugins, registry logins and
 * kubeconfig are empty folders that go away afterwards, so the same chart and values render alike on every machine.
 */
export function createHelmRenderer(settings: HelmSettings): ChartRenderer {
  let isHelm = false;
  return {
    async render(request, options = {}) {
      const folder = await mkdtemp(join(tmpdir(), 'portolan-helm-')).catch((cause) => {
        throw fileError(cause, tmpdir(), 'write');
      });
      try {
        const valuesFile = join(folder, 'values.json');
        // Values may hold secrets: only this user reads them.
        await writeFile(valuesFile, canonicalJson(request.values), { mode: 0o600 });
        const run = (args: readonly string[]) =>
          runHelm(
            {
              helmPath: settings.helmPath,
              arguments: args,
              environment: isolated(folder, settings.searchPath),
              folder,
              timeoutMs: settings.timeoutMs ?? TIMEOUT_MS,
              outputLimitBytes: settings.outputLimitBytes ?? OUTPUT_LIMIT_BYTES,
            },
            options,
          );
        // Another program that prints nothing would pass for a chart without images.
        if (!isHelm) assertHelm(await run(['version', '--template', '{{.Version}}']), settings.helmPath);
        isHelm = true;
        return await run([
          ...['template', request.release, request.chartPath],
          ...['--namespace', request.namespace, '--values', valuesFile],
          ...(request.kubeVersion === undefined ? [] : ['--kube-version', request.kubeVersion]),
          ...(request.apiVersions ?? []).flatMap((version) => ['--api-versions', version]),
          ...(request.upgrade === true ? ['--is-upgrade'] : []),
        ]);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

function assertHelm(version: string, helmPath: string): void {
  const major = /^v(\d+)\./.exec(version)?.[1];
  if (major !== undefined && Number(major) >= 4) return;
  throw new AdapterError('HELM_MISSING', `${helmPath} is not helm 4.`, {
    expected: 'helm 4 or above',
    found: version.slice(0, 80).trim() || 'a program that tells no version',
    hint: 'Install helm 4 (https://helm.sh/docs/intro/install/), or name it with --helm.',
  });
}

function isolated(folder: string, searchPath: string | undefined): Record<string, string> {
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
