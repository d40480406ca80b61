# shellcheck shell=bash
# The node's network namespace. Nothing in it reaches beyond this machine: it has no route to anywhere else.

network_exists() { [ -e "/run/netns/$NODE" ]; }

network_up() {
  if ! network_exists; then
    addresses_are_free
    ip netns add "$NODE"
    ip link add "$LINK" type veth peer name eth0 netns "$NODE"
  fi
  ip address replace "$HOST_ADDRESS/30" dev "$LINK"
  ip link set "$LINK" up
  ip -netns "$NODE" link set lo up
  ip -netns "$NODE" address replace "$NODE_ADDRESS/30" dev eth0
  ip -netns "$NODE" link set eth0 up
  # Nobody has these addresses: kube-proxy puts those of pods in their place, but only once there is a way for them.
  ip -netns "$NODE" route replace "$SERVICES" dev lo src "$NODE_ADDRESS"
  ip route replace "$SERVICES" via "$NODE_ADDRESS"
  ip route replace "$PODS" via "$NODE_ADDRESS"
  # Between pods, and from the machine to them.
  ip netns exec "$NODE" sysctl --quiet --write net.ipv4.ip_forward=1
}

# Refuses to begin where somebody else has the addresses.
addresses_are_free() {
  local range route
  for range in "$LINK_ADDRESSES" "$PODS" "$SERVICES"; do
    route=$({ ip -4 route show to root "$range" && ip -4 route show to match "$range"; } | grep -v '^default' || true)
    [ -z "$route" ] || fail "the addresses $range are in use on this machine: $route"
  done
  ! ip link show "$LINK" >/dev/null 2>&1 || fail "there is a network device $LINK already"
}

network_down() {
  ip link delete "$LINK" 2>/dev/null || true
  ip netns delete "$NODE" 2>/dev/null || true
}
