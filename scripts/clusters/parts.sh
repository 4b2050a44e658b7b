# shellcheck shell=bash
# The programs of the node: how each is started, stopped and held. To be sourced after settings.sh and sandbox.sh;
# the functions read the variables of the cluster's record.
# shellcheck disable=SC2154

# The command line of a part, one word a line.
part_command() {
  local keys=$state/certificates
  case $1 in
    etcd)
      # A cluster of a test need not outlive the machine's power.
      words etcd --name=node "--data-dir=$state/etcd" --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
        --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=node=http://127.0.0.1:2380 \
        --unsafe-no-fsync --log-level=warn
      ;;
    registry) words env OTEL_TRACES_EXPORTER=none registry serve "$state/registry.yaml" ;;
    containerd) words containerd --config "$state/containerd.toml" --log-level=warn ;;
    apiserver)
      words kube-apiserver --etcd-servers=http://127.0.0.1:2379 "--advertise-address=$NODE_IP" --secure-port=6443 \
        "--service-cluster-ip-range=$SERVICE_CIDR" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
        --allow-privileged=true --profiling=false --kubelet-preferred-address-types=InternalIP \
        "--client-ca-file=$keys/ca.crt" "--tls-cert-file=$keys/apiserver.crt" "--tls-private-key-file=$keys/apiserver.key" \
        "--kubelet-certificate-authority=$keys/ca.crt" "--kubelet-client-certificate=$keys/apiserver-kubelet.crt" \
        "--kubelet-client-key=$keys/apiserver-kubelet.key" --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        "--service-account-key-file=$keys/service-account.pub" "--service-account-signing-key-file=$keys/service-account.key" \
        "--requestheader-client-ca-file=$keys/ca.crt" --requestheader-allowed-names=front-proxy --requestheader-username-headers=X-Remote-User \
        --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
        "--proxy-client-cert-file=$keys/front-proxy.crt" "--proxy-client-key-file=$keys/front-proxy.key"
      ;;
    controller-manager)
      words kube-controller-manager "--kubeconfig=$keys/controller-manager.kubeconfig" "--authentication-kubeconfig=$keys/controller-manager.kubeconfig" \
        "--authorization-kubeconfig=$keys/controller-manager.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
        "--service-account-private-key-file=$keys/service-account.key" "--root-ca-file=$keys/ca.crt" "--cluster-signing-cert-file=$keys/ca.crt" \
        "--cluster-signing-key-file=$keys/ca.key" --allocate-node-cidrs=true "--cluster-cidr=$POD_CIDR" "--service-cluster-ip-range=$SERVICE_CIDR" --profiling=false
      ;;
    scheduler)
      words kube-scheduler "--kubeconfig=$keys/scheduler.kubeconfig" "--authentication-kubeconfig=$keys/scheduler.kubeconfig" \
        "--authorization-kubeconfig=$keys/scheduler.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false --profiling=false
      ;;
    kubelet)
      words kubelet "--config=$state/kubelet.yaml" "--kubeconfig=$keys/kubelet.kubeconfig" "--root-dir=$state/kubelet" "--hostname-override=$NODE_NAME" \
        "--node-ip=$NODE_IP"
      ;;
    proxy)
      words kube-proxy "--kubeconfig=$keys/proxy.kubeconfig" --proxy-mode=iptables "--cluster-cidr=$POD_CIDR" "--hostname-override=$NODE_NAME" \
        --oom-score-adj=0 --conntrack-max-per-core=0 --conntrack-min=0 --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s
      ;;
    # Of k3s too, where it goes without its own.
    dns) words cluster-dns -conf "$state/Corefile" ;;
    storage) words cluster-storage "-kubeconfig=$(cluster_kubeconfig)" "-root=$state/volumes" "-node=$NODE_NAME" ;;
    k3s) cat "$state/k3s.command" ;;
    *) fail "no part is called $1; there are: $(part_names | tr '\n' ' ')" ;;
  esac
}

# Its program: what stands after `env` and the variables that this sets.
part_program() {
  local word words
  mapfile -t words < <(part_command "$1")
  for word in "${words[@]}"; do
    [[ $word == env || $word =~ ^[A-Z_]+= ]] || break
  done
  printf '%s' "$word"
}

words() {
  printf '%s\n' "$@"
}

part_names() {
  if [[ $kind != k3s ]]; then
    words "${CLUSTER_PARTS[@]}"
  elif [[ -f $state/own-parts ]]; then
    words registry k3s dns storage
  else
    words registry k3s
  fi
}

need_part() {
  local names
  names=" $(part_names | tr '\n' ' ')"
  [[ $names == *" $1 "* ]] || fail "no part is called ${1:-(nothing)}; there are:$names"
}

# Tells a part's number within the node, where it runs.
part_process() {
  local process program
  process=$(cat "$state/parts/$1.pid" 2>/dev/null) && [[ -n $process ]] || return 1
  program=$(part_program "$1")
  # A number may have gone to another process since.
  [[ $(inside readlink "/proc/$process/exe" 2>/dev/null) == */"${program##*/}"* ]] || return 1
  printf '%s' "$process"
}

part_start() {
  local part=$1 command
  ! part_process "$part" >/dev/null || return 0
  mapfile -t command < <(part_command "$part")
  # shellcheck disable=SC2016
  inside setsid --fork bash -c 'cd / && exec </dev/null >>"$1.log" 2>&1 && echo $$ >"$2.pid" && shift 2 && exec "$@"' \
    start "$state/log/$part" "$state/parts/$part" "${command[@]}"
}

part_signal() {
  local process
  process=$(part_process "$1") || fail "$1 does not run"
  inside kill "-$2" "$process"
}

# part_stop PART [SIGNAL]
part_stop() {
  local part=$1 process try
  process=$(part_process "$part") || return 0
  inside kill "-${2:-TERM}" "$process"
  # One that is held cannot end.
  inside kill -CONT "$process" 2>/dev/null || true
  for ((try = 0; try < 400; try++)); do
    part_process "$part" >/dev/null || return 0
    sleep 0.05
  done
  inside kill -KILL "$process" || true
  for ((try = 0; try < 200; try++)); do
    part_process "$part" >/dev/null || return 0
    sleep 0.05
  done
  fail "$part does not end"
}

# Waits until a part does its work, SECONDS at most.
part_await() {
  local part=$1 seconds=${2:-60} begun=$SECONDS
  until part_works "$part" >/dev/null 2>&1; do
    # One that was started a moment ago may not be the program yet that it will be.
    if ((SECONDS - begun >= seconds)) || { ((SECONDS - begun > 2)) && ! part_process "$part" >/dev/null; }; then
      tail -n 20 "$state/log/$part.log" >&2 || true
      fail "$part ended, or did not begin its work within $seconds s; the end of its log is above"
    fi
    sleep 0.1
  done
}

part_works() {
  part_process "$1" >/dev/null || return 1
  case $1 in
    containerd) inside timeout 10 ctr --address "$(containerd_socket)" version ;;
    apiserver | k3s) in_network timeout 10 kubectl get --raw /readyz ;;
    # What it does shows in the state of the node alone.
    kubelet) node_is_ready ;;
    registry) inside timeout 10 bash -c "exec 3<>/dev/tcp/$NODE_IP/$REGISTRY_PORT" ;;
  esac
}

node_is_ready() {
  [[ $(in_network timeout 10 kubectl get nodes --output 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}' 2>/dev/null) == True ]]
}

# --- What a person or a test uses ---

containerd_socket() {
  if [[ $kind == k3s ]]; then printf '%s/run/k3s/containerd/containerd.sock' "$state"; else printf '%s/containerd.sock' "$state"; fi
}

cluster_kubeconfig() {
  if [[ $kind == k3s ]]; then printf '%s/k3s.kubeconfig' "$state"; else printf '%s/certificates/admin.kubeconfig' "$state"; fi
}

# One NAME=VALUE a line.
cluster_environment() {
  words "PORTOLAN_CLUSTER=$name" "PORTOLAN_CLUSTER_KIND=$kind" "PORTOLAN_CLUSTER_NETWORK=$(namespace_of "$name")" "PORTOLAN_CLUSTER_FOLDER=$state" \
    "PORTOLAN_CLUSTER_INIT=$init" "PORTOLAN_CLUSTER_REGISTRY=$REGISTRY_NAME:$REGISTRY_PORT" "KUBECONFIG=$(cluster_kubeconfig)" \
    "CONTAINERD_ADDRESS=$(containerd_socket)" CONTAINERD_NAMESPACE=k8s.io
}

# Runs a command in the node's network, with the machine's own processes and mounts.
in_network() {
  local environment
  mapfile -t environment < <(cluster_environment)
  ip netns exec "$(namespace_of "$name")" env "${environment[@]}" "$@" 7>&- 8>&-
}
