# shellcheck shell=bash
# The programs that the tests, the demo and the benchmark run Portolan against. To be sourced after node.sh:
#   peer_names               all of them
#   peer_problem NAME        prints what is wrong with a peer; nothing when it is there and runs
#   use_peers                puts them on PATH, PostgreSQL 15 last, and sets PORTOLAN_PEERS and PORTOLAN_AGE_VECTORS
# scripts/peers fetches them.

portolan_peers=${PORTOLAN_PEERS:-$portolan_cache/peers}

readonly AGE_VECTORS_VERSION=v0.0.0-20251208015420-e9274a7bdbfd

# In the order in which they are fetched: the quick ones first.
peer_names() {
  printf '%s\n' age cosign crane oras restic postgres-15 postgres-17 postgres-18 postgres-14 postgres-16 helm registry skopeo jq faketime zstd pgbouncer exfat age-vectors \
    cluster-host wharfie-check telemetry-check runc cni containerd cluster-node versitygw zitadel-oidc-example minio kubernetes
}

# What a peer of several programs, or of programs of other names, brings; the folder of each within the folder of the peers.
peer_programs() {
  case $1 in
    runc) echo bin/runc ;;
    cni) echo cni/bridge cni/host-local cni/loopback cni/portmap ;;
    containerd) echo bin/containerd bin/containerd-shim-runc-v2 bin/ctr ;;
    wharfie-check) echo bin/wharfie-check ;;
    telemetry-check) echo bin/telemetry-check ;;
    minio) echo bin/minio ;;
    versitygw) echo bin/versitygw ;;
    zitadel-oidc-example) echo bin/zitadel-oidc-example ;;
    cluster-node) echo bin/cluster-dns bin/cluster-storage ;;
    kubernetes) echo bin/etcd bin/kube-apiserver bin/kube-controller-manager bin/kube-proxy bin/kube-scheduler bin/kubectl bin/kubelet ;;
  esac
}

# The version of a peer that is pinned as a whole: a Go module of scripts/clusters/go counts with every byte of it.
peer_pinned() {
  case $1 in
    runc) echo 1.4.0 ;;
    cni) echo 1.9.1 ;;
    containerd) echo "2.1.5-k3s1+$(module_digest containerd)" ;;
    wharfie-check) echo "0.7.0+$(module_digest archive-check)" ;;
    telemetry-check) echo "0.165.0+$(module_digest telemetry-check)" ;;
    cluster-node) echo "1.12.4+$(module_digest node)" ;;
    minio) echo 0.0.0-20260212201848-7aac2a2c5b7c ;;
    versitygw) echo 1.8.0 ;;
    zitadel-oidc-example) echo 3.51.17 ;;
    kubernetes) echo "1.34.4+$(module_digest kubernetes)" ;;
  esac
}

# shellcheck disable=SC2154
module_digest() {
  (cd "$root/scripts/clusters/go/$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-12)
}

# The lowest version that does. What Debian's unstable distribution has now may be newer, of the same major version.
peer_minimum() {
  case $1 in
    age) echo 1.3.2 ;;
    cosign) echo 3.1.1 ;;
    crane) echo 0.20.7 ;;
    oras) echo 1.3.3 ;;
    restic) echo 0.19.1 ;;
    helm) echo 4.3.1 ;;
    registry) echo 3.1.2 ;;
    *) echo 0 ;;
  esac
}

peer_problem() {
  local name=$1 minimum recorded
  if [[ -n $(peer_pinned "$name") ]]; then
    pinned_problem "$name"
    return
  fi
  case $name in
    cluster-host)
      { command -v iptables && command -v conntrack && command -v openssl && command -v ip && command -v nsenter; } >/dev/null ||
        echo 'iptables, conntrack, openssl, ip or nsenter is missing'
      return
      ;;
    age-vectors)
      [[ -f $portolan_peers/age-vectors/$AGE_VECTORS_VERSION/testdata/x25519 ]] || echo 'the age test vectors are missing'
      return
      ;;
    skopeo | jq | faketime | zstd | pgbouncer)
      "$name" --version >/dev/null 2>&1 || echo 'not on PATH'
      return
      ;;
    exfat)
      { command -v mkfs.exfat && command -v mount.exfat-fuse; } >/dev/null || echo 'the programs that make and mount exFAT are missing'
      return
      ;;
    postgres-*)
      postgres_problem "${name#postgres-}"
      return
      ;;
  esac
  [[ -x $portolan_peers/bin/$name ]] || {
    echo "missing from $portolan_peers/bin"
    return
  }
  # Not every build can tell its version: the one that was fetched is written down beside it.
  minimum=$(peer_minimum "$name")
  recorded=$(cat "$portolan_peers/versions/$name" 2>/dev/null || true)
  if [[ ${recorded%%.*} != "${minimum%%.*}" ]] || ! at_least "$recorded" "$minimum"; then
    echo "version ${recorded:-unknown}, and $minimum or a later one of the same major version is needed"
  elif ! "$portolan_peers/bin/$name" "$(version_word "$name")" >/dev/null 2>&1; then
    echo 'does not run on this machine'
  fi
}

pinned_problem() {
  local name=$1 pinned program
  pinned=$(peer_pinned "$name")
  for program in $(peer_programs "$name"); do
    [[ -x $portolan_peers/$program ]] || {
      echo "$program is missing from $portolan_peers"
      return
    }
  done
  [[ $(cat "$portolan_peers/versions/$name" 2>/dev/null) == "$pinned" ]] || echo "another version than $pinned is there"
}

version_word() {
  case $1 in
    age | registry) echo --version ;;
    *) echo version ;;
  esac
}

at_least() {
  [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

# Servers do not run as root, and what lies in root's home is out of their reach.
postgres_home() {
  if [[ $(id -u) == 0 ]]; then echo /var/cache/portolan/postgres; else echo "$portolan_peers/postgres"; fi
}

postgres_problem() {
  local bin=$portolan_peers/postgres/$1/bin program programs=(postgres initdb pg_ctl)
  # Of the others the programs of another version are there.
  [[ $1 == 14 || $1 == 16 ]] || programs+=(psql pg_dump pg_restore pg_dumpall)
  for program in "${programs[@]}"; do
    [[ $("$bin/$program" --version 2>/dev/null) == *' (PostgreSQL) '"$1".* ]] || {
      echo "$program of PostgreSQL $1 is missing from $bin, or does not run on this machine"
      return
    }
  done
}

use_peers() {
  PATH=$portolan_peers/bin:$PATH:$portolan_peers/postgres/15/bin
  export PATH PORTOLAN_PEERS=$portolan_peers
  export PORTOLAN_AGE_VECTORS=$portolan_peers/age-vectors/$AGE_VECTORS_VERSION/testdata
}
