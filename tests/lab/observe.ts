/** Looks at a control plane of the lab, for tests/lab/cis.ts. */
import { X509Certificate } from "node:crypto";
import type { Observed } from "./cis";
import { type HostName, kubectl, onHost } from "./lab";

/** A Secret's name, and a text that is nowhere but in it. */
export interface Marked {
  name: string;
  text: string;
}

/** `--name=value` lines as an object. */
export function argumentsOf(lines: string): Record<string, string> {
  return Object.fromEntries([...lines.matchAll(/^--([a-z0-9-]+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]));
}

/** `path mode user:group` lines as an object. */
export function filesOf(lines: string): Record<string, string> {
  return Object.fromEntries([...lines.matchAll(/^(\/\S+) (\d+ \S+:\S+)$/gm)].map(([, path, seen]) => [path!, seen!]));
}

const processes = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

const files = `
  { find /etc/kubernetes /etc/cni/net.d -type f; echo /var/lib/etcd; echo /var/lib/kubelet/config.yaml
    systemctl show kubelet.service -p FragmentPath -p DropInPaths --value | tr ' ' '\\n'
  } | while read -r path; do [ ! -e "$path" ] || stat -c '%n %a %U:%G' "$path"; done`;

export function observe(host: HostName, secret: Marked): Observed {
  const status = (path: string) =>
    Number(onHost(host, `curl -sk -o /dev/null -w '%{http_code}' --max-time 10 https://127.0.0.1:6443${path}`));
  const address = kubectl("get", "node", host, "-o", 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}');
  const authority = new X509Certificate(onHost(host, "cat /etc/kubernetes/pki/ca.crt"));
  // Of the connection itself, not of a file.
  const serving = onHost(
    host,
    `openssl s_client -connect ${address}:10250 -servername ${host} </dev/null 2>/dev/null | openssl x509`,
  );
  const log = "/var/log/kubernetes/audit/audit.log";
  const stored = onHost(
    host,
    `/usr/local/lib/tailkube/etcd ctl get /registry/secrets/default/${secret.name} --print-value-only | head -c 40 | tr -c '[:graph:]' .`,
  );
  return {
    arguments: Object.fromEntries(
      processes.map((name) => [
        name,
        argumentsOf(onHost(host, `tr '\\0' '\\n' </proc/$(pgrep -of '^${name} ')/cmdline`)),
      ]),
    ),
    files: filesOf(onHost(host, files)),
    kubelet: (
      JSON.parse(kubectl("get", "--raw", `/api/v1/nodes/${host}/proxy/configz`)) as {
        kubeletconfig: Record<string, unknown>;
      }
    ).kubeletconfig,
    anonymous: Object.fromEntries(["/api", "/readyz"].map((path) => [path, status(path)])),
    storedSecret: stored.trim(),
    audit: {
      entries: Number(onHost(host, `cat ${log}* | wc -l`)),
      leaks: Number(onHost(host, `cat ${log}* | grep -cF ${secret.text} || true`)) > 0,
    },
    servingCertificate: serving !== "" && new X509Certificate(serving).checkIssued(authority),
  };
}
