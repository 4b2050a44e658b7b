import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterAccess } from '../../formats/kubernetes/kubeconfig.ts';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The API server as a Pod sees it (kubernetes.io/docs/tasks/run-application/access-api-from-pod); `undefined` outside of one.
 * `folder` holds `token` and `ca.crt`.
 */
export function inClusterAccess(
  environment: Readonly<Record<string, string>>,
  folder = SERVICE_ACCOUNT,
): ClusterAccess | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (!host || !port || !existsSync(join(folder, 'token'))) return undefined;
  return {
    context: 'in-cluster',
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    authority: { file: join(folder, 'ca.crt') },
    skipVerify: false,
    user: { tokenFile: join(folder, 'token') },
  };
}
