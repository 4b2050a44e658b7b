# shellcheck shell=bash
# The cluster tests on a real k3s, in the same namespaces. To be sourced after parts.sh.
# shellcheck disable=SC2154

cluster_k3s() {
  local binary='' keep='' images=() begun=$SECONDS status=0
  while (($# > 0)); do
    case $1 in
      --binary | --images)
        [[ -f ${2:-} ]] || fail "$1 wants a file, and ${2:-nothing} is none"
        if [[ $1 == --binary ]]; then binary=$(readlink -f -- "$2"); else images+=("$(readlink -f -- "$2")"); fi
        shift 2
        ;;
      --keep)
        keep=yes
        shift
        ;;
      *) fail "k3s does not know $1" ;;
    esac
  done
  [[ -n $binary ]] || fail 'k3s wants --binary FILE'
  need_k3s "$binary"
  "$root/scripts/peers" "${CLUSTER_PEERS[@]}"
  use_node
  use_packages all
  claim k3s k3s
  write_k3s_configuration "$binary" "${images[@]}"
  part_start registry
  part_start k3s
  part_await k3s 180
  await_k3s_node
  touch "$state/ready"
  trap - EXIT
  # The tests enter by the command, as scripts/test does.
  exec 7>&-
  say "k3s is up after $((SECONDS - begun)) s"
  {
    "$root/scripts/image" all >/dev/null && "$root/scripts/cluster" images postgres portolan &&
      (cd "$root" && "$root/scripts/cluster" exec node_modules/.bin/vitest run --project cluster)
  } || status=$?
  if [[ -z $keep ]]; then "$root/scripts/cluster" down; fi
  return "$status"
}

# Its wrapper is one program whose first words on its version are its name; nothing that is not plainly one is run.
need_k3s() {
  local binary=$1 version
  if [[ $(head -c 4 -- "$binary" | tail -c 3) != ELF ]] || ! grep -qaF k3s-io/k3s -- "$binary"; then fail "$binary is no k3s"; fi
  [[ -x $binary ]] || fail "$binary is a k3s that may not be run: chmod +x it"
  version=$(timeout 60 "$binary" --version 2>/dev/null | head -n 1) || true
  [[ $version == 'k3s version v'* ]] || fail "$binary does not tell the version of a k3s, but: ${version:-nothing}"
  say "$version"
}

# write_k3s_configuration BINARY ARCHIVE...
write_k3s_configuration() {
  local binary=$1 archives=$state/k3s/agent/images command=()
  shift
  mkdir -p "$archives" "$state"/{registry,volumes}
  printf '# Pods ask the name server of the cluster alone.\n' >"$state/kubelet-resolv.conf"
  registry_configuration "$state" >"$state/registry.yaml"
  cat >"$state/registries.yaml" <<YAML
mirrors:
  "$REGISTRY_NAME:$REGISTRY_PORT": { endpoint: ["http://$NODE_IP:$REGISTRY_PORT"] }
  "$NODE_IP:$REGISTRY_PORT": { endpoint: ["http://$NODE_IP:$REGISTRY_PORT"] }
  "$MIRRORED_NAME":
    endpoint: ["http://$NODE_IP:$REGISTRY_PORT"]
    rewrite: { "^(.*)$": "mirror/\$1" }
YAML
  # There is no default route: what k3s would look for there it is told. vxlan is of use to more than one node alone.
  command=("$binary" server "--data-dir=$state/k3s" "--node-name=$NODE_NAME" "--node-ip=$NODE_IP" "--advertise-address=$NODE_IP"
    --flannel-backend=host-gw --flannel-iface=node0 "--private-registry=$state/registries.yaml" "--write-kubeconfig=$state/k3s.kubeconfig"
    "--kubelet-arg=resolv-conf=$state/kubelet-resolv.conf" --kube-proxy-arg=conntrack-max-per-core=0 --kube-proxy-arg=conntrack-min=0)
  if (($# > 0)); then
    cp -- "$@" "$archives/"
  else
    # The images of its own parts are not to be had here: what needs none takes their place (dns and storage).
    command+=("--disable=coredns,local-storage,metrics-server,servicelb,traefik" "--pause-image=$PAUSE_IMAGE")
    dns_configuration "$state" >"$state/Corefile"
    "$root/scripts/image" pause --out "$portolan_cache/cluster/pause" >"$state/log/images.log" 2>&1 ||
      fail 'the pause image could not be built; see images.log'
    tar --create --file "$archives/.pause.tar.new" --directory "$portolan_cache/cluster/pause" .
    mv "$archives/.pause.tar.new" "$archives/pause.tar"
    touch "$state/own-parts"
  fi
  printf '%s\n' "${command[@]}" >"$state/k3s.command"
}

await_k3s_node() {
  local end=$((SECONDS + 180))
  if [[ -f $state/own-parts ]]; then
    in_network kubectl apply --filename "$root/scripts/clusters/objects/node.yaml" >"$state/log/objects.log" 2>&1 ||
      fail 'the objects of the node could not be made; see objects.log'
    part_start dns
    part_start storage
  fi
  until node_is_ready; do
    ((SECONDS < end)) || fail "the node of k3s is not ready within 180 s; see k3s.log"
    sleep 0.5
  done
}
