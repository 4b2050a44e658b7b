#!/usr/bin/env bash
# The first process of the node's namespaces: furnishes them, then waits and buries the processes that are left to it.
# Usage: init.sh NAME STATE KIND NODE_IP SERVICE_CIDR     (started by sandbox.sh)
set -euo pipefail
name=$1 state=$2 kind=$3 node_ip=$4 service_cidr=$5

# /proc is still the machine's own: these are the number and the start of this process as others see them.
read -r line </proc/self/stat
read -r -a fields <<<"${line##*) }"
printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$state" "${line%% *}" "${fields[19]}" "$kind" >/run/portolan-cluster/holder.new
mv -f /run/portolan-cluster/holder.new /run/portolan-cluster/holder

mount --make-rshared /
mount -t proc proc /proc
# What the node writes to the machine's folders stays with the node.
mount --bind "$state/run" /run
for folder in etc var/lib var/log; do
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$state/overlay/$folder/upper,workdir=$state/overlay/$folder/work" "/$folder"
done
find "$state/shadows" -type f -printf '%P\n' | while read -r sysctl; do
  mount --bind "$state/shadows/$sysctl" "/proc/sys/$sysctl"
done
for file in resolv.conf hosts; do mount --bind "$state/$file" "/etc/$file"; done

# No way out: a pair of interfaces whose two ends both lie here, and routes to the node and its Services alone.
ip link set lo up
ip link add node0 type veth peer name node1
ip link set node1 up
ip link set node0 up
ip address add "$node_ip/24" dev node0
ip route add "$service_cidr" dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward
# Answers of a Pod to its neighbour pass the packet filter too, so that a Service's address is put back.
if [[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
touch "$state/sandboxed"

while :; do
  sleep 3600 &
  wait "$!" || true
done
