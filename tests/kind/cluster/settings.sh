# shellcheck shell=bash disable=SC2034 # read by the other parts
# Names and addresses. They are the cluster's own, so that it can stand beside others of its kind.

# What took long to build. Outlives `down`; another folder can be given, with bin/ in it.
CACHE=${CLUSTER_CACHE:-/var/cache/top-clients-cluster}
BIN=$CACHE/bin
# All that a running cluster writes.
STATE=/var/lib/top-clients-local-cluster

# The node and its network namespace.
NODE=tclocal
# The pair of devices that joins it to the machine. There is no other way in or out.
LINK=tclocal0
LINK_ADDRESSES=172.31.254.0/30
HOST_ADDRESS=172.31.254.1
NODE_ADDRESS=172.31.254.2
# Both are reachable from the machine.
PODS=10.113.0.0/24
SERVICES=10.112.0.0/16
API_SERVICE=10.112.0.1
# Where the control groups of all pods are. A kubelet removes those that it does not know, so it shares them with none.
CGROUP=top-clients-local

# None of them is asked by way of a proxy.
export NO_PROXY=$NODE_ADDRESS,$API_SERVICE,127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}
export no_proxy=$NO_PROXY
export KUBECONFIG=$STATE/admin.kubeconfig
export PATH=$BIN:$PATH:/usr/local/go/bin
