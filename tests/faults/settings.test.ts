import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { keep } from "../lab/kept";
import * as lab from "../lab/lab";
import { controlPlanes, eventually } from "./cluster";
import { faultSuite } from "./faults";
import { clientId, OidcServer } from "./oidc";
import { engine, engineOk, useOwnStack, useStack } from "./stack";
import { expectWhole } from "./whole";

/** This machine's address in the hosts' network (lab/hosts/lib/common.sh). */
const here = "172.31.77.1";
const folder = "/etc/kubernetes/tailkube";
const hook = `${folder}/api-server/tracing.yaml`;
/** Of all components, off by default, and without an effect as long as no component logs in another way. */
const gate = "LoggingAlphaOptions";

/** Kubernetes' own settings on the lab's running cluster: switched on, put back where they are bad, and switched off. */
describe("Kubernetes' own settings", function () {
  faultSuite(this);
  const server = new OidcServer(here, 3356, { alice: ["admins"], bob: ["guests"] });
  const oidc = () => [{ issuerUrl: server.issuer, audiences: [clientId], ca: server.ca, groupsClaim: "groups" }];
  const settings = (more: Record<string, unknown> = {}) => ({
    kubernetes: {
      apiServer: {
        extraArgs: [
          { name: "event-ttl", value: "2h" },
          { name: "tracing-config-file", value: hook },
        ],
        extraFiles: [{ name: "tracing.yaml", content: tracing }],
      },
      kubelet: { maxPods: 99 },
      featureGates: { [gate]: true },
      etcd: { extraArgs: [{ name: "quota-backend-bytes", value: "4294967296" }] },
      oidc: oidc(),
      ...more,
    },
  });
  const tracing = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nsamplingRatePerMillion: 0\n";

  before(() => server.start());
  after(async () => {
    useOwnStack();
    server.stop();
    lab.kubectl("delete", "clusterrolebinding", "tailkube-oidc", "--ignore-not-found");
    await engineOk(["up"], 2_400);
  });

  const arguments_ = (host: lab.HostName, name: string) =>
    lab.onHost(host, `tr '\\0' '\\n' <"/proc/$(pgrep -x ${name} | head -n 1)/cmdline"`).split("\n");
  const maxPods = (node: string) => lab.kubectl("get", "node", node, "-o", "jsonpath={.status.capacity.pods}");
  /** What has to differ between a cluster with and without the settings. */
  const seen = () =>
    controlPlanes.map((host) => ({
      host,
      ttl: arguments_(host, "kube-apiserver").includes("--event-ttl=2h"),
      gate: ["kube-apiserver", "kube-controller", "kube-scheduler"].map((name) =>
        arguments_(host, name).some((one) => one.startsWith("--feature-gates=") && one.includes(`${gate}=true`)),
      ),
      quota: arguments_(host, "etcd").includes("--quota-backend-bytes=4294967296"),
      file: lab.existing(host, hook).length,
      pods: maxPods(host),
    }));
  const state = (is: boolean) =>
    controlPlanes.map((host) => ({
      host,
      ttl: is,
      gate: [is, is, is],
      quota: is,
      file: is ? 1 : 0,
      pods: is ? "99" : "110",
    }));
  const expectAll = async (is: boolean) => {
    await eventually(
      `the kubelets' pods ${is ? "are" : "are not"} 99`,
      () => {
        const found = lab.hosts.map(maxPods);
        return Promise.resolve(found.every((one) => (one === "99") === is) ? undefined : found.join(", "));
      },
      60,
    );
    expect(seen()).to.deep.equal(state(is));
  };
  /** The manifests, the kubelet's configuration and our files on a host. */
  const files = (host: lab.HostName) =>
    lab.onHost(
      host,
      `cd / && find etc/kubernetes/manifests ${folder.slice(1)} var/lib/kubelet/config.yaml -type f -exec sha256sum {} + | sort`,
    );
  const clusterDocument = () =>
    lab.kubectl(
      "-n",
      "kube-system",
      "get",
      "configmap",
      "kubeadm-config",
      "-o",
      "jsonpath={.data.ClusterConfiguration}",
    );

  /** What a person sees with an ID token; nothing of this machine's own kubeconfig is used. */
  function as(token: string, ...args: string[]): string {
    const server_ = lab.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}");
    try {
      return execFileSync(
        "lab/.state/kubectl",
        ["--kubeconfig", "/dev/null", "--server", server_, "--insecure-skip-tls-verify", "--token", token, ...args],
        { cwd: lab.root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
      );
    } catch (error) {
      return String((error as { stderr?: string }).stderr);
    }
  }

  it("take effect on all nodes in one run, one node at a time, and a second run changes nothing", async () => {
    keep();
    expect(seen()).to.deep.equal(state(false));
    useStack(settings());
    const preview = await engine(["preview"], 300);
    expect(preview.text).to.match(
      /cp1: restarts its kubelet, its etcd member, its API server.* because of kubernetes\./,
    );
    expect(preview.text).to.match(/w1: restarts its kubelet because of kubernetes\./);
    let ended = false;
    let most = 0;
    const watch = async () => {
      while (!ended) {
        const away = controlPlanes.filter(
          (host) => !lab.onHost(host, "curl -sk --max-time 2 https://127.0.0.1:6443/readyz").includes("ok"),
        );
        most = Math.max(most, away.length);
        await lab.sleep(1);
      }
    };
    const [seconds] = await Promise.all([engineOk(["up"], 2_400).finally(() => (ended = true)), watch()]);
    expect(most, "API servers away at once").to.be.at.most(1);
    await expectAll(true);
    await expectWhole();
    expect(lab.onHost("cp2", `stat -c '%a %U' ${hook}`).trim()).to.equal("600 root");
    expect(clusterDocument()).to.include("event-ttl");
    const logins = lab.hosts.map(lab.logins);
    await engineOk(["up"], 600);
    expect(lab.hosts.map(lab.logins)).to.deep.equal(logins);
    console.log(`      all settings on after ${seconds.toFixed(0)} s; at most ${most} API servers away at once`);
  });

  it("let people log in by OpenID Connect, with the groups of the issuer, and without rights of their own", async () => {
    const [alice, bob] = [await server.login("alice"), await server.login("bob")];
    expect(as(alice, "auth", "whoami"))
      .to.match(/oidc:alice/)
      .and.to.match(/oidc:admins/);
    expect(as(alice, "get", "nodes")).to.include("Forbidden");
    lab.kubectl("create", "clusterrolebinding", "tailkube-oidc", "--clusterrole=view", "--group=oidc:admins");
    expect(as(alice, "-n", "kube-system", "get", "pods")).to.include("kube-apiserver");
    expect(as(bob, "-n", "kube-system", "get", "pods")).to.include("Forbidden");
    // Without the binding, her token is worth nothing more.
    lab.kubectl("delete", "clusterrolebinding", "tailkube-oidc");
    await eventually(
      "the binding is gone",
      () => Promise.resolve(as(alice, "get", "pods").includes("Forbidden") ? undefined : "not yet"),
      30,
    );
  });

  it("that are unknown to a program or to kubeadm change nothing, and say so in one line", async () => {
    const before = lab.hosts.map(files);
    for (const [bad, line] of [
      [
        { scheduler: { extraArgs: [{ name: "no-such-thing", value: "1" }] } },
        /kube-scheduler rejects its arguments, so nothing was changed: unknown flag: --no-such-thing/,
      ],
      [
        { featureGates: { NoSuchGate: true } },
        /rejects its arguments, so nothing was changed: unrecognized feature gate: NoSuchGate/,
      ],
      [
        { kubelet: { maxPods: 99, maxPodz: 1 } },
        /kubeadm rejects this node's kubelet settings, so nothing was changed: .*unknown field "maxPodz"/,
      ],
    ] as const) {
      useStack(settings(bad));
      const run = await engine(["up"], 600);
      expect(run.code).to.not.equal(0);
      expect(run.text).to.match(line);
      expect(lab.hosts.map(files)).to.deep.equal(before);
    }
    await expectWhole();
  });

  it("with which a component does not start are put back with all others, on one node alone", async () => {
    const before = lab.hosts.map(files);
    const document = clusterDocument();
    for (const [bad, line] of [
      // The API server reads the file at its start.
      [
        {
          apiServer: {
            extraArgs: [{ name: "tracing-config-file", value: hook }],
            extraFiles: [{ name: "tracing.yaml", content: "kind: Nothing\n" }],
          },
        },
        /kube-apiserver does not become ready with the new arguments/,
      ],
      [
        { kubelet: { maxPods: 99, imageGCHighThresholdPercent: 10, imageGCLowThresholdPercent: 90 } },
        /the kubelet does not keep running with the new configuration/,
      ],
    ] as const) {
      useStack(settings(bad));
      const run = await engine(["up"], 1_500);
      expect(run.code).to.not.equal(0);
      expect(run.text)
        .to.match(line)
        .and.to.match(/The node has its former settings again/);
      expect(run.text.match(/tailkube: cp1: upgrade:/g)).to.have.lengthOf(1);
      expect(lab.hosts.map(files)).to.deep.equal(before);
      expect(clusterDocument()).to.equal(document);
      await expectWhole();
    }
    // What the state still has is what the nodes have.
    useStack(settings());
    await engineOk(["up"], 1_200);
    await expectAll(true);
  });

  it("are kept through a reboot, and gone from all nodes when they are declared no longer", async () => {
    await lab.run("lab/hosts/hosts", ["reboot", "cp2"], 400);
    await eventually(
      "cp2 is Ready",
      () => Promise.resolve(lab.readyNodes().length === lab.hosts.length ? undefined : "not yet"),
      300,
    );
    await expectAll(true);
    useOwnStack();
    await engineOk(["up"], 2_400);
    await expectAll(false);
    await expectWhole();
    for (const host of lab.hosts) {
      expect(lab.existing(host, `${folder}/patches`, `${folder}/api-server`, "/var/lib/tailkube/former")).to.deep.equal(
        [],
      );
    }
    expect(clusterDocument()).to.not.include("event-ttl");
    expect(as(await server.login("alice"), "auth", "whoami")).to.match(/Unauthorized|must be logged in/);
  });
});
