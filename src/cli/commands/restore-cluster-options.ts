import { flag, path, pathList, text } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { carriedHelmOption } from './shared-options.ts';
import { targetOptions, waitOptions } from './target-options.ts';

/** Options of a restore into a cluster: those of an import, where they mean the same. */

export const clusterRestoreOptions = {
  bundle: text({
    value: 'DIR[:TAG]',
    complete: 'folder',
    description: 'with a cluster: the medium with the bundle that the snapshot belongs to',
  }),
  bundleTrust: path({
    value: 'FILE',
    description: "with a cluster: the publisher's public key (cosign.pub), or trust.json",
  }),
  configuration: pathList({
    value: 'FILE',
    description:
      'with a cluster: ConfigMaps and Secrets that `config export` wrote, before the data charts; repeatable',
  }),
  kubeconfig: targetOptions.kubeconfig,
  namespace: targetOptions.namespace,
  images: text({
    value: 'TARGET',
    description: 'with a cluster: where its images go, as in `bundle import`',
  }),
  rewriteImages: flag({
    description: 'with a registry in --images: set the values that name images to it, for nodes that take no mirrors',
  }),
  helm: carriedHelmOption,
  rehearse: flag({
    description:
      'with a cluster: bring data charts and databases into namespaces of a rehearsal, prove them, and remove it all',
  }),
  receipt: path({ value: 'FILE', description: 'with a cluster: write what it holds in the end, signed by it' }),
  ...waitOptions,
};

/** @throws UsageError USAGE */
export function requireBundleWithCluster(
  kind: 'postgres' | 'folder' | 'cluster',
  options: {
    readonly to: string;
    readonly bundle: string | undefined;
    readonly bundleTrust: string | undefined;
    readonly configuration: readonly string[];
    readonly images: string | undefined;
    readonly rewriteImages: boolean;
    readonly rehearse: boolean;
    readonly plan: boolean;
    readonly helm: string | undefined;
    readonly receipt: string | undefined;
    readonly kubeconfig: string | undefined;
  },
): void {
  const { to, bundle, bundleTrust, configuration, images, rewriteImages, rehearse, plan, helm, receipt, kubeconfig } =
    options;
  const wrong = (message: string, hint: string) => new UsageError('USAGE', message, { hint });
  if (kind !== 'cluster') {
    const given = [bundle, bundleTrust, images, helm, receipt, kubeconfig].some((value) => value !== undefined);
    if (!given && !rewriteImages && !rehearse && configuration.length === 0) return;
    throw wrong(
      '--bundle, --bundle-trust, --configuration, --images, --rewrite-images, --helm, --rehearse, --receipt and --kubeconfig are for clusters',
      'Leave them out, or name a context of the kubeconfig in --to.',
    );
  }
  if (rehearse && (plan || receipt !== undefined)) {
    throw wrong(
      'A rehearsal is a run of its own, and leaves nothing',
      'Leave out --plan and --receipt, or --rehearse.',
    );
  }
  if (bundle !== undefined && bundleTrust !== undefined) return;
  throw wrong(
    `A restore into the cluster ${to} wants the bundle of what was backed up`,
    'Add --bundle DIR[:TAG] and --bundle-trust FILE. A server is written postgres://…, a folder folder:DIR.',
  );
}
