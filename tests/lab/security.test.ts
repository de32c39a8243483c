/** How the lab's control planes are hardened, by what can be seen of them, and what a plain kubeadm would have left open. */
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { before as prepare } from "mocha";
import {
  controllerManagerHardening,
  apiServerHardening,
  schedulerHardening,
} from "../../components/kubernetes/hardening/arguments";
import { configOf } from "../unit/config/fixtures";
import { failing, items, judge, type Observed } from "./cis";
import * as lab from "./lab";
import { type Marked, observe } from "./observe";
import { plain } from "./plain";

const planes = ["cp1", "cp2", "cp3"] as const;
/** What stays as kubeadm has it; docs/reference/security.md says why. */
const left = ["1.1.12", "1.2.11"];

describe("the security of the lab's cluster", function () {
  this.timeout(60 * 60_000);

  // Base64 of it is what the API stores and what a logged body would show.
  const text = `plain${randomBytes(12).toString("hex")}`;
  const secret: Marked = { name: `marked-${text.slice(-8)}`, text: Buffer.from(text).toString("base64").slice(0, 32) };
  const seen = new Map<lab.HostName, Observed>();
  let made = false;

  prepare(async () => {
    if (!lab.hasCluster()) {
      made = true;
      await lab.run("lab/up", [], 45 * 60);
    }
    lab.onHost(
      "cp1",
      `KUBECACHEDIR=/run/kube-cache kubectl --kubeconfig /etc/kubernetes/admin.conf create secret generic ${secret.name} --from-literal=a=${text}`,
    );
    for (const host of planes) seen.set(host, observe(host, secret));
  });

  after(async () => {
    lab.kubectl("delete", "secret", secret.name, "--ignore-not-found");
    if (made) await lab.run("lab/down", [], 300);
  });

  it("is measured by what kubeadm really does: its own arguments are those of the plain one", () => {
    const hardening = configOf();
    const ours = {
      "kube-apiserver": apiServerHardening(hardening),
      "kube-controller-manager": controllerManagerHardening(hardening),
      "kube-scheduler": schedulerHardening(hardening),
    };
    for (const [name, { extraArgs }] of Object.entries(ours)) {
      const added = new Set(extraArgs.map((argument) => argument.name));
      const theirs = Object.keys(plain.arguments[name]!);
      const real = Object.keys(seen.get("cp1")!.arguments[name]!);
      expect(
        real.filter((argument) => !added.has(argument) || theirs.includes(argument)),
        name,
      ).to.have.members(theirs);
    }
  });

  for (const host of planes) {
    it(`${host}: every item of the benchmark, but those that are left`, () => {
      const before = failing(plain);
      const after = judge(seen.get(host)!);
      const wrong = after.filter(({ why }) => why !== undefined);
      console.log(
        `      of ${items.length} items a plain kubeadm fails ${before.length}; ${host} fails ${wrong.length}:`,
      );
      for (const { id, what, why } of wrong) console.log(`        ${id} ${what}: ${why}`);
      expect(wrong.filter(({ id }) => !left.includes(id))).to.deep.equal([]);
      // What is left is no more than what a plain one fails, too.
      expect(before).to.include.members(wrong.map(({ id }) => id));
    });
  }

  it("all Secrets in etcd are encrypted by one key", () => {
    const etcd = "/usr/local/lib/tailkube/etcd ctl get /registry/secrets/ --prefix";
    const keys = Number(lab.onHost("cp1", `${etcd} --keys-only | grep -c .`));
    const by = lab.onHost(
      "cp1",
      `${etcd} --print-value-only | grep -aoE '^k8s:enc:secretbox:v1:key-[0-9a-f]{8}:' | sort | uniq -c`,
    );
    expect(keys).to.be.greaterThan(0);
    expect(by.trim()).to.match(new RegExp(`^${keys} k8s:enc:secretbox:v1:key-[0-9a-f]{8}:$`));
  });

  it("each kubelet serves under a certificate that the API servers verify: logs and metrics of every node", () => {
    for (const host of lab.hosts) {
      expect(lab.kubectl("get", "--raw", `/api/v1/nodes/${host}/proxy/healthz`), host).to.equal("ok");
      const pod = lab.kubectl(
        "-n",
        "kube-system",
        "get",
        "pods",
        "-l",
        "k8s-app=cilium",
        "--field-selector",
        `spec.nodeName=${host}`,
        "-o",
        "name",
      );
      expect(lab.kubectl("-n", "kube-system", "logs", pod.trim(), "-c", "cilium-agent", "--tail=1"), host).to.not.equal(
        "",
      );
    }
  });

  it("a request for another's names is not approved", async () => {
    // By a node's own identity, which may ask for whatever it likes.
    const request = `cd /run && openssl req -new -newkey rsa:2048 -nodes -keyout foreign.key -subj '/O=system:nodes/CN=system:node:w1' \\
      -addext 'subjectAltName=DNS:w1,IP:10.200.0.1' -out foreign.csr 2>/dev/null; rm -f foreign.key
      KUBECACHEDIR=/run/kube-cache kubectl --kubeconfig /etc/kubernetes/kubelet.conf create -f - <<END
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: foreign}
spec:
  signerName: kubernetes.io/kubelet-serving
  usages: [digital signature, key encipherment, server auth]
  request: $(base64 -w 0 foreign.csr)
END
      rm -f foreign.csr`;
    expect(lab.onHost("w1", request)).to.contain("created");
    try {
      for (const host of planes) lab.onHost(host, "/usr/local/lib/tailkube/approve");
      expect(lab.kubectl("get", "csr", "foreign", "-o", "jsonpath={.status.conditions}")).to.equal("");
      expect(lab.kubectl("get", "csr", "foreign", "-o", "jsonpath={.spec.username}")).to.equal("system:node:w1");
      expect(lab.onHost("cp1", "journalctl --no-pager -o cat -t tailkube")).to.match(
        /request foreign of system:node:w1 is left alone/,
      );
    } finally {
      lab.kubectl("delete", "csr", "foreign");
    }
  });
});
