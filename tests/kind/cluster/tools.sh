# shellcheck shell=bash
# The programs of the cluster: Debian's packages, and what is built from Go modules. Go takes them from where its own
# settings say (GOPROXY, GOFLAGS, GOCACHE …).
# shellcheck source=versions.sh
source "$HERE/versions.sh"

PACKAGES=(
  containerd runc containernetworking-plugins        # containers and their network
  etcd-server                                        # the API server's store
  iptables iproute2 conntrack ethtool socat procps   # what kubelet and kube-proxy call
  buildah mmdebstrap                                 # images
  openssl curl ca-certificates
)

install_tools() {
  install_packages
  mkdir -p "$BIN"
  build_kubernetes
  build_tool coredns github.com/coredns/coredns "v$COREDNS"
  build_tool helm helm.sh/helm/v4 "v$HELM" cmd/helm
}

install_packages() {
  local package missing=()
  for package in "${PACKAGES[@]}"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing ${missing[*]}"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >/dev/null ||
    fail "apt-get could not install ${missing[*]}"
  # The packages start services of the machine; only their programs are wanted.
  for package in containerd etcd; do
    case " ${missing[*]} " in *" $package"*) systemctl disable --now "$package" >/dev/null 2>&1 || true ;; esac
  done
}

# Whether a program was built from this version of a module, whoever did it.
is_built() { # PROGRAM MODULE VERSION
  go version -m "$BIN/$1" 2>/dev/null |
    awk -v module="$2" -v version="$3" '$2 == module && $3 == version { found = 1 } END { exit !found }'
}

build_kubernetes() {
  local programs=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl)
  local module=k8s.io/kubernetes version program missing=()
  version=$(awk -v module=$module '$1 == module { print $2 }' "$HERE/kubernetes/go.mod")
  for program in "${programs[@]}"; do
    is_built "$program" $module "$version" || missing+=("$module/cmd/$program")
  done
  [ ${#missing[@]} = 0 ] && return
  say "building Kubernetes $version, once on this machine: about ten minutes on two cores"
  # Programs tell their version from what is set here; the API server derives its behaviour from it.
  local set="-X k8s.io/component-base/version"
  CGO_ENABLED=0 go -C "$HERE/kubernetes" build -trimpath -buildvcs=false -o "$BIN/" \
    -ldflags "-s -w $set.gitVersion=$version $set.gitMajor=1 $set.gitMinor=$(cut -d. -f2 <<<"$version") $set.gitTreeState=clean" \
    "${missing[@]}"
}

build_tool() { # PROGRAM MODULE VERSION [FOLDER]
  is_built "$1" "$2" "$3" && return
  say "building $1 $3, once on this machine"
  GOBIN=$BIN CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$2${4:+/$4}@$3"
}
