/** The tests of test/cluster run in the network of the node, which `scripts/cluster exec` enters. */
export default function requireCluster(): void {
  if (process.env.PORTOLAN_CLUSTER || process.env.PORTOLAN_TEST_KUBECONFIG) return;
  throw new Error('missing: a cluster. Run scripts/test (all or cluster) as root, which raises one.');
}
