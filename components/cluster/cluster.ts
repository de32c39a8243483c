import { Provider } from "@pulumi/kubernetes/provider";
import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../../model/stack-config";
import { reported } from "../../model/report";
import type { LastOutputs } from "../../preview/previous-outputs";
import type { NodeConfig } from "../../model/config";
import { authoritiesOf, authorityWarnings } from "../kubernetes/authority-values";
import { tailnetUnderlay } from "../network/cilium/values";
import { operatorServer, withServer } from "../../model/kubeconfig";
import { lanUnderlay } from "../network/lan/address";
import { controlPlanes } from "../../model/nodes";
import { orderOf } from "../../model/order";
import type { Applied, AuthorityOutput, CertificateOutput, NodeOutput, VersionsOutput } from "../../model/outputs";
import { preflightReport, preflightWarnings } from "./preflight";
import { Cilium } from "../network/cilium/release";
import { checkCluster } from "./checks";
import { appliedOutput, checkMachines, ifDone, checkChange } from "./preview";
import { ClusterMemory } from "./last-run";
import { ClusterOnline } from "./online";
import { declarePeers } from "./peers";
import { makeAuthorities } from "../kubernetes/authorities";
import { finalize } from "./finalize";
import { makeControlPlanes, makeWorkers } from "./nodes";
import { OrderedResources } from "./ordered-resources";
import { doneSince, stepsSoFar } from "../hosts/done";
import { makeHosts } from "../hosts/hosts";
import { prepareNodes } from "./prepared-nodes";
import { TailnetApi } from "../network/tailnet/api";

/** The whole cluster. In which order its resources are made is in model/order.ts. */
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

  private readonly finalized: pulumi.Resource;
  private readonly name: string;
  private ownProvider?: pulumi.ProviderResource;

  /** @param former makes what is read of the last run while the stack has no memory of its own. */
  constructor(name: string, declared: StackConfig, former?: () => LastOutputs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:cluster:Cluster", name, {}, opts);
    this.name = name;
    const last = new ClusterMemory(name, former, { parent: this });
    const { config, secrets, prefix, known } = declared;
    const stepsBefore = stepsSoFar();
    // No host is talked to, none is made or cleaned, for what is refused.
    const mayBegin = checkChange(known, last, this, name);
    const areCertain = (hostKeys: readonly (pulumi.Output<string> | undefined)[]) =>
      mayBegin.apply(() => checkMachines(known, last, hostKeys));
    const hosts = makeHosts(declared, areCertain, { parent: this, dependsOn: mayBegin });
    // A resource, for `dependsOn`: it is there when the facts of all hosts are, and have been found good. Nothing is changed on
    // any host before all are known to be fit.
    const checked = pulumi.all([pulumi.all(hosts.map((host) => host.facts)), known, mayBegin]).apply(([facts, now]) => {
      const all = facts.map((f, i) => ({ node: now.nodes[i]!, facts: f }));
      const report = preflightReport(all, now);
      if (report !== undefined) throw reported(report);
      for (const warning of preflightWarnings(all, now)) void pulumi.log.warn(warning, this);
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
        ? new TailnetApi(`${prefix}tailnet`, { config, secrets }, { parent: this })
        : undefined;
    const resources = new OrderedResources(orderOf(config), this, (node) => hosts[config.nodes.indexOf(node)]!, prefix);
    config.nodes.forEach((node, i) => {
      resources.make(node.host.kind === "ec2" ? "instance" : "cleanup", node, () => hosts[i]!.end);
      resources.make("facts", node, () => hosts[i]!.factsScript);
    });
    resources.make("fit", undefined, () => checked);
    resources.make("policy", undefined, () => api?.policy);
    const prepared = prepareNodes({ ...declared, hosts, api }, resources);
    const of = (node: NodeConfig) => prepared[config.nodes.indexOf(node)]!;

    const coordinator = of(controlPlanes(config.nodes)[0]!);
    const authorities = resources.make(
      "authorities",
      undefined,
      // Not what the order has before it: what the engine waits for, it deletes with.
      (id, { dependsOn: _, ...rest }) =>
        makeAuthorities(id, { config, on: coordinator.member, ready: coordinator.ready }, rest),
    );
    // Of the certificates alone, which are no secret.
    this.authorities = pulumi.unsecret(
      authorities.values.apply(({ caCrt, etcdCaCrt, frontProxyCaCrt }) =>
        authoritiesOf({ kubernetes: caCrt, etcd: etcdCaCrt, "front-proxy": frontProxyCaCrt }),
      ),
    );
    this.authorities.apply((authorities) => {
      for (const warning of authorityWarnings(authorities, new Date())) void pulumi.log.warn(warning, this);
    });
    const planes = controlPlanes(config.nodes).map((node) => of(node).member);
    resources.make("peers", undefined, (id, opts) =>
      declarePeers(id, { on: coordinator.member, controlPlanes: planes }, opts),
    );
    const joinArgs = { config, authorities: authorities.values, prepared: of, api };
    const { kubeconfig, certificates } = makeControlPlanes(joinArgs, resources);
    makeWorkers(joinArgs, resources);
    this.certificates = certificates;
    this.kubeconfig = kubeconfig;
    this.directKubeconfig = pulumi
      .all([kubeconfig, coordinator.member.address, coordinator.member.host.address])
      .apply(([text, address, host]) => withServer(text, operatorServer(config, host, address)));

    const cilium = resources.make(
      "cilium",
      undefined,
      (_, opts) => new Cilium(`${prefix}cilium`, { config, underlay, kubeconfig: this.directKubeconfig }, opts),
    );
    const members = prepared.map(({ member }) => member);
    const release = pulumi.jsonStringify([cilium.release.chart, cilium.release.version, cilium.release.values]);
    const onCoordinator = { config, on: coordinator.member, members, release };
    const finalized = resources.make("finalize", undefined, (id, opts) =>
      finalize(id, { ...onCoordinator, authorities: authorities.values }, opts),
    );
    this.finalized = finalized.resource;
    const isDone = doneSince(stepsBefore);
    isDone.apply((done) => {
      if (done) return;
      void pulumi.log.warn(
        "this run left some of the cluster's steps out (--target?), so the outputs stay as they were. Run pulumi up without --target",
        this,
      );
    });
    if (config.nodes.some(({ host }) => host.kind === "ssh")) {
      resources.make("online", undefined, (id, opts) => new ClusterOnline(id, config, hosts, opts));
    }
    if (config.checks) {
      resources.make("checks", undefined, (id, opts) => checkCluster(id, { ...onCoordinator, underlay }, opts));
    }

    const nodes = pulumi.all(
      prepared.map(({ member, device }) => {
        const { name: node, role } = member.node;
        return pulumi
          .all([member.address, member.host.address, device.deviceId])
          .apply(([address, host, deviceId]) => ({ name: node, role, address, host, deviceId }));
      }),
    );
    const versions = finalized.done.apply(() => ({
      kubernetes: config.kubernetesVersion,
      cilium: config.cilium.version,
    }));
    this.nodes = ifDone(isDone, nodes, last, "nodes");
    this.versions = ifDone(isDone, versions, last, "versions");
    this.applied = ifDone(isDone, appliedOutput(known, hosts, finalized.done), last, "applied");
    last.keep({ nodes: this.nodes, versions: this.versions, applied: this.applied });
    this.registerOutputs();
  }

  /** For resources in the cluster, which wait until it is ready and go before it does. By `directKubeconfig`. */
  public get provider(): pulumi.ProviderResource {
    this.ownProvider ??= new Provider(
      `${this.name}-provider`,
      // A new kubeconfig of the same cluster must not replace what is in it.
      { kubeconfig: this.directKubeconfig, clusterIdentifier: `tailkube-${this.name}` },
      { parent: this, dependsOn: this.finalized },
    );
    return this.ownProvider;
  }
}
