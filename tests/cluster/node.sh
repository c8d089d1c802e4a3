#!/bin/bash
# A Kubernetes of one node without Docker: kubelet, containerd and kube-proxy in namespaces of their own, with no way out.
#
#   node.sh up          start it, and wait until the node is Ready
#   node.sh down        end all of it
#   node.sh api-stop    end the API server
#   node.sh api-start   start it again, and wait until it is ready
#   node.sh run CMD…    run CMD where the node's network is
#   node.sh inside CMD… run CMD where the node's processes are
#   node.sh load TAR…   import images
#
# NODE is a folder of its own for all it writes, BIN the folder of the programs. Needs root, iproute2, util-linux, nft,
# openssl. Nothing of the machine is changed: what the kubelet wants of sysctls is shown to it by mounts.
set -euo pipefail
: "${NODE:?a folder of its own}" "${BIN:?the folder of the programs}"
NAME=stationkeeper-node ADDRESS=10.98.0.1 PODS=10.243.0.0/24 SERVICES=10.97.0.0/16
export KUBECONFIG=$NODE/admin.kubeconfig
kubectl() { in_network "$BIN/kubectl" "$@"; }
in_network() { nsenter --net=/run/netns/$NAME "$@"; }
in_node() { nsenter --target "$(cat "$NODE/init.pid")" --mount --pid --net --uts --ipc "$@"; }
start() { # LOG COMMAND…
  local log=$NODE/log/$1.log; shift
  setsid nsenter --target "$(cat "$NODE/init.pid")" --mount --pid --net --uts --ipc \
    env -i HOME="$NODE" PATH="$BIN:/usr/sbin:/usr/bin:/sbin:/bin" "$@" </dev/null >>"$log" 2>&1 &
}
wait_for() { # SECONDS COMMAND…
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do ((SECONDS < end)) || { echo "not in time: $*" >&2; exit 1; }; sleep 0.2; done
}

network() {
  ip netns add $NAME
  in_network ip link set lo up
  in_network ip link add node0 type veth peer name node0p
  in_network ip addr add $ADDRESS/24 dev node0
  in_network ip link set node0 up
  in_network ip link set node0p up
  in_network ip route add $SERVICES dev node0 # Without a route, connect() fails before the address is translated.
  in_network sysctl -qw net.ipv4.ip_forward=1
}

init() { # The first process of the node: when it ends, all end.
  setsid nsenter --net=/run/netns/$NAME unshare --mount --pid --uts --ipc --fork --mount-proc --propagation private \
    "$BIN/pause" </dev/null >/dev/null 2>&1 &
  local child=
  for _ in $(seq 100); do
    child=$(cat "/proc/$!/task/$!/children" 2>/dev/null || true); child=${child%% *}
    [[ -n $child && $(readlink "/proc/$child/exe") == "$(readlink -f "$BIN/pause")" ]] && break
    sleep 0.1
  done
  echo "${child:?the first process does not start}" >"$NODE/init.pid"
  in_node mount --make-rshared /
  in_node mount -t tmpfs -o mode=755 tmpfs /run
  in_node mkdir -p /run/netns
  in_node hostname $NAME
  local setting
  for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    local shown=$NODE/sysctl/${setting%=*}
    mkdir -p "${shown%/*}"; echo "${setting#*=}" >"$shown"
    in_node mount --bind "$shown" "/proc/sys/${setting%=*}"
  done
}

certificate() { # NAME SUBJECT EXTENSION
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 30 \
    -extfile <(echo "$3") 2>/dev/null
}

user() { # FILE USER GROUP
  local token; token=$(openssl rand -hex 16)
  echo "$token,$2,$2,\"$3\"" >>"$NODE/tokens.csv"
  cat >"$NODE/$1.kubeconfig" <<EOF
apiVersion: v1
kind: Config
current-context: node
clusters: [{name: node, cluster: {server: "https://$ADDRESS:6443", certificate-authority-data: $(base64 -w0 <"$NODE/pki/ca.crt")}}]
users: [{name: user, user: {token: $token}}]
contexts: [{name: node, context: {cluster: node, user: user}}]
EOF
}

identities() {
  pushd "$NODE/pki" >/dev/null
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=node-ca -days 30 2>/dev/null
  certificate server /CN=kube-apiserver \
    "subjectAltName=IP:127.0.0.1,IP:$ADDRESS,IP:${SERVICES%0/16}1,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  certificate kubelet-client /O=system:masters/CN=kube-apiserver extendedKeyUsage=clientAuth
  openssl genrsa -out accounts.key 2048 2>/dev/null
  popd >/dev/null
  (umask 077; : >"$NODE/tokens.csv")
  user admin admin system:masters
  user kubelet system:node:$NAME system:nodes
  user controllers system:kube-controller-manager ""
  user scheduler system:kube-scheduler ""
  user proxy system:kube-proxy ""
}

configuration() {
  cat >"$NODE/containerd.toml" <<EOF
version = 4
root = '$NODE/containerd'
state = '/run/containerd'
disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.snapshotter.v1.erofs', 'io.containerd.snapshotter.v1.blockfile', 'io.containerd.differ.v1.erofs', 'io.containerd.mount-handler.v1.erofs']
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/pause:1'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '$BIN/runc'
  SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['$BIN']
  conf_dir = '$NODE/cni'
EOF
  cat >"$NODE/cni/10-bridge.conflist" <<EOF
{"cniVersion": "1.0.0", "name": "node", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
 "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false,
 "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": [[{"subnet": "$PODS"}]]}}]}
EOF
  : >"$NODE/resolv.conf"
  cat >"$NODE/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
failSwapOn: false
oomScoreAdj: 0
maxOpenFiles: $(ulimit -Hn)
protectKernelDefaults: true
address: $ADDRESS
resolvConf: $NODE/resolv.conf
clusterDNS: [$ADDRESS]
clusterDomain: cluster.local
podLogsDir: $NODE/pod-logs
volumePluginDir: $NODE/volume-plugins
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $NODE/pki/ca.crt}}
authorization: {mode: Webhook}
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
EOF
  cat >"$NODE/proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $PODS
hostnameOverride: $NAME
clientConnection: {kubeconfig: $NODE/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
EOF
}

api_start() {
  start api-server "$BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --advertise-address=$ADDRESS \
    --secure-port=6443 --tls-cert-file="$NODE/pki/server.crt" --tls-private-key-file="$NODE/pki/server.key" \
    --client-ca-file="$NODE/pki/ca.crt" --token-auth-file="$NODE/tokens.csv" --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$NODE/pki/accounts.key" --service-account-signing-key-file="$NODE/pki/accounts.key" \
    --service-cluster-ip-range=$SERVICES --kubelet-client-certificate="$NODE/pki/kubelet-client.crt" \
    --kubelet-client-key="$NODE/pki/kubelet-client.key" --kubelet-preferred-address-types=InternalIP
  wait_for 180 kubectl get --raw /readyz
}

api_stop() {
  local process
  for process in /proc/[0-9]*; do
    [[ $(readlink "$process/exe") == "$(readlink -f "$BIN/kube-apiserver")" ]] || continue
    [[ $(readlink "$process/ns/net") == "$(readlink "/proc/$(cat "$NODE/init.pid")/ns/net")" ]] && kill -9 "${process#/proc/}"
  done
}

load() { local image; for image in "$@"; do in_node "$BIN/ctr" --namespace k8s.io images import "$image" >/dev/null; done; }

up() {
  [[ ! -e $NODE/init.pid ]] || { echo "it runs already, or was not ended: node.sh down" >&2; exit 1; }
  mkdir -p "$NODE"/{pki,log,cni,sysctl}
  network; init; identities; configuration
  start containerd "$BIN/containerd" --config "$NODE/containerd.toml"
  start etcd "$BIN/etcd" --data-dir "$NODE/etcd" --unsafe-no-fsync
  api_start
  start controllers "$BIN/kube-controller-manager" --kubeconfig="$NODE/controllers.kubeconfig" --leader-elect=false \
    --use-service-account-credentials --service-account-private-key-file="$NODE/pki/accounts.key" --root-ca-file="$NODE/pki/ca.crt"
  start scheduler "$BIN/kube-scheduler" --kubeconfig="$NODE/scheduler.kubeconfig" --leader-elect=false
  start dns env KUBECONFIG="$KUBECONFIG" "${PYTHON:-python3}" "$(dirname "$(readlink -f "$0")")/dns.py" $ADDRESS "$BIN/kubectl"
  wait_for 60 in_node "$BIN/ctr" version
  load "$NODE"/images/*.tar
  start kubelet "$BIN/kubelet" --config="$NODE/kubelet.yaml" --kubeconfig="$NODE/kubelet.kubeconfig" \
    --hostname-override=$NAME --node-ip=$ADDRESS --root-dir="$NODE/kubelet" --cert-dir="$NODE/kubelet-pki"
  start proxy "$BIN/kube-proxy" --config="$NODE/proxy.yaml"
  wait_for 180 kubectl get node $NAME
  kubectl wait node/$NAME --for=condition=Ready --timeout=180s
}

down() {
  local first; first=$(cat "$NODE/init.pid" 2>/dev/null || true)
  if [[ -n $first && $(readlink "/proc/$first/exe") == "$(readlink -f "$BIN/pause")" ]]; then
    kill -9 "$first"
    for _ in $(seq 100); do [[ -d /proc/$first ]] || break; sleep 0.1; done
  fi
  find /sys/fs/cgroup -depth -type d \( -path '*/kubepods*' -o -path '*/k8s.io*' \) -exec rmdir {} + 2>/dev/null || true
  ip netns del $NAME 2>/dev/null || true
  rm -rf --one-file-system "$NODE"
}

case ${1:?what to do} in
  up) up ;;
  down) down ;;
  api-stop) api_stop ;;
  api-start) api_start ;;
  load) shift; load "$@" ;;
  run) shift; in_network "$@" ;;
  inside) shift; in_node "$@" ;;
  *) echo "unknown: $1" >&2; exit 2 ;;
esac
