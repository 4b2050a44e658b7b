# shellcheck shell=bash
# What the cluster is called, where it lives and how it is laid out. To be sourced after scripts/lib/peers.sh.
# shellcheck disable=SC2034

# As k3s has them.
readonly POD_CIDR=10.42.0.0/16 POD_SUBNET=10.42.0.0/24 SERVICE_CIDR=10.43.0.0/16
readonly API_SERVICE_IP=10.43.0.1 DNS_SERVICE_IP=10.43.0.10
readonly NODE_NAME=portolan-node NODE_IP=10.41.0.2
readonly REGISTRY_PORT=5000 REGISTRY_NAME=registry.portolan.test MIRRORED_NAME=mirrored.portolan.test
readonly PAUSE_IMAGE=portolan.local/pause:1.0.0

# Nodes of one machine share its control groups: there is one record of who runs one.
readonly RECORDS=/run/portolan-cluster
readonly HOLDER=$RECORDS/holder

# In the order of their start.
readonly CLUSTER_PARTS=(etcd registry containerd apiserver dns storage controller-manager scheduler kubelet proxy)
readonly CLUSTER_PEERS=(cluster-host registry runc cni containerd cluster-node kubernetes)

readonly STATE_NEEDED_MIB=6144

fail() {
  printf 'cluster: %s\n' "$1" >&2
  exit 1
}

say() {
  printf 'cluster: %s\n' "$1" >&2
}

need_root() {
  [[ $(id -u) == 0 ]] || fail "this needs root: it makes network and mount namespaces and starts a kubelet"
}

namespace_of() {
  printf 'portolan-%s' "$1"
}

# Where a cluster of that name would keep what it writes: in memory where there is enough of it.
state_folder() {
  local name=$1 folder
  if [[ -n ${PORTOLAN_CLUSTER_STATE:-} ]]; then
    folder=$(readlink -m -- "$PORTOLAN_CLUSTER_STATE")
    case $folder in
      / | /run | /run/* | /var/run/* | /var/lib | /var/lib/* | /var/log | /var/log/* | *[!A-Za-z0-9_./-]*)
        fail "PORTOLAN_CLUSTER_STATE cannot be $folder: choose a folder outside of /run, /var/lib and /var/log, of plain letters" ;;
    esac
    printf '%s/portolan-cluster/%s' "$folder" "$name"
    return
  fi
  for folder in /dev/shm /var/tmp; do
    if [[ -d $folder && $(free_mib "$folder") -ge $STATE_NEEDED_MIB ]]; then
      printf '%s/portolan-cluster/%s' "$folder" "$name"
      return
    fi
  done
  fail "neither /dev/shm nor /var/tmp has $STATE_NEEDED_MIB MiB free; set PORTOLAN_CLUSTER_STATE to a folder that has"
}

free_mib() {
  df --output=avail --block-size=1M -- "$1" | tail -n 1 | tr -d ' '
}

# --- The record of the running cluster: one line, NAME STATE PID START KIND ---

# Sets `name`, `state`, `init`, `started` and `kind`; fails where no cluster is recorded.
read_holder() {
  [[ -f $HOLDER ]] && read -r name state init started kind <"$HOLDER"
}

# The time at which a process started, in ticks since boot: its number alone may be another's by now.
start_of() {
  local line
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -r -a line <<<"${line##*) }"
  # Dead, and only not yet buried, is dead.
  [[ ${line[0]} != [ZX] ]] || return 1
  printf '%s' "${line[19]}"
}

holder_lives() {
  read_holder && [[ $(start_of "$init") == "$started" ]]
}

# For what works on a cluster that is up.
need_cluster() {
  if ! holder_lives || [[ ! -f $state/ready ]]; then fail 'no cluster is up; scripts/cluster up raises one'; fi
}

# Two that raise or end a cluster do so one after the other. The lock goes with the process.
lock_records() {
  mkdir -p "$RECORDS"
  exec 7>"$RECORDS/lock"
  flock -w 120 7 || fail 'another scripts/cluster is raising or ending a cluster, and did not finish within 120 s'
}
