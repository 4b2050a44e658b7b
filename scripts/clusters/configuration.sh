# shellcheck shell=bash
# The files that the node's programs read. To be sourced after settings.sh.
# shellcheck disable=SC2154

# write_configuration STATE
write_configuration() {
  local state=$1
  mkdir -p "$state"/{containerd,kubelet,cni,registry,volumes,pod-logs,certs.d}
  containerd_configuration "$state" >"$state/containerd.toml"
  kubelet_configuration "$state" >"$state/kubelet.yaml"
  network_configuration "$state" >"$state/cni/10-portolan.conflist"
  registry_configuration "$state" >"$state/registry.yaml"
  dns_configuration "$state" >"$state/Corefile"
  mirror_configuration "$state"
  printf '# Pods ask the name server of the cluster alone.\n' >"$state/kubelet-resolv.conf"
}

containerd_configuration() {
  cat <<TOML
version = 3
root = '$1/containerd'
state = '/run/containerd'

[grpc]
  address = '$1/containerd.sock'

[plugins.'io.containerd.internal.v1.opt']
  path = '$1/opt'

[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '$PAUSE_IMAGE'
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '$1/certs.d'

[plugins.'io.containerd.cri.v1.runtime']
  # A machine that may not make itself less likely to be killed may not promise it to its Pods.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = 'runc'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = 'io.containerd.runc.v2'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = '$portolan_peers/bin/runc'
        SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['$portolan_peers/cni']
    conf_dir = '$1/cni'

[plugins.'io.containerd.grpc.v1.cri']
  stream_server_address = '127.0.0.1'
  stream_server_port = '0'
TOML
}

kubelet_configuration() {
  cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
authentication:
  anonymous: { enabled: false }
  webhook: { enabled: true }
  x509: { clientCAFile: $1/certificates/ca.crt }
authorization: { mode: Webhook }
tlsCertFile: $1/certificates/kubelet-server.crt
tlsPrivateKeyFile: $1/certificates/kubelet-server.key
cgroupDriver: cgroupfs
clusterDNS: [$DNS_SERVICE_IP]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://$1/containerd.sock
# As k3s: the folder of a test may lie on a disk that is mostly full.
evictionHard: { imagefs.available: 5%, nodefs.available: 5% }
evictionMinimumReclaim: { imagefs.available: 10%, nodefs.available: 10% }
failCgroupV1: false
failSwapOn: false
healthzBindAddress: 127.0.0.1
oomScoreAdj: 0
podLogsDir: $1/pod-logs
resolvConf: $1/kubelet-resolv.conf
volumePluginDir: $1/kubelet/plugins
YAML
}

network_configuration() {
  cat <<JSON
{
  "cniVersion": "1.0.0",
  "name": "portolan",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "forceAddress": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{ "subnet": "$POD_SUBNET" }]],
        "routes": [{ "dst": "0.0.0.0/0" }]
      }
    },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
JSON
}

registry_configuration() {
  cat <<YAML
version: 0.1
log: { level: warn, accesslog: { disabled: true } }
storage:
  filesystem: { rootdirectory: $1/registry }
  delete: { enabled: true }
http: { addr: '$NODE_IP:$REGISTRY_PORT' }
YAML
}

dns_configuration() {
  cat <<COREFILE
.:53 {
  bind $NODE_IP
  ready 127.0.0.1:8181
  errors
  loadbalance
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig $(cluster_kubeconfig)
    pods insecure
    ttl 5
  }
}
COREFILE
}

# The registry beside the node, by its address and by its name; and one that is not there, whose images are looked for in the
# registry under mirror/ instead, by the rewriting that k3s adds to containerd.
mirror_configuration() {
  local endpoint=http://$NODE_IP:$REGISTRY_PORT name
  for name in "$NODE_IP:$REGISTRY_PORT" "$REGISTRY_NAME:$REGISTRY_PORT"; do
    mkdir -p "$1/certs.d/$name"
    printf '%s\n' "server = \"$endpoint\"" "[host.\"$endpoint\"]" '  capabilities = ["pull", "resolve", "push"]' >"$1/certs.d/$name/hosts.toml"
  done
  mkdir -p "$1/certs.d/$MIRRORED_NAME"
  cat >"$1/certs.d/$MIRRORED_NAME/hosts.toml" <<TOML
server = "https://$MIRRORED_NAME/v2"
[host."$endpoint/v2"]
  capabilities = ["pull", "resolve"]
  [host."$endpoint/v2".rewrite]
    "^(.*)$" = "mirror/\$1"
TOML
}
