import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalJson } from '../../core/canonical-json.ts';
import type { ChartRenderer } from '../../ports/charts.ts';
import { fileError } from '../files/file-error.ts';
import { helmEnvironment, requireHelm4, VERSION_ARGUMENTS } from './helm-environment.ts';
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
              environment: helmEnvironment(folder, settings.searchPath),
              folder,
              timeoutMs: settings.timeoutMs ?? TIMEOUT_MS,
              outputLimitBytes: settings.outputLimitBytes ?? OUTPUT_LIMIT_BYTES,
            },
            options,
          );
        // Another program that prints nothing would pass for a chart without images.
        if (!isHelm) requireHelm4(await run(VERSION_ARGUMENTS), settings.helmPath);
        isHelm = true;
        return await run([
          ...['template', request.release, request.chartPath],
          ...['--namespace', request.namespace, '--values', valuesFile],
          ...(request.kubeVersion === undefined ? [] : ['--kube-version', request.kubeVersion]),
          ...(request.apiVersions ?? []).flatMap((version) => ['--api-versions', version]),
          ...(request.upgrade === true ? ['--is-upgrade'] : []),
          ...(request.includeCrds === true ? ['--include-crds'] : []),
        ]);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}
