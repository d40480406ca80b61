# shellcheck shell=bash
# What is said to who waits, and how long is waited.

say() { printf '[cluster] %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

# await SECONDS PROCESS WHAT COMMAND…: until the command succeeds. Ends with what is missing and the process's last
# words when the time is over, and at once when the process ended.
await() {
  local seconds=$1 process=$2 what=$3 deadline=$((SECONDS + $1))
  shift 3
  until "$@" >/dev/null 2>&1; do
    if ! alive "$process"; then
      last_words "$process"
      fail "$process ended, so $what will not come"
    elif [ $SECONDS -ge $deadline ]; then
      last_words "$process"
      fail "waited $seconds s in vain for $what; see cluster logs $process"
    fi
    sleep 0.2
  done
}

last_words() { tail -n 15 "$STATE/logs/$1.log" >&2; }

require_root() { [ "$(id -u)" = 0 ] || fail 'root is needed: the cluster makes network namespaces, mounts and control groups'; }

require_cluster() { [ -e "$KUBECONFIG" ] || fail 'there is no cluster here; start it by: cluster up'; }
