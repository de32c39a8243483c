import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../config/pulumi";
import type { ClusterConfig, NodeConfig } from "../config/schema";
import { operatorServer, withServer } from "../plan/kubeconfig";
import { controlPlanes, workers } from "../plan/nodes";
import { preflightReport, preflightWarnings } from "../plan/preflight";
import { Admission } from "./admission";
import { Cilium } from "./cilium";
import { ClusterChecks } from "./cluster-checks";
import { ClusterInit, type JoinSecrets } from "./cluster-init";
import { ClusterMember } from "./cluster-member";
import { ClusterSettle } from "./cluster-settle";
import { LoopbackEndpoint } from "./loopback-endpoint";
import type { Member } from "./membership";
import { NodeRuntime } from "./node-runtime";
import { reported } from "../config/report";
import { fingerprint, SshHost } from "./ssh-host";
import { TailnetNode } from "./tailnet-node";

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

/**
 * The whole cluster, and the only place that knows its order:
 *
 * hosts are checked, all of them, before one is changed → tailnet and runtime on each → the endpoint on the first control
 * plane, then `kubeadm init` → each further control plane joins through the endpoint, and has the endpoint on its own
 * loopback only when its API server is ready (a joiner that had it would dial itself) → the next one, for etcd takes one
 * learner at a time. Workers join as soon as there is an API, all at once. Cilium is installed beside them.
 */
export class Cluster extends pulumi.ComponentResource {
  /** Administrator's kubeconfig; its server is the endpoint. Secret. */
  public readonly kubeconfig: pulumi.Output<string>;
  /** The same, with the first control plane as its server, as the operator's machine reaches it. Secret. */
  public readonly directKubeconfig: pulumi.Output<string>;
  public readonly nodes: pulumi.Output<NodeOutput[]>;

  private readonly config: ClusterConfig;

  constructor(name: string, { config, secrets }: StackConfig, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:cluster:Cluster", name, {}, opts);
    this.config = config;
    const hosts = config.nodes.map(
      (node) => new SshHost(node.name, { node, config, privateKey: secrets.sshPrivateKey }, { parent: this }),
    );
    const checked = pulumi.all(hosts.map((host) => host.facts)).apply((facts) => {
      const all = facts.map((f, i) => ({ node: config.nodes[i]!, facts: f }));
      const report = preflightReport(all, config);
      if (report !== undefined) throw reported(report);
      for (const warning of preflightWarnings(all, config)) void pulumi.log.warn(warning, this);
      return facts;
    });

    const devices: TailnetNode[] = [];
    const ready = new Map<string, { member: Member; needs: pulumi.Resource[] }>();
    config.nodes.forEach((node, i) => {
      const host = hosts[i]!;
      // Nothing is sent to any host before all are known to be fit: the connection itself waits for that.
      const target = {
        name: host.name,
        user: host.user,
        identity: host.identity,
        connection: pulumi.all([host.connection, checked]).apply(([connection]) => connection),
      };
      const device = new TailnetNode(
        node.name,
        { host: target, config, authKey: secrets.tailnetAuthKey },
        { parent: this },
      );
      // One after the other on a host: both may use its package manager.
      const runtime = new NodeRuntime(
        node.name,
        { host: target, role: node.role, config },
        { parent: this, dependsOn: device },
      );
      devices.push(device);
      ready.set(node.name, {
        needs: [device, runtime],
        member: {
          node,
          host: target,
          address: device.address,
          resolvConf: checked.apply((facts) => facts[i]!.resolvConf),
          mark: host.identity.apply((identity) =>
            fingerprint([pulumi.getProject(), pulumi.getStack(), config.clusterName, node.name, identity]),
          ),
        },
      });
    });
    const of = (node: NodeConfig) => ready.get(node.name)!;

    const [first, ...others] = controlPlanes(config.nodes);
    const founder = of(first!);
    const firstEndpoint = this.endpoint(founder.member, founder.needs);
    const init = new ClusterInit(
      first!.name,
      { config, member: founder.member, certSANs: controlPlanes(config.nodes).map((node) => node.host.address) },
      { parent: this, dependsOn: [firstEndpoint, ...founder.needs] },
    );
    this.kubeconfig = init.kubeconfig;
    this.directKubeconfig = pulumi
      .all([init.kubeconfig, founder.member.address])
      .apply(([kubeconfig, address]) => withServer(kubeconfig, operatorServer(config, first!.host.address, address)));

    const joined: pulumi.Resource[] = [init];
    let previous: pulumi.Resource[] = [init];
    for (const node of others) {
      const { member, needs } = of(node);
      const [admission, membership] = this.join(
        founder.member,
        [member],
        init.joinSecrets,
        `control-plane ${node.name}`,
        (m) => [...previous, ...(m ? needs : [])],
      );
      const endpoint = this.endpoint(member, [membership!]);
      previous = [admission!, endpoint];
      joined.push(admission!, membership!, endpoint);
    }
    const workerMembers = workers(config.nodes).map((node) => of(node).member);
    if (workerMembers.length > 0) {
      joined.push(
        ...this.join(founder.member, workerMembers, init.joinSecrets, "workers", (m) => [
          init,
          ...(m ? of(m.node).needs : []),
        ]),
      );
    }

    const cilium = new Cilium(
      "cilium",
      { config, kubeconfig: this.directKubeconfig },
      { parent: this, dependsOn: init, deletedWith: init.script },
    );
    const members = config.nodes.map((node) => of(node).member);
    const release = pulumi.jsonStringify([cilium.release.chart, cilium.release.version, cilium.release.values]);
    const settled = new ClusterSettle(
      "cluster",
      { config, on: founder.member, release },
      { parent: this, dependsOn: [...joined, cilium] },
    );
    if (config.checks) {
      new ClusterChecks(
        "cluster",
        { config, on: founder.member, members, release },
        { parent: this, dependsOn: settled },
      );
    }

    this.nodes = pulumi.all(devices.map((device) => pulumi.all([device.address, device.deviceId]))).apply((all) =>
      all.map(([address, deviceId], i) => {
        const { name: node, role, host } = config.nodes[i]!;
        return { name: node, role, address, host: host.address, deviceId };
      }),
    );
    this.registerOutputs({ nodes: this.nodes });
  }

  private endpoint(member: Member, dependsOn: pulumi.Resource[]): LoopbackEndpoint {
    return new LoopbackEndpoint(
      member.node.name,
      { host: member.host, endpoint: this.config.endpoint },
      { parent: this, dependsOn },
    );
  }

  /** An admission and the joins that it is for, side by side. `needs` is asked for the admission without a member. */
  private join(
    by: Member,
    joiners: Member[],
    joinSecrets: pulumi.Output<JoinSecrets>,
    purpose: string,
    needs: (joiner?: Member) => pulumi.Resource[],
  ): pulumi.Resource[] {
    const { config } = this;
    const certificates = joiners.some((joiner) => joiner.node.role === "control-plane");
    const name = certificates ? joiners[0]!.node.name : "workers";
    return [
      new Admission(
        name,
        { config, by, joiners, joinSecrets, purpose, certificates },
        { parent: this, dependsOn: needs() },
      ),
      ...joiners.map(
        (member) =>
          new ClusterMember(
            member.node.name,
            { config, member, joinSecrets, purpose },
            { parent: this, dependsOn: needs(member) },
          ),
      ),
    ];
  }
}
