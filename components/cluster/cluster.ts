import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../../model/stack-config";
import { reported } from "../../model/report";
import type { LastOutputs } from "../../preview/previous-outputs";
import type { NodeConfig } from "../../model/config";
import { authoritiesOf, type AuthorityOutput, authorityWarnings } from "../kubernetes/authority-values";
import { tailnetUnderlay } from "../network/cilium/values";
import { operatorServer, withServer } from "../../model/kubeconfig";
import { lanUnderlay } from "../network/lan/address";
import { controlPlanes, workers } from "../../model/nodes";
import { preflightReport, preflightWarnings } from "./preflight";
import type { Applied } from "../../preview/last-run";
import { Admission } from "../kubernetes/admission";
import { Cilium } from "../network/cilium/release";
import { ClusterChecks } from "./checks";
import { ClusterDepartures } from "./dead-members";
import { appliedOutput, certain, ifDone, permitted } from "./preview";
import { ClusterOnline } from "./online";
import { ClusterPeers } from "./peers";
import { ClusterSecrets } from "../kubernetes/authorities";
import { ClusterSettle } from "./finalize";
import { ControlPlane } from "../kubernetes/control-plane";
import { NodeVersion } from "../kubernetes/node-upgrade";
import { doneSince, stepsSoFar } from "../hosts/done";
import { makeHosts } from "../hosts/hosts";
import { prepareNodes } from "./prepared-nodes";
import { SecretsEncryption } from "../kubernetes/hardening/secrets-encryption";
import { TailnetApi } from "../network/tailnet/api";
import { TailnetRoutes } from "../network/tailnet/routes";
import { Worker } from "../kubernetes/worker";

/** A node of the outputs. */
export interface NodeOutput {
  name: string;
  role: string;
  /** Node IP: the address in the node network. */
  address: string;
  /** Where the operator's machine reaches the host. */
  host: string;
  /** The device's stable ID in the tailnet; empty in a lan. */
  deviceId: string;
}

/** A control plane of the outputs. */
export interface CertificateOutput {
  name: string;
  /** When the first of its certificates ends, RFC 3339. Its authorities have an output of their own. */
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
 * hosts are checked, all of them, before one is changed → node network and runtime on each → the cluster's authorities are made →
 * one control plane after the other, for etcd takes one learner at a time: the first founds the cluster, each other joins
 * through the endpoint; in between, dead ones that are declared no more are taken out. Workers join as soon as there is an
 * API, all at once. Cilium is installed beside them. Then nodes that are declared no more are taken out, and the whole is
 * checked.
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
  /** When the cluster's authorities end. */
  public readonly authorities: pulumi.Output<AuthorityOutput[]>;

  /** What the cluster is at when all of it has been done: the next preview is judged by it. */
  public readonly versions: pulumi.Output<VersionsOutput>;
  /** The rest of it. */
  public readonly applied: pulumi.Output<Applied>;

  constructor(
    name: string,
    { config, secrets }: StackConfig,
    last: LastOutputs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("tailkube:cluster:Cluster", name, {}, opts);
    const stepsBefore = stepsSoFar();
    // No host is talked to, none is made or cleaned, for what is refused.
    const mayBegin = permitted(config, last, this);
    const areCertain = (hostKeys: readonly (pulumi.Output<string> | undefined)[]) =>
      mayBegin.apply(() => certain(config, last, hostKeys));
    const hosts = makeHosts(config, secrets.sshPrivateKey, areCertain, { parent: this, dependsOn: mayBegin });
    // A resource, for `dependsOn`: it is there when the facts of all hosts are, and have been found good. Nothing is changed on
    // any host before all are known to be fit.
    const checked = pulumi.all([pulumi.all(hosts.map((host) => host.facts)), mayBegin]).apply(([facts]) => {
      const all = facts.map((f, i) => ({ node: config.nodes[i]!, facts: f }));
      const report = preflightReport(all, config);
      if (report !== undefined) throw reported(report);
      for (const warning of preflightWarnings(all, config)) void pulumi.log.warn(warning, this);
      return hosts[0]!.factsScript;
    });

    const isLan = config.nodeNetwork === "lan";
    const underlay = isLan
      ? pulumi.all(hosts.map((host) => host.facts)).apply((all) =>
          lanUnderlay(
            all.map((facts, i) => ({ node: config.nodes[i]!, facts })),
            config,
          ),
        )
      : tailnetUnderlay(config);

    const approval = config.tailnet.routeApproval;
    const api =
      !isLan && (secrets.tailnetAuthKey === undefined || approval !== "none")
        ? new TailnetApi("tailnet", { config, secrets }, { parent: this })
        : undefined;
    const prepared = prepareNodes({ config, secrets, hosts, api }, { parent: this, dependsOn: checked });
    const of = (node: NodeConfig) => prepared[config.nodes.indexOf(node)]!;
    // The node, and what others have to wait for before they reach it or its pods by the tailnet.
    const reachable = (node: NodeConfig, joined: ControlPlane | Worker): pulumi.Resource[] => {
      const endpoint = node.role === "control-plane" ? [`${config.endpoint.address}/32`] : [];
      const routes = config.podRouting === "native" ? [...endpoint, joined.podCidr] : endpoint;
      return api === undefined || approval !== "devices" || routes.length === 0
        ? [joined]
        : [
            joined,
            new TailnetRoutes(
              node.name,
              {
                api,
                deviceId: of(node).device.deviceId,
                routes,
                approvedBefore: of(node).device.approvedRoutes,
              },
              { parent: this, dependsOn: joined },
            ),
          ];
    };

    const coordinator = of(controlPlanes(config.nodes)[0]!);
    const peers = new ClusterPeers(
      "cluster",
      { on: coordinator.member, controlPlanes: controlPlanes(config.nodes).map((node) => of(node).member) },
      { parent: this, dependsOn: coordinator.needs },
    );
    const clusterSecrets = new ClusterSecrets(
      "cluster",
      { config, on: coordinator.member, ready: coordinator.ready },
      { parent: this },
    );
    // Of the certificates alone, which are no secret.
    this.authorities = pulumi.unsecret(
      clusterSecrets.values.apply(({ caCrt, etcdCaCrt, frontProxyCaCrt }) =>
        authoritiesOf({ kubernetes: caCrt, etcd: etcdCaCrt, "front-proxy": frontProxyCaCrt }),
      ),
    );
    this.authorities.apply((authorities) => {
      for (const warning of authorityWarnings(authorities, new Date())) void pulumi.log.warn(warning, this);
    });
    const planes: pulumi.Resource[] = [];
    const encryption = new Map<NodeConfig, pulumi.Output<string>>();
    const expiries: pulumi.Output<CertificateOutput>[] = [];
    const plane = (node: NodeConfig, restoreSnapshot?: string) => {
      const { member, runtime, needs } = of(node);
      const controlPlane = new ControlPlane(
        node.name,
        { config, member, secrets: clusterSecrets.values, restoreSnapshot },
        { parent: this, dependsOn: [clusterSecrets, peers, ...needs, ...planes] },
      );
      const version = new NodeVersion(
        node.name,
        { config, member, installed: runtime.kubernetesVersion, secrets: clusterSecrets.values },
        { parent: this, dependsOn: [runtime, controlPlane, ...planes] },
      );
      const reached = reachable(node, controlPlane);
      planes.push(...reached, version);
      encryption.set(
        node,
        pulumi.all([controlPlane.encryption, version.encryption]).apply(([joined, changed]) => changed || joined),
      );
      expiries.push(
        pulumi
          .all([controlPlane.certificateExpiry, version.certificateExpiry])
          .apply(([joined, upgraded]) => ({ name: node.name, expires: upgraded || joined })),
      );
      return { controlPlane, reached };
    };
    const [firstPlane, ...otherPlanes] = controlPlanes(config.nodes);
    const { controlPlane: first, reached: founded } = plane(firstPlane!, config.restoreSnapshot);
    planes.push(
      new ClusterDepartures("cluster", { config, on: coordinator.member }, { parent: this, dependsOn: founded }),
    );
    otherPlanes.forEach((node) => plane(node));
    this.certificates = pulumi.all(expiries);
    this.kubeconfig = first.kubeconfig;
    this.directKubeconfig = pulumi
      .all([first.kubeconfig, coordinator.member.address, coordinator.member.host.address])
      .apply(([kubeconfig, address, host]) => withServer(kubeconfig, operatorServer(config, host, address)));

    const joined: pulumi.Resource[] = [...planes];
    for (const [node, state] of encryption) {
      // When the last of them can read what the first one will encrypt.
      const args = { config, member: of(node).member, secrets: clusterSecrets.values, state };
      joined.push(new SecretsEncryption(node.name, args, { parent: this, dependsOn: planes }));
    }
    // One node at a time, so each waits for the one before it, and workers for all control planes.
    let previous: pulumi.Resource[] = planes;
    const workerNodes = workers(config.nodes).map(of);
    if (workerNodes.length > 0) {
      const admission = new Admission(
        "workers",
        {
          config,
          by: coordinator.member,
          joiners: workerNodes.map(({ member }) => member),
          secrets: clusterSecrets.values,
        },
        { parent: this, dependsOn: founded },
      );
      joined.push(admission);
      // It declares whose certificates are approved, and a changed kubelet asks for one.
      previous = [...planes, admission];
      for (const { member, runtime, needs } of workerNodes) {
        const name = member.node.name;
        const worker = new Worker(
          name,
          { config, member, secrets: clusterSecrets.values },
          { parent: this, dependsOn: [...founded, ...needs] },
        );
        const version = new NodeVersion(
          name,
          { config, member, installed: runtime.kubernetesVersion, secrets: clusterSecrets.values },
          { parent: this, dependsOn: [runtime, worker, ...previous] },
        );
        joined.push(...reachable(member.node, worker), version);
        previous = [version];
      }
    }

    const cilium = new Cilium(
      "cilium",
      { config, underlay, kubeconfig: this.directKubeconfig },
      { parent: this, dependsOn: founded },
    );
    const members = prepared.map(({ member }) => member);
    const release = pulumi.jsonStringify([cilium.release.chart, cilium.release.version, cilium.release.values]);
    const settled = new ClusterSettle(
      "cluster",
      { config, on: coordinator.member, members, secrets: clusterSecrets.values, release },
      { parent: this, dependsOn: [...joined, cilium] },
    );
    const isDone = doneSince(stepsBefore);
    isDone.apply((done) => {
      if (done) return;
      void pulumi.log.warn(
        "this run left some of the cluster's steps out (--target?), so the outputs stay as they were. Run pulumi up without --target",
        this,
      );
    });
    if (config.nodes.some(({ host }) => host.kind === "ssh")) {
      // What depends on most goes first.
      new ClusterOnline("cluster", config, hosts, { parent: this, dependsOn: settled });
    }
    if (config.checks) {
      new ClusterChecks(
        "cluster",
        { config, underlay, on: coordinator.member, members, release },
        { parent: this, dependsOn: settled },
      );
    }

    const nodes = pulumi.all(
      prepared.map(({ member, device }) => {
        const { name: node, role } = member.node;
        return pulumi
          .all([member.address, member.host.address, device.deviceId])
          .apply(([address, host, deviceId]) => ({ name: node, role, address, host, deviceId }));
      }),
    );
    const versions = settled.done.apply(() => ({
      kubernetes: config.kubernetesVersion,
      cilium: config.cilium.version,
    }));
    this.nodes = ifDone(isDone, nodes, last, "nodes");
    this.versions = ifDone(isDone, versions, last, "versions");
    this.applied = ifDone(isDone, appliedOutput(config, hosts, settled.done), last, "applied");
    this.registerOutputs({ nodes: this.nodes, versions: this.versions, applied: this.applied });
  }
}
