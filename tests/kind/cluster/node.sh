# shellcheck shell=bash
# What runs the pods: containerd, kubelet, kube-proxy, and the DNS that pods ask.

on_node() { ctr --address "$STATE/containerd/sock" --namespace k8s.io "$@"; }

node_up() {
  configure containerd.toml "$STATE"
  configure pods.conflist "$STATE/cni"
  configure kubelet.yaml "$STATE"
  configure kube-proxy.yaml "$STATE"
  configure Corefile "$STATE"
  echo "nameserver $NODE_ADDRESS" >"$STATE/resolv.conf"
  cgroups_up
  watchers_up

  start containerd containerd --config "$STATE/containerd.toml"
  await 30 containerd 'containerd' on_node version
  pause_image
  start kubelet kubelet --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.kubeconfig" \
    --root-dir="$STATE/kubelet" --hostname-override="$NODE" --node-ip="$NODE_ADDRESS"
  start kube-proxy kube-proxy --config="$STATE/kube-proxy.yaml"
  start coredns coredns -conf "$STATE/Corefile"
  await 90 kubelet "the node $NODE to be ready" kubectl wait --for=condition=Ready --timeout=2s "node/$NODE"
  await 60 kube-proxy "the API's service address $API_SERVICE, made by kube-proxy" answers "$API_SERVICE" 443
  await 60 coredns 'names of services' curl --fail --silent --max-time 2 "http://$NODE_ADDRESS:8181/ready"
}

# shellcheck disable=SC2016 # bash -c expands them
answers() { timeout 2 bash -c ': <"/dev/tcp/$1/$2"' answers "$1" "$2"; }

# A file of config/ with the settings that it names.
configure() { # FILE FOLDER
  mkdir -p "$2"
  sed -e "s#@STATE@#$STATE#g" -e "s#@NODE@#$NODE#g" -e "s#@NODE_ADDRESS@#$NODE_ADDRESS#g" \
    -e "s#@PODS@#$PODS#g" -e "s#@CGROUP@#$CGROUP#g" "$HERE/config/$1" >"$2/$1"
}

# The tops of the control groups: one folder, or one for each controller where the machine has the older kind.
cgroup_roots() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
  fi
}

# A kubelet wants the group that it works under to be there. The group weighs what that of all pods does at the top of
# another machine: by default it would weigh one core, and pods starve beside the control plane while many start.
cgroups_up() {
  local root controller shares=$((1024 * $(nproc)))
  for root in $(cgroup_roots); do
    # The newer kind hands controllers down only when it is told to.
    if [ -e "$root/cgroup.controllers" ]; then
      # shellcheck disable=SC2013 # one word a line
      for controller in $(grep -owE 'cpu|cpuset|memory|pids|hugetlb' "$root/cgroup.controllers"); do
        echo "+$controller" >"$root/cgroup.subtree_control" || fail "the control groups in $root do not hand $controller down"
      done
    fi
    mkdir -p "$root/$CGROUP"
    [ ! -e "$root/$CGROUP/cpu.shares" ] || echo $shares >"$root/$CGROUP/cpu.shares"
    [ ! -e "$root/$CGROUP/cpu.weight" ] || echo $((1 + (shares - 2) * 9999 / 262142)) >"$root/$CGROUP/cpu.weight"
  done
}

cgroups_down() {
  local root
  for root in $(cgroup_roots); do
    [ ! -d "$root/$CGROUP" ] || find "$root/$CGROUP" -depth -type d -delete 2>/dev/null || true
  done
}

# Each container has its log watched; the limit of most machines is too low for some thirty pods.
watchers_up() {
  local setting=fs.inotify.max_user_instances
  [ "$(sysctl --values $setting)" -ge 512 ] || sysctl --quiet --write $setting=512
}

node_down() {
  stop kubelet kube-proxy coredns
  kill_pods
  stop containerd
  # shellcheck disable=SC2046 # one argument a process
  kill_all $(pgrep --full "containerd-shim.* -address $STATE/" || true)
  # Deepest first.
  awk -v state="$STATE/" 'index($2, state) == 1 { print $2 }' /proc/mounts | sort --reverse | xargs --no-run-if-empty umount --lazy
  cgroups_down
  rm -rf /var/lib/cni/results/"$NODE"-*
}

# Every process in the pods' control groups, also when nobody is left to ask who they are.
kill_pods() {
  local deadline=$((SECONDS + 20))
  while [ -n "$(pod_processes)" ]; do
    [ $SECONDS -lt $deadline ] || fail "these processes of pods do not end: $(pod_processes | xargs)"
    # shellcheck disable=SC2046 # one argument a process
    kill_all $(pod_processes)
    sleep 0.2
  done
  # Ends what watched over them, in order.
  if alive containerd; then
    on_node tasks ls --quiet | xargs --no-run-if-empty ctr --address "$STATE/containerd/sock" --namespace k8s.io tasks delete --force >/dev/null 2>&1 || true
  fi
}

pod_processes() {
  local root
  for root in $(cgroup_roots); do
    [ ! -d "$root/$CGROUP" ] || find "$root/$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null
  done | sort --unique
}

kill_all() { [ $# = 0 ] || kill -s KILL "$@" 2>/dev/null || true; }
