# shellcheck shell=bash
# What `tailkube support` asks a host, beside status.sh's questions. After questions.sh. Nothing here reads a key, a Secret or a file with
# credentials; what slips into a log is redacted on the operator's machine (command/support/redact.ts).
# Given: TK_ROLE, TK_NODE_IP, TK_API_PORT, TK_NODE_NETWORK.
# shellcheck disable=SC2317  # functions that `question` calls by their name

journal() { exec journalctl --no-pager --output=short-iso --lines=3000 "$@"; }
kube() {
    server=$1
    shift
    exec kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir=/run/tailkube/kube-cache --request-timeout=15s "--server=https://$server" "$@"
}
manifest() { cat -- "/etc/kubernetes/manifests/$1.yaml"; }
rules() { nft list ruleset | head -c 300000; }

cluster_questions() {
    local own=$TK_NODE_IP:$TK_API_PORT name
    question kubectl-nodes.txt 25 kube "$own" get nodes -o wide
    question kubectl-nodes.yaml 25 kube "$own" get nodes -o yaml
    question kubectl-pods.txt 25 kube "$own" get pods -A -o wide
    question kubectl-events.txt 25 kube "$own" get events -A --sort-by=.lastTimestamp -o wide
    question kubectl-ciliumnodes.yaml 25 kube "$own" get ciliumnodes -o yaml
    question kubectl-csr.txt 25 kube "$own" get certificatesigningrequests
    for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do question "manifests-$name.yaml" 5 manifest "$name"; done
    question etcd-status.txt 20 /usr/local/lib/tailkube/etcd ctl --command-timeout=8s --write-out=table endpoint status --cluster
}

main() {
    local unit
    # About a day of each unit, and at most this much of one that repeats itself.
    # shellcheck disable=SC2034  # questions.sh's
    MOST=1000000
    for unit in kubelet containerd tailscaled tailkube-{address,cilium,endpoint,load-balancer,network,routes,approve,guard}; do
        question "journal-$unit.log" 25 journal "--unit=$unit.service"
    done
    question journal-tailkube.log 25 journal --identifier=tailkube
    question journal-kernel.log 25 journal --dmesg --priority=warning
    question kubeadm.log 5 tail -c 500000 /var/log/tailkube-kubeadm.log
    question addresses.txt 5 ip -d address
    question rules-v4.txt 5 ip -4 rule
    question rules-v6.txt 5 ip -6 rule
    question routes-v4.txt 5 ip -4 route show table all
    question routes-v6.txt 5 ip -6 route show table all
    question nftables.txt 8 rules
    question disks.txt 5 df -h -T
    question inodes.txt 5 df -i
    question memory.txt 5 free -m
    question processes.txt 5 ps -eo pid,ppid,stat,etime,rss,comm --sort=-rss
    question failed-units.txt 5 systemctl --no-pager list-units --failed
    question containers.txt 10 ctr -n k8s.io tasks ls
    question images.txt 10 ctr -n k8s.io images ls -q
    question os-release.txt 5 cat /etc/os-release
    question clock.txt 5 timedatectl
    if [ "$TK_NODE_NETWORK" = tailnet ]; then
        question tailscale-status.txt 10 tailscale status
        question tailscale-netcheck.txt 20 tailscale netcheck
        question tailscale-health.json 10 tailscale status --json --peers=false
    fi
    [ "$TK_ROLE" != control-plane ] || cluster_questions
    print_answers
}
