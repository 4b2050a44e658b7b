import type { ClusterOptions } from '../../compose/kubernetes.ts';
import { path, text } from '../arguments.ts';
import type { CommandContext } from '../context.ts';

/** How a command reaches a cluster. */
export const clusterOptions = {
  kubeconfig: path({
    value: 'FILE',
    description: 'how the cluster is reached. Default: KUBECONFIG, ~/.kube/config, the file of a k3s server here',
  }),
  context: text({ value: 'NAME', description: 'context of the kubeconfig. Default: its current one' }),
};

export function clusterOptionsOf(
  { kubeconfig, context: name }: { readonly kubeconfig: string | undefined; readonly context: string | undefined },
  { env, cwd, now }: CommandContext,
): ClusterOptions {
  return { kubeconfig, context: name, env, cwd, now };
}
