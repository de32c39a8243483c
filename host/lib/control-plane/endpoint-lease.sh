# shellcheck shell=bash
# The rule that keeps the endpoint's address from two control planes at once, as part of installed/vip-watch.sh. It decides; the
# watch asks and acts.
#
# The record is a Lease in the API (kube-system/tailkube-endpoint). Each control plane reads and writes it through its own API server
# alone, and a write names the version that it replaces, so etcd's majority takes one of several. A holder renews it each second, and
# every renewal makes a new version.
#   A holder counts from the moment before it sent the last renewal that succeeded. After $lease_hold it takes the address away, and
#   the kernel, which gets the address with a lifetime, has it for no longer than $lease_gone, also where the watch hangs or is killed.
#   Another one counts from the moment when it first read a version. It may take the lease when that version is $lease_duration old,
#   or at once if the holder has written that it no longer has the address.
# A version is read after it was sent, so the holder's time always ends first. No clock is compared with another one: each is a host's
# own, in milliseconds since its boot, and may differ in speed from others by 8 %. Kubernetes' own leader election works in the same
# way (k8s.io/client-go/tools/leaderelection), with 15 s.
#
# What a clock cannot help: a machine that is paused as a whole (a virtual machine's suspend or migration) finds its kernel's timers as
# they were. When it goes on, it answers for the address for up to 4 s although another one may have it by then.
# Given: lease_self, this control plane's name in the record.
# shellcheck disable=SC2154

lease_duration=5000
# Renewals may fail for 2 s, as long as etcd takes to elect a leader after a power cut.
lease_hold=3200
lease_gone=4600
# The kernel looks for addresses whose time is over once a second (check_lifetime in net/ipv4/devinet.c).
lease_slack=1100

lease_version='' lease_holder='' lease_seen=0
# When the last renewal that succeeded was sent; empty where this host does not hold the lease.
lease_sent=''

# lease_observe NOW VERSION HOLDER: what the record says, read before NOW.
lease_observe() {
    if [ "$2" = "$lease_version" ]; then return 0; fi
    lease_version=$2 lease_holder=$3 lease_seen=$1
}

# lease_renewed SENT NOW VERSION: a write of this host that succeeded.
lease_renewed() { lease_version=$3 lease_holder=$lease_self lease_seen=$2 lease_sent=$1; }

# lease_given_up: the address is no longer on this host.
lease_given_up() { lease_sent=''; }

# lease_is_free NOW: whether this host may take the lease; in lease_free for how long already, in milliseconds.
lease_is_free() {
    case $lease_holder in
    '' | "$lease_self") lease_free=$(($1 - lease_seen)) ;;
    *) lease_free=$(($1 - lease_seen - lease_duration)) ;;
    esac
    [ -n "$lease_version" ] && [ "$lease_free" -ge 0 ]
}

# lease_is_held NOW: whether this host may have the address.
lease_is_held() { [ -n "$lease_sent" ] && [ $(($1 - lease_sent)) -lt "$lease_hold" ]; }

# lease_lifetime NOW: the lifetime for the kernel, in lease_seconds; 1 if the answer came too late for any.
lease_lifetime() {
    lease_seconds=0
    if [ -z "$lease_sent" ]; then return 1; fi
    lease_seconds=$(((lease_gone - lease_slack - ($1 - lease_sent)) / 1000))
    [ "$lease_seconds" -ge 1 ]
}
