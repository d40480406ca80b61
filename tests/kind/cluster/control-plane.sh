# shellcheck shell=bash
# What a cluster is run by: the store, the API server, the controllers, the scheduler.

CONTROL_PLANE=(metrics-server kube-scheduler kube-controller-manager kube-apiserver etcd)

control_plane_up() {
  local etcd=http://127.0.0.1:2379
  # The cluster does not outlive a crash of the machine, so nothing waits for the disk.
  start etcd etcd --data-dir "$STATE/etcd" --unsafe-no-fsync \
    --listen-client-urls $etcd --advertise-client-urls $etcd --listen-peer-urls http://127.0.0.1:2380
  await 30 etcd 'etcd, the store' ip netns exec "$NODE" curl --fail --silent --max-time 2 $etcd/health

  local apiserver=(
    --etcd-servers="$etcd"
    --advertise-address="$NODE_ADDRESS"
    --service-cluster-ip-range="$SERVICES"
    --authorization-mode='Node,RBAC'
    --enable-admission-plugins=NodeRestriction
    --client-ca-file="$PKI/authority.crt"
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key"
    --service-account-issuer=https://kubernetes.default.svc
    --service-account-key-file="$PKI/accounts.pub" --service-account-signing-key-file="$PKI/accounts.key"
    # To an API that others serve, as which it says for whom it asks.
    --proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key"
    --requestheader-client-ca-file="$PKI/authority.crt" --requestheader-allowed-names=front-proxy
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group
    --requestheader-extra-headers-prefix=X-Remote-Extra-
    # To a kubelet, for logs and exec, as somebody who may do all.
    --kubelet-certificate-authority="$PKI/authority.crt"
    --kubelet-client-certificate="$PKI/admin.crt" --kubelet-client-key="$PKI/admin.key"
    --kubelet-preferred-address-types=InternalIP
  )
  start kube-apiserver kube-apiserver "${apiserver[@]}"
  await 90 kube-apiserver "the API server at $API" kubectl get --raw /readyz

  local controllers=(
    --kubeconfig="$STATE/kube-controller-manager.kubeconfig"
    --use-service-account-credentials
    --service-account-private-key-file="$PKI/accounts.key"
    --root-ca-file="$PKI/authority.crt"
    --leader-elect=false
  )
  start kube-controller-manager kube-controller-manager "${controllers[@]}"
  start kube-scheduler kube-scheduler --kubeconfig="$STATE/kube-scheduler.kubeconfig" --leader-elect=false
  # Pods are let in only with an account, which a controller makes.
  await 60 kube-controller-manager 'the account "default", made by a controller' kubectl --namespace default get serviceaccount default
}

control_plane_down() { stop "${CONTROL_PLANE[@]}"; }
