# shellcheck shell=bash
# The version of Kubernetes is in kubernetes/go.mod.
export COREDNS=1.13.1 HELM=4.2.4
# What the stand-ins of images are made of. Node is the one that package.json names.
export KAFKA=4.3.1 NPM=11.19.1
NODE_24=$(sed -nE 's/^    "node": "([0-9.]+)",?$/\1/p' "$HERE/../../../package.json")
export NODE_24
