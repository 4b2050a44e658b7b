# shellcheck shell=bash
# The namespaces of the node: processes, mounts and network. Its first process holds them; when that ends, the kernel ends every
# process, mount, interface and packet filter with it. To be sourced after settings.sh.
# shellcheck disable=SC2034,SC2154

# sandbox_open NAME STATE KIND: makes the namespaces; the record is written by the first process itself.
sandbox_open() {
  local folder=$2 try
  mkdir -p "$folder"/{log,parts,run,overlay/{etc,var/lib,var/log}/{upper,work},shadows}
  shadow_sysctls "$folder"
  write_names "$folder"
  # No process of the cluster holds the locks of the scripts (7 and 8).
  setsid --fork unshare --mount --net --pid --fork --propagation private \
    bash "$root/scripts/clusters/init.sh" "$1" "$folder" "$3" "$NODE_IP" "$SERVICE_CIDR" \
    </dev/null >"$folder/log/init.log" 2>&1 7>&- 8>&-
  for ((try = 0; try < 200; try++)); do
    if [[ -f $folder/sandboxed ]]; then
      read_holder || fail 'the record of the cluster is missing'
      name_network
      return
    fi
    sleep 0.05
  done
  cat "$folder/log/init.log" >&2
  fail 'the namespaces could not be made; this machine may not allow it (see the lines above)'
}

# The kubelet sets these for the whole machine, whatever namespace it is in. It is shown files of its own instead.
shadow_sysctls() {
  local name
  for name in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    mkdir -p "$1/shadows/$(dirname "${name%=*}")"
    printf '%s\n' "${name#*=}" >"$1/shadows/${name%=*}"
  done
}

write_names() {
  printf 'nameserver %s\noptions timeout:1 attempts:2\n' "$DNS_SERVICE_IP" >"$1/resolv.conf"
  printf '%s\n' "127.0.0.1 localhost" "$NODE_IP $NODE_NAME $REGISTRY_NAME" >"$1/hosts"
}

# `ip netns exec` finds the network by its name, and lays the files of /etc/netns/NAME over those of /etc.
name_network() {
  local network
  network=$(namespace_of "$name")
  mkdir -p "/etc/netns/$network"
  cp "$state/resolv.conf" "$state/hosts" "/etc/netns/$network/"
  ip netns attach "$network" "$init"
}

# Runs a command as a process of the node: its network, mounts and processes.
inside() {
  nsenter --target "$init" --mount --net --pid -- "$@" 7>&- 8>&-
}

# Ends what the record names and takes away what it left. Safe at any time, and more than once.
sandbox_close() {
  local network try folder name state init started kind
  read_holder || return 0
  if holder_lives; then kill -KILL "$init"; fi
  for ((try = 0; try < 600; try++)); do
    holder_lives || break
    sleep 0.05
  done
  ! holder_lives || fail "the process $init of the cluster does not end"
  network=$(namespace_of "$name")
  if [[ -e /run/netns/$network ]]; then ip netns delete "$network"; fi
  rm -rf "/etc/netns/$network"
  rmdir /etc/netns 2>/dev/null || true
  # Only empty ones can be removed: another's processes are never touched.
  for folder in /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods; do
    if [[ -d $folder ]]; then find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
  rm -rf --one-file-system "$state"
  rmdir "$(dirname "$state")" 2>/dev/null || true
  rm -f "$HOLDER"
}
