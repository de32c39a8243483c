import { Provider } from "@pulumi/kubernetes/provider";
import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../../model/stack-config";
import { userError } from "../../model/report";
import type { PreviousOutputs } from "../../preview/last-run-outputs";
import type { NodeConfig } from "../../model/config";
import { authoritiesOf, authorityWarnings } from "../kubernetes/authority-values";
import { tailnetUnderlay } from "../network/cilium/values";
import { operatorServer, withServer } from "../../model/kubeconfig";
import { lanUnderlay } from "../network/lan/address";
import { controlPlanes } from "../../model/nodes";
import { orderOf } from "../../model/order";
import type {
  AccessOutput,
  Applied,
  AuthorityOutput,
  CertificateOutput,
  NodeOutput,
  VersionsOutput,
} from "../../model/outputs";
import { accessOutput } from "./access";
import { preflightReport, preflightWarnings } from "./preflight";
import { Cilium } from "../network/cilium/release";
import { checkCluster } from "./checks";
import { appliedOutput, checkMachines, ifDone, checkChange } from "./preview";
import { LastRunState } from "./last-run-state";
import { ClusterOnline } from "./online";
import { declarePeers } from "./peers";
import { makeAuthorities } from "../kubernetes/authorities";
import { finalize } from "./finalize";
import { makeControlPlanes, makeWorkers } from "./nodes";
import { OrderedResources } from "./ordered-resources";
import { doneSince, stepsSoFar } from "../hosts/done";
import { makeHosts } from "../hosts/hosts";
import { openSshHosts } from "../hosts/openssh-hosts";
import { prepareNodes } from "./prepared-nodes";
import { TailnetApi } from "../network/tailnet/api";

/** The whole cluster. model/order.ts defines the order of its resources. */
export class Cluster extends pulumi.ComponentResource {
  /** Administrator's kubeconfig; its server is the endpoint. Secret. */
  public readonly kubeconfig: pulumi.Output<string>;
  /** The same, but its server is the first control plane at the address that the operator's machine uses. Secret. */
  public readonly directKubeconfig: pulumi.Output<string>;
  public readonly nodes: pulumi.Output<NodeOutput[]>;
  /** When the certificates of each control plane expire. */
  public readonly certificates: pulumi.Output<CertificateOutput[]>;
  /** When the cluster's certificate authorities expire. */
  public readonly authorities: pulumi.Output<AuthorityOutput[]>;

  /** What the command `tailkube` needs to reach the cluster and its hosts, private keys included. Secret. */
  public readonly access: pulumi.Output<AccessOutput>;

  /** The versions after a complete run; the next preview compares the config with them. */
  public readonly versions: pulumi.Output<VersionsOutput>;
  /** What else a complete run leaves for the next preview. */
  public readonly applied: pulumi.Output<Applied>;

  private readonly finalized: pulumi.Resource;
  private readonly name: string;
  private ownProvider?: pulumi.ProviderResource;

  /** @param former how to read the last run of a stack that has no memory yet. */
  constructor(
    name: string,
    declared: StackConfig,
    former?: () => PreviousOutputs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("tailkube:cluster:Cluster", name, {}, opts);
    this.name = name;
    const last = new LastRunState(name, former, { parent: this });
    const { config, secrets, prefix, known } = declared;
    const stepsBefore = stepsSoFar();
    // If the change is rejected, no host is contacted, created or cleaned.
    const mayBegin = checkChange(known, last, this, name);
    const areCertain = (hostKeys: readonly (pulumi.Output<string> | undefined)[]) =>
      mayBegin.apply(() => checkMachines(known, last, hostKeys));
    const hosts = makeHosts(declared, areCertain, { parent: this, dependsOn: mayBegin });
    const facts = pulumi.all(hosts.map((host) => host.facts));
    // For `dependsOn`: it resolves when all hosts have passed their checks. No host is changed before that.
    const hostKeys = pulumi.all(hosts.map(({ hostKey }) => hostKey));
    const checked = pulumi.all([facts, hostKeys, known, mayBegin]).apply(([found, keys, now]) => {
      const all = found.map((f, i) => ({ node: now.nodes[i]!, facts: f, hostKey: keys[i] }));
      const report = preflightReport(all, now);
      if (report !== undefined) throw userError(report);
      for (const warning of preflightWarnings(all, now)) void pulumi.log.warn(warning, this);
      return hosts[0]!.factsScript;
    });

    const isLan = config.nodeNetwork === "lan";
    const nodeFacts = facts.apply((found) => found.map((f, i) => ({ node: config.nodes[i]!, facts: f })));
    const underlay = isLan ? nodeFacts.apply((all) => lanUnderlay(all, config)) : tailnetUnderlay(config);

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
      // Without its dependsOn: the engine would delete it together with what it depends on.
      (id, { dependsOn: _, ...rest }) =>
        makeAuthorities(id, { config, on: coordinator.member, ready: coordinator.ready }, rest),
    );
    // It is made only from certificates, which are not secret.
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
    const joinArgs = {
      config,
      authorities: authorities.values,
      prepared: of,
      api,
      extraFiles: secrets.extraFiles,
      proxyCredentials: secrets.proxyCredentials,
    };
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
      finalize(id, { ...onCoordinator, underlay, authorities: authorities.values }, opts),
    );
    this.finalized = finalized.resource;
    const isDone = doneSince(stepsBefore);
    isDone.apply((done) => {
      if (done) return;
      void pulumi.log.warn(
        "this run skipped some of the cluster's steps (--target?), so the outputs stay unchanged. Run pulumi up without --target",
        this,
      );
    });
    if (config.nodes.some(({ host }) => host.kind === "ssh")) {
      resources.make(
        "online",
        undefined,
        (id, opts) => new ClusterOnline(id, config, hosts, openSshHosts(config, secrets), opts),
      );
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
    const { directKubeconfig } = this;
    this.access = accessOutput({ config, members, kubeconfig, directKubeconfig });
    last.keep({ nodes: this.nodes, versions: this.versions, applied: this.applied });
    this.registerOutputs();
  }

  /** For resources in the cluster: they wait until it is ready, and are deleted before it. Uses `directKubeconfig`. */
  public get provider(): pulumi.ProviderResource {
    this.ownProvider ??= new Provider(
      `${this.name}-provider`,
      // A new kubeconfig of the same cluster must not replace the resources in it.
      { kubeconfig: this.directKubeconfig, clusterIdentifier: `tailkube-${this.name}` },
      { parent: this, dependsOn: this.finalized },
    );
    return this.ownProvider;
  }
}
