/** Problems of certificates and authorities. */
import { listed } from "../../../model/messages";
import { basename } from "node:path";
import { valueOf } from "../../answers";
import type { Certificate } from "../facts";
import { type ClusterState, type Reached, reachedNodes } from "../state";
import { expiry, inDays, onNode, type Problem } from "./problem";

/** The kubelet renews its own when a fifth of its year is left at most. */
const soonDays = 21;
const authorityDays = 365;

/** As kubeadm calls it: `apiserver`, `etcd/server`, `admin.conf`. */
export const certificateName = (file: string) =>
  file
    .replace(/^\/etc\/kubernetes\/(pki\/)?/, "")
    .replace(/^.*\/kubelet\/pki\//, "")
    .replace(/\.crt$/, "");

const ofKubelet = ({ file }: Certificate) => /^kubelet-/.test(basename(file));

/** Those of a node that are no authority. */
export const certificatesOf = ({ certificates }: Reached["known"]): Certificate[] =>
  (valueOf(certificates) ?? []).filter(({ isAuthority }) => !isAuthority);

export const firstToExpire = (all: readonly Certificate[]): Certificate | undefined =>
  [...all].sort((a, b) => a.expires.getTime() - b.expires.getTime())[0];

export function badCertificates(state: ClusterState): Problem[] {
  const now = state.ended;
  return reachedNodes(state).flatMap((node) => {
    const all = certificatesOf(node.known);
    return [
      ...problemOf(
        node,
        all.filter((one) => !ofKubelet(one)),
        now,
        renewal,
      ),
      ...problemOf(node, all.filter(ofKubelet), now, kubeletRenewal),
    ];
  });
}

/** One problem of all certificates of a node that have the same cure. */
function problemOf(
  node: Reached,
  all: readonly Certificate[],
  now: Date,
  cure: (node: Reached, isExpired: boolean) => string[],
): Problem[] {
  const bad = all.filter(({ expires }) => expires <= inDays(now, soonDays));
  const first = firstToExpire(bad);
  if (first === undefined) return [];
  const isExpired = first.expires <= now;
  const same = bad.filter(({ expires }) => expires <= now === isExpired);
  const names = same.map(({ file }) => certificateName(file));
  const shown = names.length > 4 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : listed(names);
  return [
    {
      id: isExpired ? "certificate-expired" : "certificate-expires",
      level: isExpired ? "error" : "warning",
      node: node.name,
      what: `${node.name}: the certificate${names.length === 1 ? "" : "s"} ${shown} ${expiry(first.expires, now)}`,
      evidence: same.slice(0, 3).map(({ file, expires }) => `${file}: ${expires.toISOString()}`),
      cure: cure(node, isExpired),
    },
  ];
}

const renewal = () => [
  `renew them, with unchanged versions in the config: pulumi config set --path tailkube:kubernetes.certificateRenewal "$(date +%F)" && pulumi up`,
];

const kubeletRenewal = (node: Reached, isExpired: boolean) =>
  isExpired
    ? [
        `the kubelet can no longer renew it. Let the node join again: change host.identity of ${node.name}, then pulumi up (docs/operate/nodes.md)`,
      ]
    : [`the kubelet has not renewed it. Its reasons: ${onNode(node, "journalctl -u kubelet -n 50 --no-pager")}`];

/** The authorities, once for the cluster: every control plane has the same. */
export function authorities(state: ClusterState): Certificate[] {
  const all = reachedNodes(state).flatMap(({ known }) =>
    (valueOf(known.certificates) ?? []).filter(
      ({ isAuthority, file }) => isAuthority && file.startsWith("/etc/kubernetes/"),
    ),
  );
  return all.filter(({ file }, i) => all.findIndex((other) => other.file === file) === i);
}

export function oldAuthorities(state: ClusterState): Problem[] {
  const now = state.ended;
  return authorities(state)
    .filter(({ expires }) => expires <= inDays(now, authorityDays))
    .map(({ file, expires }) => ({
      id: expires <= now ? "authority-expired" : "authority-expires",
      level: expires <= now ? ("error" as const) : ("warning" as const),
      what: `the certificate authority ${certificateName(file)} ${expiry(expires, now)}`,
      evidence: [file],
      cure: ["nothing renews an authority: plan a new cluster and move to it before that day"],
    }));
}
