# shellcheck shell=bash
case $(dpkg --print-architecture) in
  amd64) machine=x64 ;;
  *) machine=arm64 ;;
esac
npm pack --loglevel=error "node-linux-$machine@$NODE_24" "npm@$NPM" >/dev/null
mkdir node npm
tar --extract --gzip --file node-linux-*.tgz --directory node --strip-components=1
tar --extract --gzip --file npm-*.tgz --directory npm --strip-components=1
# The image takes packages from where this machine takes them.
echo "registry=$(npm config get registry)" >npm/npmrc
