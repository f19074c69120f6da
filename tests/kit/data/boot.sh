#!/bin/bash
# Runs as process 1 of a machine, in namespaces of its own: everything of a one-node cluster.
#
#   boot.sh DIRECTORY, whose file `settings` gives NAME, I (index), KIT_BIN, REGION, ZONE.
#
# Why each odd setting is there:
# - kubelet: failCgroupV1 off because hosts with cgroup v1 are still common; cgroupRoot must exist in
#   every v1 hierarchy, with cpuset filled, before the kubelet starts; eviction limits off, or a full
#   disk evicts pods.
# - containerd: restrict_oom_score_adj for a root without CAP_SYS_RESOURCE.
# - API server: kubelet addresses by IP, or exec and logs look the node's name up.
# - kube-proxy: conntrack limits are sysctls of the first network namespace.
# - etcd without fsync: for tests only, never for a benchmark.
set -euo pipefail
DIR=$1; cd "$DIR"
# shellcheck disable=SC1091
. ./settings
wire=198.18.0; IP=$wire.$((10 + I))
export PATH="$KIT_BIN:$PATH:/usr/sbin:/sbin"

mount -t tmpfs tmpfs /run; mkdir -p /run/netns /run/lock
mount --make-rshared /run
hostname "$NAME"
ip link set lo up
for _ in $(seq 200); do ip link show eth0 >/dev/null 2>&1 && break; sleep 0.05; done
ip addr add "$IP/24" dev eth0; ip link set eth0 up
ip route add 198.18.0.0/15 via $wire.1   # the test range only: there is no way out
sysctl -qw net.ipv4.ip_forward=1
echo "nameserver $wire.1" > resolv.conf; mount --bind resolv.conf /etc/resolv.conf
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p "/sys/fs/cgroup/kit-$NAME"
else
  for c in /sys/fs/cgroup/*/; do
    [ -f "$c/cgroup.procs" ] && mkdir -p "$c/kit-$NAME"
    [ -f "$c/cpuset.cpus" ] && for f in cpus mems; do cat "$c/cpuset.$f" > "$c/kit-$NAME/cpuset.$f"; done
  done
fi

start() { local n=$1; shift; "$@" >> "$n.log" 2>&1 & echo "$n $!" >> processes; }
: > processes
kubectl() { command kubectl --kubeconfig admin.kubeconfig "$@"; }
services="198.19.$I.0/24"

start etcd etcd --data-dir etcd.data --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
start apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --advertise-address="$IP" --secure-port=6443 \
  --tls-cert-file=apiserver.crt --tls-private-key-file=apiserver.key --client-ca-file=ca.crt --authorization-mode=Node,RBAC \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=sa.key --service-account-signing-key-file=sa.key \
  --service-cluster-ip-range="$services" --allow-privileged=true --kubelet-preferred-address-types=InternalIP \
  --enable-admission-plugins=NodeRestriction --kubelet-client-certificate=to-kubelet.crt --kubelet-client-key=to-kubelet.key \
  --kubelet-certificate-authority=ca.crt
start containerd containerd -c containerd.toml
for _ in $(seq 300); do kubectl get --raw /readyz >/dev/null 2>&1 && break; sleep 0.1; done
start controllers kube-controller-manager --kubeconfig=controllers.kubeconfig --use-service-account-credentials --leader-elect=false \
  --service-account-private-key-file=sa.key --root-ca-file=ca.crt --cluster-signing-cert-file=ca.crt --cluster-signing-key-file=ca.key \
  --service-cluster-ip-range="$services" --node-monitor-grace-period=12s
start scheduler kube-scheduler --kubeconfig=scheduler.kubeconfig --leader-elect=false
for t in "$KIT_BIN"/images/*.tar; do ctr -n k8s.io images import "$t" >> images.log 2>&1; done
start kubelet kubelet --config kubelet.yaml --kubeconfig kubelet.kubeconfig --hostname-override "$NAME" --node-ip "$IP" \
  --root-dir "$DIR/kubelet" --cert-dir "$DIR/kubelet" \
  --node-labels="topology.kubernetes.io/region=$REGION,topology.kubernetes.io/zone=$ZONE"
start proxy kube-proxy --kubeconfig proxy.kubeconfig --proxy-mode nftables --hostname-override "$NAME" \
  --cluster-cidr "198.18.$((100 + I)).0/24" --conntrack-max-per-core 0 --conntrack-min 0
for f in "$KIT_BIN"/addons/*.yaml; do
  sed "s/@DNS@/198.19.$I.10/; s#@VOLUMES@#$DIR/volumes#" "$f" | kubectl apply -f - >> addons.log 2>&1
done
touch booted

# The cloud's part: an address for every Service of type LoadBalancer.
format='{.metadata.namespace} {.metadata.name} {.spec.type} {.status.loadBalancer.ingress}{"\n"}'
while :; do
  kubectl get services -A --watch -o jsonpath="$format" 2>> addons.log | while read -r ns name type has; do
    [ "$type" = LoadBalancer ] && [ -z "$has" ] || continue
    n=$(cat lb-next 2>/dev/null || echo 1); echo $((n + 1)) > lb-next
    kubectl -n "$ns" patch service "$name" --subresource=status --type=merge \
      -p "{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"198.18.$((200 + I)).$n\"}]}}}" >> addons.log 2>&1 || true
  done
  sleep 1
done
