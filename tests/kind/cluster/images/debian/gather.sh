# shellcheck shell=bash
mmdebstrap --quiet --variant=minbase --include=ca-certificates \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' bookworm debian.tar
# Those whom this machine trusts, a company's own among them.
cp /etc/ssl/certs/ca-certificates.crt .
