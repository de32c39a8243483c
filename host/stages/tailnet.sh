# shellcheck shell=bash
# requires: lib/network/tailnet-units lib/software/tailscale
# Stage tailnet: a device of the tailnet, with the units that other stages lean on.

apply() {
    local address name known
    remember_kernel
    guard_network apply
    calm_network_managers
    forward_ipv4
    # The unit keeps its state here; it is ours to remove only if it was not there before.
    [ -e /var/lib/tailscale ] || own /var/lib/tailscale/.tailkube
    # What a node of a cluster runs is changed by the stage upgrade, one node at a time; here all hosts go at once.
    if [ -e "$TK_STATE/joined" ]; then unit_start tailscaled.service; else install_tailscale; fi
    log_in
    wait_for 60 "the tailnet address does not appear on this host, or its interface is down (ip address show tailscale0). Run 'systemctl restart tailscaled' on it" tailnet_address_is_up
    ask 60 "which address this host has in the tailnet ('tailscale ip -4'), to tailscaled" tailnet_address
    address=$ANSWER
    install_tailnet_units "$address"
    set_load_balancer
    set_udp_gro
    ask_status
    name=$(self DNSName)
    known=(address "$address" deviceId "$(self ID)" deviceName "${name%%.*}")
    if [ -e "$TK_STATE/logged-in" ]; then known+=(login ours); else known+=(login found approvedRoutes "$(approved_routes)"); fi
    [ -z "$UDP_GRO_MISSING" ] || known+=(withoutUdpGro "$UDP_GRO_MISSING")
    result "${known[@]}"
}
