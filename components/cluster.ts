import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../config/pulumi";
import { ConfigError } from "../config/errors";
import type { LastOutputs } from "../config/last";
import type { ClusterConfig, NodeConfig } from "../config/schema";
import { operatorServer, withServer } from "../plan/kubeconfig";
import { controlPlanes, workers } from "../plan/nodes";
import { preflightReport, preflightWarnings } from "../plan/preflight";
import { changeWarnings, runningCluster, upgradeProblems } from "../plan/upgrade";
import { Admission } from "./admission";
import { Cilium } from "./cilium";
import { ClusterChecks } from "./cluster-checks";
import { ClusterDepartures } from "./cluster-departures";
import { ClusterSecrets } from "./cluster-secrets";
import { ClusterSettle } from "./cluster-settle";
import { ControlPlane } from "./control-plane";
import type { Member } from "./membership";
import { NodeRuntime } from "./node-runtime";
import { NodeVersion } from "./node-version";
import { reported } from "../config/report";
import { fingerprint } from "./host";
import { makeHosts } from "./hosts";
import { TailnetDevice } from "./tailnet-device";
import { TailnetNode } from "./tailnet-node";
import { Worker } from "./worker";

/** A node of the outputs. */
export interface NodeOutput {
  name: string;
  role: string;
  /** Node IP: the tailnet address. */
  address: string;
  /** Where the operator's machine reaches the host. */
  host: string;
  /** The device's stable ID in the tailnet. */
  deviceId: string;
}

/** A control plane of the outputs. */
export interface CertificateOutput {
  name: string;
  /** When the first of its certificates ends, RFC 3339. The cluster's authorities last longer. */
  expires: string;
}

/** Without the `v`. */
export interface VersionsOutput {
  kubernetes: string;
  cilium: string;
}

/**
 * The whole cluster, and the only place that knows its order:
 *
 * hosts are checked, all of them, before one is changed → tailnet and runtime on each → the cluster's authorities are made →
 * one control plane after the other, for etcd takes one learner at a time: the first founds the cluster, each other joins
 * through the endpoint; in between, dead ones that are declared no more are taken out. Workers join as soon as there is an API, all at once. Cilium is installed beside them. Then nodes
 * that are declared no more are taken out, and the whole is checked.
 *
 * The first control plane of the list is where steps for the whole cluster run (the admission of workers, settling, the
 * checks); nothing else sets it apart, and the list may be put into another order at any time.
 */
export class Cluster extends pulumi.ComponentResource {
  /** Administrator's kubeconfig; its server is the endpoint. Secret. */
  public readonly kubeconfig: pulumi.Output<string>;
  /** The same, with the first control plane as its server, as the operator's machine reaches it. Secret. */
  public readonly directKubeconfig: pulumi.Output<string>;
  public readonly nodes: pulumi.Output<NodeOutput[]>;
  /** When the certificates of each control plane end. */
  public readonly certificates: pulumi.Output<CertificateOutput[]>;

  /** What the cluster is at when all of it has been done: the next preview is judged by it. */
  public readonly versions: pulumi.Output<VersionsOutput>;

  constructor(
    name: string,
    { config, secrets }: StackConfig,
    last: LastOutputs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("tailkube:cluster:Cluster", name, {}, opts);
    const permitted = this.permitted(config, last);
    const hosts = makeHosts(config, secrets.sshPrivateKey, { parent: this });
    // A resource, for `dependsOn`: it is there when the facts of all hosts are, and have been found good.
    const checked = pulumi.all([pulumi.all(hosts.map((host) => host.facts)), permitted]).apply(([facts]) => {
      const all = facts.map((f, i) => ({ node: config.nodes[i]!, facts: f }));
      const report = preflightReport(all, config);
      if (report !== undefined) throw reported(report);
      for (const warning of preflightWarnings(all, config)) void pulumi.log.warn(warning, this);
      return hosts[0]!.factsScript as pulumi.Resource;
    });

    const devices: TailnetNode[] = [];
    const ready = new Map<string, { member: Member; runtime: NodeRuntime; needs: pulumi.Resource[] }>();
    config.nodes.forEach((node, i) => {
      const host = hosts[i]!;
      const device = new TailnetNode(
        node.name,
        { host, config, authKey: secrets.tailnetAuthKey },
        // Nothing is changed on any host before all are known to be fit. Only waited for: what one host says is no input
        // of another's scripts, so that a new node leaves those of the others as they are.
        { parent: this, dependsOn: [host.end, checked] },
      );
      // One after the other on a host: both may use its package manager.
      const runtime = new NodeRuntime(
        node.name,
        { host, role: node.role, config },
        { parent: this, dependsOn: device },
      );
      devices.push(device);
      if (secrets.tailnetApiKey !== undefined) {
        new TailnetDevice(
          node.name,
          {
            deviceId: device.deviceId,
            node: node.name,
            api: { url: config.tailnet.api, key: secrets.tailnetApiKey },
          },
          { parent: this },
        );
      }
      ready.set(node.name, {
        runtime,
        needs: [device, runtime],
        member: {
          node,
          host,
          address: device.address,
          resolvConf: host.facts.apply((facts) => facts.resolvConf),
          mark: host.identity.apply((identity) =>
            fingerprint([pulumi.getProject(), pulumi.getStack(), config.clusterName, node.name, identity]),
          ),
        },
      });
    });
    const of = (node: NodeConfig) => ready.get(node.name)!;

    const steward = of(controlPlanes(config.nodes)[0]!);
    const clusterSecrets = new ClusterSecrets(
      "cluster",
      { config, on: steward.member },
      { parent: this, dependsOn: steward.needs },
    );
    const planes: pulumi.Resource[] = [];
    const expiries: pulumi.Output<CertificateOutput>[] = [];
    const plane = (node: NodeConfig, restoreSnapshot?: string) => {
      const { member, runtime, needs } = of(node);
      const controlPlane = new ControlPlane(
        node.name,
        { config, member, secrets: clusterSecrets.values, restoreSnapshot },
        { parent: this, dependsOn: [clusterSecrets, ...needs, ...planes] },
      );
      const version = new NodeVersion(
        node.name,
        { config, member, installed: runtime.kubernetesVersion },
        { parent: this, dependsOn: [runtime, controlPlane, ...planes] },
      );
      planes.push(controlPlane, version);
      expiries.push(
        pulumi
          .all([controlPlane.certificateExpiry, version.certificateExpiry])
          .apply(([joined, upgraded]) => ({ name: node.name, expires: upgraded || joined })),
      );
      return controlPlane;
    };
    const [firstPlane, ...otherPlanes] = controlPlanes(config.nodes);
    const first = plane(firstPlane!, config.restoreSnapshot);
    planes.push(new ClusterDepartures("cluster", { config, on: steward.member }, { parent: this, dependsOn: first }));
    otherPlanes.forEach((node) => plane(node));
    this.certificates = pulumi.all(expiries);
    this.kubeconfig = first.kubeconfig;
    this.directKubeconfig = pulumi
      .all([first.kubeconfig, steward.member.address, steward.member.host.address])
      .apply(([kubeconfig, address, host]) => withServer(kubeconfig, operatorServer(config, host, address)));

    const joined: pulumi.Resource[] = [...planes];
    // One node at a time, so each waits for the one before it, and workers for all control planes.
    let previous: pulumi.Resource[] = planes;
    const workerNodes = workers(config.nodes).map(of);
    if (workerNodes.length > 0) {
      joined.push(
        new Admission(
          "workers",
          {
            config,
            by: steward.member,
            joiners: workerNodes.map(({ member }) => member),
            secrets: clusterSecrets.values,
          },
          { parent: this, dependsOn: first },
        ),
      );
      for (const { member, runtime, needs } of workerNodes) {
        const name = member.node.name;
        const worker = new Worker(
          name,
          { config, member, secrets: clusterSecrets.values },
          { parent: this, dependsOn: [first, ...needs] },
        );
        const version = new NodeVersion(
          name,
          { config, member, installed: runtime.kubernetesVersion },
          { parent: this, dependsOn: [runtime, worker, ...previous] },
        );
        joined.push(worker, version);
        previous = [version];
      }
    }

    const cilium = new Cilium(
      "cilium",
      { config, kubeconfig: this.directKubeconfig },
      { parent: this, dependsOn: first, deletedWith: clusterSecrets.script },
    );
    const members = config.nodes.map((node) => of(node).member);
    const release = pulumi.jsonStringify([cilium.release.chart, cilium.release.version, cilium.release.values]);
    const settled = new ClusterSettle(
      "cluster",
      { config, on: steward.member, members, release },
      { parent: this, dependsOn: [...joined, cilium] },
    );
    if (config.checks) {
      new ClusterChecks(
        "cluster",
        { config, on: steward.member, members, release },
        { parent: this, dependsOn: settled },
      );
    }

    this.nodes = pulumi.all(
      devices.map((device, i) => {
        const { name: node, role } = config.nodes[i]!;
        return pulumi
          .all([device.address, hosts[i]!.address, device.deviceId])
          .apply(([address, host, deviceId]) => ({ name: node, role, address, host, deviceId }));
      }),
    );
    this.versions = settled.done.apply(() => ({
      kubernetes: config.kubernetesVersion,
      cilium: config.cilium.version,
    }));
    this.registerOutputs({ nodes: this.nodes, versions: this.versions });
  }

  /** Fails, in the preview already, on what cannot become of the cluster that the last run has left. */
  private permitted(config: ClusterConfig, last: LastOutputs): pulumi.Output<boolean> {
    const wanted = {
      kubernetes: config.kubernetesVersion,
      cilium: config.cilium.version,
      nodes: config.nodes.map((node) => node.name),
    };
    const wantedPlanes = controlPlanes(config.nodes).map((node) => node.name);
    return pulumi.all([last.get("versions"), last.get("nodes")]).apply(([versions, nodes]) => {
      const running = runningCluster(versions, nodes);
      const problems = upgradeProblems(running, wanted);
      if (problems.length > 0) throw reported(new ConfigError(problems).message);
      for (const warning of changeWarnings(running, wantedPlanes)) void pulumi.log.warn(warning, this);
      return true;
    });
  }
}
