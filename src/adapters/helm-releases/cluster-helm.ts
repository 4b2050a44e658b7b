import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '../../core/canonical-json.ts';
import { fileError } from '../files/file-error.ts';
import { helmEnvironment, requireHelm4, VERSION_ARGUMENTS } from '../helm/helm-environment.ts';
import { endOfHelm, type HelmEnd, runHelm } from '../helm/helm-process.ts';

export interface ClusterHelmSettings {
  /** The program: an absolute path, or a name that is found on `searchPath`. */
  readonly helmPath: string;
  /** As in KUBECONFIG: one file, or several with the system's separator between them. Without it helm uses its Pod's account. */
  readonly kubeconfigPath?: string;
  /** One of the kubeconfig's. A Pod has none. */
  readonly context?: string;
  /** PATH, for credential plugins. */
  readonly searchPath: string;
  /** What credential plugins may need (HOME, proxies, a cloud's profile). Helm's own variables in it do not count. */
  readonly environment?: Readonly<Record<string, string>>;
  /** An existing folder, where values lie while helm runs. */
  readonly temporaryFolder: string;
}

export interface HelmCall {
  readonly arguments: readonly string[];
  /** Go into a file that only this user can read. */
  readonly values?: Readonly<Record<string, unknown>>;
  readonly timeoutMs: number;
}

/** Helm against one context of a kubeconfig, or the cluster whose Pod this is. */
export interface ClusterHelm {
  /** Runs helm to its end, whatever that is; see `endOfHelm`. */
  end(call: HelmCall, options?: { readonly signal?: AbortSignal }): Promise<HelmEnd>;
}

const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024;
/** How long helm may take to write down that it was stopped. */
const GRACE_MS = 10_000;
const VERSION_TIMEOUT_MS = 30_000;

export function createClusterHelm(settings: ClusterHelmSettings): ClusterHelm {
  let isHelm = false;
  return {
    async end(call, options = {}) {
      const folder = await mkdtemp(join(settings.temporaryFolder, 'helm-')).catch((cause) => {
        throw fileError(cause, settings.temporaryFolder, 'write');
      });
      try {
        const run = {
          helmPath: settings.helmPath,
          environment: environmentOf(settings, folder),
          folder,
          outputLimitBytes: OUTPUT_LIMIT_BYTES,
        };
        if (!isHelm) {
          const version = { ...run, arguments: VERSION_ARGUMENTS, timeoutMs: VERSION_TIMEOUT_MS };
          requireHelm4(await runHelm(version, options), settings.helmPath);
          isHelm = true;
        }
        const values = join(folder, 'values.json');
        if (call.values !== undefined) {
          await writeFile(values, canonicalJson(call.values), { mode: 0o600 }).catch((cause) => {
            throw fileError(cause, values, 'write');
          });
        }
        const given = call.values === undefined ? [] : ['--values', values];
        const context = settings.context === undefined ? [] : ['--kube-context', settings.context];
        const args = [...call.arguments, ...given, ...context];
        return await endOfHelm({ ...run, arguments: args, timeoutMs: call.timeoutMs, graceMs: GRACE_MS }, options);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

function environmentOf(settings: ClusterHelmSettings, folder: string): Record<string, string> {
  const { HOME: _, TMPDIR: __, ...own } = helmEnvironment(folder, settings.searchPath);
  // HELM_NAMESPACE, HELM_KUBETOKEN, HELM_DRIVER …: another cluster's, or another release's.
  const given = Object.entries(settings.environment ?? {}).filter(([name]) => !name.startsWith('HELM_'));
  return {
    HOME: folder,
    TMPDIR: folder,
    ...Object.fromEntries(given),
    ...own,
    KUBECONFIG: settings.kubeconfigPath ?? '',
  };
}
