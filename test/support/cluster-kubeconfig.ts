/**
 * The kubeconfig of the cluster that the tests of test/cluster run on: the one that `scripts/cluster exec` names, or
 * PORTOLAN_TEST_KUBECONFIG. Never just KUBECONFIG: that may be a person's own.
 */
export function clusterKubeconfig(): string {
  const { PORTOLAN_TEST_KUBECONFIG: chosen, PORTOLAN_CLUSTER: cluster, KUBECONFIG: raised } = process.env;
  const path = chosen || (cluster ? raised : undefined);
  if (path) return path;
  throw new Error('missing: a cluster. Run scripts/test, which raises one, or set PORTOLAN_TEST_KUBECONFIG.');
}
