/**
 * Hostile certificate requests before the lab's real API server and controller manager, by a node's own identity, by
 * identities whose names hold line breaks, and by a bootstrap token. After them, nothing of it is left.
 */
import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { expect } from "chai";
import {
  asking,
  type CertificateRequest,
  clientRequest,
  dns,
  hostileClient,
  type HostileRequest,
  hostileServing,
  ip,
  namesExtension,
  nodeGroups,
  requestPem,
  servingRequest,
  subjectOf,
  utf8,
} from "./hostile-requests";
import * as lab from "./lab";

/** On the host that has it: kubeconfigs and scripts of this test. */
const folder = "/run/tailkube-test";
const admin = "/etc/kubernetes/admin.conf";
const planes = ["cp1", "cp2", "cp3"] as const;
/** Two turns of the approver's timer, which has a minute and ten seconds of slack. */
const twoTicks = 140;
const junk = 200;

const objectOf = ({ name, signerName, usages, body }: CertificateRequest) =>
  JSON.stringify({
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { name },
    spec: { signerName, usages, request: Buffer.from(body).toString("base64") },
  });

interface Seen {
  metadata: { name: string };
  spec: { username: string; signerName: string };
  status: { certificate?: string; conditions?: { type: string }[] };
}

const requests = () =>
  (JSON.parse(lab.kubectl("get", "certificatesigningrequests", "-o", "json")) as { items: Seen[] }).items;
const approved = () => requests().filter(({ status }) => status.conditions?.some(({ type }) => type === "Approved"));
const isDecided = (name: string) => approved().some(({ metadata, status }) => metadata.name === name && status.certificate !== undefined); // prettier-ignore

/**
 * Creates requests by a kubeconfig on a host, each by itself, for the API refuses some. Resolves to how many it has taken. One
 * `kubectl` process per request; the objects go by stdin.
 */
function create(host: lab.HostName, kubeconfig: string, all: readonly CertificateRequest[]): number {
  const script = `cd ${folder} && taken=0
    while IFS= read -r object; do
      if printf '%s' "$object" | KUBECACHEDIR=${folder}/cache kubectl --kubeconfig ${kubeconfig} create --raw /apis/certificates.k8s.io/v1/certificatesigningrequests -f - >/dev/null 2>&1; then taken=$((taken + 1)); fi
    done
    echo "$taken"`;
  const answer = execFileSync("lab/hosts/hosts", ["exec", host, "bash", "-c", script], {
    cwd: lab.root,
    input: `${all.map(objectOf).join("\n")}\n`,
    encoding: "utf8",
    timeout: 900_000,
    maxBuffer: 1 << 28,
  });
  return Number(answer.trim());
}

/** A kubeconfig on cp1 for any user in any groups, by the cluster's authority, as an attacker may have got one (F1). */
function forge(name: string, username: string): string {
  const path = `${folder}/${name}.conf`;
  const subject = subjectOf(
    [
      ...nodeGroups.slice(0, 1).map((group): ["organisation", string] => ["organisation", group]),
      ["commonName", username],
    ],
    utf8,
  );
  // A key that stays in this test: openssl signs whatever subject the request has.
  const { body, key } = forged(subject);
  lab.writeOnHost("cp1", `${folder}/${name}.csr`, Buffer.from(body));
  lab.writeOnHost("cp1", `${folder}/${name}.key`, Buffer.from(key));
  const made = lab.onHost(
    "cp1",
    `cd ${folder} && openssl x509 -req -in ${name}.csr -CA /etc/kubernetes/pki/ca.crt -CAkey /etc/kubernetes/pki/ca.key -set_serial 7 -days 1 -out ${name}.crt 2>/dev/null &&
      server=$(sed -n 's/^ *server: //p' ${admin}) &&
      cat >${path} <<END && echo made
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "$server", certificate-authority: /etc/kubernetes/pki/ca.crt}}]
users: [{name: u, user: {client-certificate: ${folder}/${name}.crt, client-key: ${folder}/${name}.key}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END`,
  );
  expect(made.trim(), `credentials of ${name}`).to.equal("made");
  return path;
}

function forged(subject: Buffer): { body: string; key: string } {
  const key = execFileSync("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
  const privateKey = createPrivateKey(key);
  return { body: requestPem({ subject, key: { privateKey, publicKey: createPublicKey(privateKey) } }), key: key.toString() }; // prettier-ignore
}

/** Registers the tests; the cluster is there. The last one tidies up. */
export function requestTests(): void {
  let w1 = "";
  let cp2 = "";

  const tidy = () => {
    // By the API itself: their names are no words.
    lab.onHost("cp1", `KUBECACHEDIR=${folder}/cache kubectl --kubeconfig ${admin} delete certificatesigningrequests --all --wait=false`); // prettier-ignore
  };

  const prepare = () => {
    for (const host of ["cp1", "w1"] as const) lab.onHost(host, `mkdir -p -m 700 ${folder}`);
    const addresses = new Map(lab.readyNodes().map(({ name, address }) => [name, address]));
    [w1, cp2] = [addresses.get("w1")!, addresses.get("cp2")!];
    expect(w1).to.match(/^[0-9.]+$/);
    tidy();
  };

  const leave = () => {
    tidy();
    lab.onHost("cp1", `KUBECACHEDIR=${folder}/cache kubectl --kubeconfig ${admin} -n kube-system delete secret bootstrap-token-aaaaaa --ignore-not-found`); // prettier-ignore
    for (const host of ["cp1", "w1"] as const) lab.onHost(host, `rm -rf ${folder}`);
  };

  it("approves the honest request of a node within two ticks, and none of the hostile ones", async () => {
    prepare();
    const hostile = hostileServing("w1", w1, "cp2", cp2);
    const own = hostile.filter(({ username }) => username === undefined);
    // By the node's own identity.
    const taken = create("w1", "/etc/kubernetes/kubelet.conf", own);
    console.log(`      of ${own.length} hostile requests the API took ${taken}`);
    expect(taken).to.be.greaterThan(24);
    // By users whose names an approver could take for something else; a certificate holds any text but a null byte.
    const named = (one: HostileRequest): one is HostileRequest & { username: string } =>
      one.username !== undefined && one.username.startsWith("system:node:") && one.username.length < 5000 && one.username !== "system:node:cp2" && !one.username.includes("\0") && one.groups === nodeGroups; // prettier-ignore
    const users = hostile.filter(named);
    expect(users.length).to.be.greaterThan(8);
    let strange = 0;
    users.forEach((one, i) => {
      // The API server refuses a request whose common name is not its user's.
      const subject = subjectOf([["organisation", "system:nodes"], ["commonName", one.username]], utf8); // prettier-ignore
      const body = requestPem({ subject, attributes: [asking(namesExtension(dns("w1"), ip(w1)))] });
      strange += create("cp1", forge(`user-${i}`, one.username), [{ ...one, name: `user-${i}`, body }]);
    });
    console.log(`      of ${users.length} strange users ${strange} could create a request`);
    expect(strange).to.be.greaterThan(4);
    // Many more of what is closest to an honest one, and some of the largest that the API takes.
    const [twice, large] = ["its name twice", "an oversized body"].map((kind) =>
      hostile.find((one) => one.kind === kind)!,
    );
    const many = (count: number, name: string, request: HostileRequest) =>
      create(
        "w1",
        "/etc/kubernetes/kubelet.conf",
        Array.from({ length: count }, (_, i) => ({ ...request, name: `${name}-${i}` })),
      );
    expect(many(junk, "many", twice!), "requests with its name twice that the API took").to.equal(junk);
    expect(many(20, "large", large!), "oversized requests that the API took").to.equal(20);

    expect(create("w1", "/etc/kubernetes/kubelet.conf", [servingRequest("w1", w1, "honest-test")])).to.equal(1);
    const seconds = await lab.until("the honest request is approved", () => isDecided("honest-test"), twoTicks);
    console.log(`      approved after ${seconds} s`);
    // Each control plane has looked at all of them.
    for (const host of planes) lab.okOnHost(host, "systemctl start tailkube-approve.service");
    const names = approved().map(({ metadata }) => metadata.name);
    expect(names.filter((name) => !/^(honest-test|csr-[a-z0-9]{5})$/.test(name))).to.deep.equal([]);
    const result = lab.okOnHost("cp1", "systemctl show --property=Result --value tailkube-approve.service");
    expect(result.trim()).to.equal("success");
  });

  it("names in the log what it leaves alone and why, and no text of a requester's", () => {
    const log = planes
      .map((host) => lab.onHost(host, "journalctl --no-pager -o cat -t tailkube --since -1h"))
      .join("\n");
    expect(log).to.match(
      /certificate request many-\d+ of system:node:w1 is left alone: it does not ask for exactly w1 and /,
    );
    expect(log).to.match(/is left alone: it is too large/);
    expect(log).to.match(/is left alone: its name is not one that a kubelet gives/);
    for (const line of log.split("\n").filter((one) => one.includes("left alone"))) {
      expect(line).to.match(/^(certificate request |\d+ more )[\x20-\x7e]{1,600}$/);
    }
  });

  it("by a bootstrap token of the workers' group nothing is approved outside of an admission, not even by the controller manager", async () => {
    tidy();
    // As the admission makes them (host/stages/admit.sh), which is not running.
    const token = `apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-aaaaaa, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData:
  token-id: aaaaaa
  token-secret: 0123456789abcdef
  usage-bootstrap-authentication: "true"
  auth-extra-groups: system:bootstrappers:tailkube
`;
    lab.writeOnHost("cp1", `${folder}/token.yaml`, Buffer.from(token));
    const kubeconfig = `${folder}/token.conf`;
    const ready = lab.onHost(
      "cp1",
      `export KUBECACHEDIR=${folder}/cache && kubectl --kubeconfig ${admin} apply -f ${folder}/token.yaml >/dev/null &&
        server=$(sed -n 's/^ *server: //p' ${admin}) && umask 077 && cat >${kubeconfig} <<END && echo made
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "$server", certificate-authority: /etc/kubernetes/pki/ca.crt}}]
users: [{name: u, user: {token: aaaaaa.0123456789abcdef}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END`,
    );
    expect(ready.trim()).to.equal("made");
    const hostile = hostileClient("w1", w1, "cp2").filter(({ username, groups }) => !username && !groups);
    const all = [...hostile, clientRequest("w1", "identity-of-w1"), clientRequest("cp1", "identity-of-cp1")];
    expect(create("cp1", kubeconfig, all)).to.be.greaterThan(10);
    // The controller manager decides at once, the approver at its tick.
    await lab.sleep(30);
    for (const host of planes) lab.okOnHost(host, "systemctl start tailkube-approve.service");
    const byToken = requests().filter(({ spec }) => spec.username === "system:bootstrap:aaaaaa");
    expect(byToken.length).to.be.greaterThan(10);
    expect(byToken.filter(({ status }) => status.conditions !== undefined)).to.deep.equal([]);
    const can = (what: string) => lab.onHost("cp1", `KUBECACHEDIR=${folder}/cache kubectl --kubeconfig ${kubeconfig} auth can-i ${what}`).trim(); // prettier-ignore
    expect(can("create certificatesigningrequests.certificates.k8s.io")).to.equal("yes");
    expect(can("get configmaps/kubeadm-config -n kube-system")).to.equal("yes");
    expect(can("get secrets -n kube-system")).to.match(/^no\b/);
    expect(can("list nodes")).to.match(/^no\b/);
    expect(can("get configmaps/tailkube-nodes -n kube-system")).to.match(/^no\b/);
    leave();
  });
}
