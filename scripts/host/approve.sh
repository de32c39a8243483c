#!/bin/bash
# Approves the kubelets' requests for serving certificates, now and when they renew theirs, which nobody else would do.
# A node may ask for its own name and its declared address (ConfigMap kube-system/tailkube-nodes, which only administrators
# may write) and for nothing else: the request has to hold exactly the bytes that say so. tailkube-approve.timer runs it.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin KUBECACHEDIR=/run/tailkube/kube-cache

kubectl_admin() { kubectl --request-timeout=10s --kubeconfig /etc/kubernetes/admin.conf "$@"; }

hex_of() { printf '%s' "$1" | od -An -v -tx1 | tr -d '\n'; }
# byte NUMBER...: as od prints them.
byte() { printf ' %02x' "$@"; }

# occurs HEX IN: how often, at byte boundaries.
occurs() { grep -oF -- "$1" <<<"$2" | wc -l; }

# asks_only_for REQUEST NAME IP: REQUEST is base64 of a PEM certificate request (RFC 2986). Its common name is the node's
# and its alternative names are this name and this address, in DER's one way to write it (X.690): the extension's
# identifier occurs once, and so does the attribute's, each with the wanted value behind it. Whether it is well-formed
# and has no other kind of name is the signer's to see, which parses it.
asks_only_for() {
    local der subject name=$2 ip part san
    der=$(base64 -d <<<"$1" 2>/dev/null | sed '/^-----/d' | base64 -d 2>/dev/null | od -An -v -tx1 | tr -d '\n') || return 1
    subject=system:node:$name
    for part in ${3//./ }; do ip+=$(byte "$part"); done
    san=" 82$(byte ${#name})$(hex_of "$name") 87 04$ip"
    # OCTET STRING of a SEQUENCE of dNSName and iPAddress (RFC 5280, 4.2.1.6), all shorter than 128 bytes.
    san=" 06 03 55 1d 11 04$(byte $((${#san} / 3 + 2))) 30$(byte $((${#san} / 3)))$san"
    [ "$(occurs " 06 03 55 1d 11" "$der")" = 1 ] && [ "$(occurs "$san" "$der")" = 1 ] &&
        [ "$(occurs " 06 03 55 04 03" "$der")" = 1 ] &&
        { [ "$(occurs " 06 03 55 04 03 13$(byte ${#subject})$(hex_of "$subject")" "$der")" = 1 ] ||
            [ "$(occurs " 06 03 55 04 03 0c$(byte ${#subject})$(hex_of "$subject")" "$der")" = 1 ]; }
}

# "name user request usages" lines of those that wait.
pending() {
    kubectl_admin get certificatesigningrequests --field-selector spec.signerName=kubernetes.io/kubelet-serving \
        -o 'go-template={{range .items}}{{if not .status.conditions}}{{.metadata.name}} {{.spec.username}} {{.spec.request}} {{range .spec.usages}}{{.}},{{end}}{{"\n"}}{{end}}{{end}}'
}

declared_address() { kubectl_admin -n kube-system get configmap tailkube-nodes -o "go-template={{index .data \"$1\"}}" 2>/dev/null; }

left_alone() {
    # Once, not each minute for as long as it waits.
    grep -qsxF "$1" /run/tailkube/left-alone || { echo "$1" >>/run/tailkube/left-alone && logger -p daemon.warning -t tailkube -- "certificate request $1 of $2 is left alone: $3"; }
}

mkdir -p /run/tailkube
requests=$(pending)
while read -r request user body usages; do
    [ -n "$request" ] || continue
    node=${user#system:node:}
    # It becomes part of a template.
    if [ "$user" = "$node" ] || [[ ! $node =~ ^[a-z0-9-]+$ ]]; then
        left_alone "$request" "$user" "it is no node's"
    elif ! address=$(declared_address "$node") || [[ ! $address =~ ^[0-9.]+$ ]]; then
        left_alone "$request" "$user" "$node is not declared"
    elif [[ $usages != "digital signature,server auth," && $usages != "digital signature,key encipherment,server auth," && $usages != "key encipherment,digital signature,server auth," ]]; then
        left_alone "$request" "$user" "its usages are ${usages%,}"
    elif ! asks_only_for "$body" "$node" "$address"; then
        left_alone "$request" "$user" "it asks for other names than $node and $address"
    else
        kubectl_admin certificate approve "$request" >/dev/null
        logger -p daemon.notice -t tailkube -- "approved the serving certificate of $node"
    fi
done <<<"$requests"
