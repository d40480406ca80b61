#!/usr/bin/env bash
# Sees that what the commands cannot bring themselves is on this machine, and says how to get it where it is not.
# usage: require.sh npm|go|java|maven|python|chromium|promtool|prometheus|docker|kind|kubectl|helm|kubeconfig|debian-root …
set -euo pipefail

missing() {
  printf '\n  %s\n\n' "$1" >&2
  exit 1
}

for what in "$@"; do
  case $what in
    npm)
      command -v npm >/dev/null || missing 'npm is missing. Install Node.js 20 or newer (it brings npm); the project brings its own Node 24.'
      ;;
    java)
      major=$(java -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' || true)
      [ "${major:-0}" -ge 17 ] || missing "Java 17 or newer is missing (found: ${major:-none}); Kafka needs it. On Debian: apt-get install openjdk-17-jre-headless"
      ;;
    maven)
      command -v mvn >/dev/null || missing 'Maven (mvn) is missing; it fetches the jars of Kafka. On Debian: apt-get install maven'
      ;;
    python)
      python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || missing 'Python 3.11 or newer with venv is missing; the API fuzzer and an example of a page run on it. On Debian: apt-get install python3-venv'
      ;;
    chromium)
      if [ -z "${CHROMIUM:-}" ] && ! command -v chromium >/dev/null; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
          echo 'installing Chromium for the browser tests'
          { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-liberation; } >/dev/null
        else
          missing 'Chromium is missing; the browser tests drive it. On Debian: apt-get install chromium. Elsewhere set CHROMIUM to its path.'
        fi
      fi
      ;;
    go)
      PATH="$PATH:/usr/local/go/bin"
      minor=$(go version 2>/dev/null | sed -nE 's/.* go1\.([0-9]+).*/\1/p' || true)
      [ "${minor:-0}" -ge 23 ] || missing "Go 1.23 or newer is missing (found: 1.${minor:-none}); the checker of linearizability is a Go program. See go.dev/doc/install; on Debian 13: apt-get install golang"
      ;;
    promtool | prometheus)
      if ! command -v "$what" >/dev/null; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
          echo 'installing Prometheus, which collects metrics, and whose promtool tests the alert rules'
          { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends prometheus; } >/dev/null
          # The package starts a server; only its programs are wanted.
          systemctl disable --now prometheus >/dev/null 2>&1 || true
        else
          missing "$what is missing; it tests the alert rules, and the demo shows its metrics by it. It comes with Prometheus 2.42 or newer. On Debian: apt-get install prometheus"
        fi
      fi
      ;;
    docker)
      docker version >/dev/null 2>&1 || missing 'Docker is missing or does not run; it builds the image. See docs.docker.com/get-docker. Without it, as root on Debian: CLUSTER=local. With another cluster: CLUSTER=existing KUBECONFIG=…'
      ;;
    kind | kubectl | helm)
      command -v "$what" >/dev/null || missing "$what is missing; the cluster is used by it. With Go: see its own page for the install command."
      ;;
    kubeconfig)
      [ -n "${KUBECONFIG:-}" ] || missing 'CLUSTER=existing needs KUBECONFIG=<file>, the configuration of the cluster to use.'
      ;;
    debian-root)
      { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || missing 'CLUSTER=local starts a Kubernetes from Debian packages and namespaces of its own; that takes root on Debian. Elsewhere: CLUSTER=kind'
      ;;
    *)
      missing "require.sh does not know $what"
      ;;
  esac
done
