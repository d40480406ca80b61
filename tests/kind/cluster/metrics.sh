# shellcheck shell=bash
# metrics-server: what pods use, for autoscalers by CPU and `kubectl top`. It is a process like the others; the API server
# asks it by a Service whose only address is the node's.

# Not in versions.sh, of which every image is made anew.
METRICS_SERVER=0.8.0
METRICS_PORT=4443

metrics() {
  require_root
  require_cluster
  build_tool metrics-server sigs.k8s.io/metrics-server "v$METRICS_SERVER" cmd/metrics-server
  if [ ! -e "$STATE/metrics-server.kubeconfig" ]; then
    certificate metrics-server /O=system:masters/CN=metrics-server "IP:$NODE_ADDRESS,DNS:metrics-server.kube-system.svc"
    kubeconfig metrics-server
  fi
  local user=$STATE/metrics-server.kubeconfig
  local settings=(
    --kubeconfig="$user" --authentication-kubeconfig="$user" --authorization-kubeconfig="$user"
    --secure-port=$METRICS_PORT --tls-cert-file="$PKI/metrics-server.crt" --tls-private-key-file="$PKI/metrics-server.key"
    --kubelet-certificate-authority="$PKI/authority.crt" --kubelet-preferred-address-types=InternalIP
    --metric-resolution=15s
  )
  start metrics-server metrics-server "${settings[@]}"
  sed -e "s#@NODE_ADDRESS@#$NODE_ADDRESS#g" -e "s#@METRICS_PORT@#$METRICS_PORT#g" -e "s#@AUTHORITY@#$(base64 -w0 "$PKI/authority.crt")#g" \
    "$HERE/config/metrics.yaml" | kubectl apply --filename - >/dev/null
  await 90 metrics-server 'what the node uses' kubectl top node
  say 'kubectl top, and autoscalers by CPU, have their figures'
}
