# shellcheck shell=bash
# requires: lib/network/lan-units
# Stage lan, in the place of the stage tailnet.

apply() {
    remember_kernel
    guard_network apply
    calm_network_managers
    # Said of a host whose address was taken away since it was looked at; and a restarted network manager takes a moment.
    wait_for 30 "this host no longer has the node IP $TK_ADDRESS; it is this node's for as long as it lives, so give it back, or replace the node (host.identity)" node_ip_is_up
    install_lan_units
    set_offload
    result address "$TK_ADDRESS"
}
