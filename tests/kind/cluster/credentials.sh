# shellcheck shell=bash
# An authority, what it signed for each part of the cluster, and a kubeconfig for each that calls the API.

PKI=$STATE/pki
API=https://$NODE_ADDRESS:6443

credentials() {
  [ -e "$PKI/complete" ] && return
  (
    umask 077
    mkdir -p "$PKI"
    authority
    certificate apiserver /CN=kube-apiserver \
      "IP:$NODE_ADDRESS,IP:$API_SERVICE,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    certificate kubelet "/O=system:nodes/CN=system:node:$NODE" "IP:$NODE_ADDRESS,DNS:$NODE"
    certificate admin /O=system:masters/CN=admin
    certificate front-proxy /CN=front-proxy
    certificate kube-controller-manager /CN=system:kube-controller-manager
    certificate kube-scheduler /CN=system:kube-scheduler
    certificate kube-proxy /CN=system:kube-proxy
    local user
    for user in admin kubelet kube-controller-manager kube-scheduler kube-proxy; do kubeconfig "$user"; done
    # Signs the tokens of service accounts.
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$PKI/accounts.key"
    openssl pkey -in "$PKI/accounts.key" -pubout -out "$PKI/accounts.pub"
    touch "$PKI/complete"
  )
}

# A certificate and its key; arguments after the name go to openssl.
issue() { # NAME SUBJECT EXTENSION… -- OPTION…
  local name=$1 subject=$2 extensions=()
  shift 2
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    extensions+=(-addext "$1")
    shift
  done
  shift
  openssl req -x509 -config <(printf '[req]\ndistinguished_name = subject\n[subject]\n') -subj "$subject" -days 365 \
    -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PKI/$name.key" -out "$PKI/$name.crt" \
    "${extensions[@]}" "$@" 2>"$PKI/openssl.log" || fail "openssl made no certificate for $name: $(cat "$PKI/openssl.log")"
}

authority() { issue authority /CN=local-cluster 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign,digitalSignature' --; }

certificate() { # NAME SUBJECT [ADDRESSES]
  issue "$1" "$2" 'basicConstraints=CA:FALSE' 'keyUsage=digitalSignature' 'extendedKeyUsage=serverAuth,clientAuth' \
    ${3:+"subjectAltName=$3"} -- -CA "$PKI/authority.crt" -CAkey "$PKI/authority.key"
}

kubeconfig() { # NAME
  cat >"$STATE/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: $NODE
contexts: [{ name: $NODE, context: { cluster: $NODE, user: $1 } }]
clusters: [{ name: $NODE, cluster: { server: '$API', certificate-authority-data: $(base64 -w0 "$PKI/authority.crt") } }]
users:
  - name: $1
    user: { client-certificate-data: $(base64 -w0 "$PKI/$1.crt"), client-key-data: $(base64 -w0 "$PKI/$1.key") }
YAML
}
