# shellcheck shell=bash
# Images are built here, for none can be pulled. Those that the project's Dockerfile and chart name are stood in for,
# under the public names, by Debian's packages and those of npm and Maven. One that is here under its name already and
# is no stand-in is taken as it is.

LABEL=dev.topclients.stand-in
DEBIAN_IMAGE=localhost/stand-in-debian:12
NODE_IMAGE=docker.io/library/node:24-bookworm-slim
DISTROLESS_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot
PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm
KAFKA_IMAGE=docker.io/apache/kafka:$KAFKA
POSTGRES_IMAGE=docker.io/library/postgres:18
# The version does not matter: the name must be that in config/containerd.toml.
PAUSE_IMAGE=localhost/pause:1

image() { # FOLDER NAME:TAG [OPTION…]
  local folder=${1:?which folder?} name=${2:?which name and tag?}
  shift 2
  require_cluster
  bases_of "$folder"
  build "$folder" --tag "$name" "$@"
  load "$name"
}

bases() {
  require_cluster
  stand_in kafka "$KAFKA_IMAGE"
  stand_in postgres "$POSTGRES_IMAGE"
  load "$KAFKA_IMAGE"
  load "$POSTGRES_IMAGE"
}

# What an image is made from.
bases_of() { # FOLDER
  if grep -q '^FROM python' "$1/Dockerfile"; then
    stand_in python "$PYTHON_IMAGE"
  else
    stand_in node "$NODE_IMAGE" --target slim
    stand_in node "$DISTROLESS_IMAGE" --target distroless
  fi
}

pause_image() {
  stand_in pause "$PAUSE_IMAGE"
  load "$PAUSE_IMAGE"
}

# Builds images/FOLDER, with what its gather.sh brings, unless there is an image of just that.
stand_in() { # FOLDER NAME [OPTION…]
  local folder=$1 name=$2 work=$CACHE/stand-ins/$1 digest
  shift 2
  digest=$(digest_of "$folder")
  is_there "$name" "$digest" && return
  [ "$folder" = debian ] || ! grep -q "^FROM $DEBIAN_IMAGE" "$HERE/images/$folder/Dockerfile" || stand_in debian "$DEBIAN_IMAGE"
  say "building $name"
  rm -rf "$work"
  mkdir -p "$CACHE/stand-ins"
  cp --recursive "$HERE/images/$folder" "$work"
  [ ! -e "$work/gather.sh" ] || (cd "$work" && bash -euo pipefail gather.sh)
  build "$work" --label "$LABEL=$digest" --tag "$name" "$@"
  rm -rf "$work"
}

digest_of() { # FOLDER
  { cat "$HERE/versions.sh" "$HERE"/images/debian/* "$HERE/images/$1"/* && echo "$NODE_24"; } | sha256sum | cut -c1-16
}

is_there() { # NAME DIGEST
  local built
  built=$(buildah inspect --type image --format "{{index .OCIv1.Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null) || return 1
  [ -z "$built" ] || [ "$built" = "$2" ]
}

# Without a namespace for each step, and on the machine's network, as the packages are fetched by it.
build() { # FOLDER OPTION…
  local folder=$1
  shift
  buildah bud --isolation chroot --network host --pull=never --layers "$@" "$folder" >&2
}

# Hands an image to the node, unless it has it.
load() { # NAME
  local name=$1 record id
  record=$STATE/images/${name//[^a-z0-9.]/-}
  id=$(buildah inspect --type image --format '{{.FromImageID}}' "$name")
  [ "$(cat "$record" 2>/dev/null)" != "$id" ] || return 0
  buildah push --quiet "$name" "docker-archive:/dev/stdout:$name" | on_node images import - >/dev/null
  mkdir -p "$STATE/images"
  echo "$id" >"$record"
  say "the node has $name"
}
