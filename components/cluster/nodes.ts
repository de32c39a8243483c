/** Joins prepared hosts to the cluster, and keeps them as declared. */
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../../model/config";
import { controlPlanes, servingNodes, workers } from "../../model/nodes";
import type { CertificateOutput } from "../../model/outputs";
import { admitWorkers } from "../kubernetes/admission";
import type { Authorities } from "../kubernetes/authority-values";
import { joinControlPlane } from "../kubernetes/control-plane";
import { encryptSecrets } from "../kubernetes/hardening/secrets-encryption";
import { roundTripWarnings } from "../kubernetes/round-trips";
import { upgradeNode } from "../kubernetes/node-upgrade";
import type { ExtraFiles } from "../kubernetes/settings/variables";
import { joinWorker } from "../kubernetes/worker";
import type { TailnetApi } from "../network/tailnet/api";
import { approveRoutes } from "../network/tailnet/routes";
import { removeDeadMembers } from "./dead-members";
import type { OrderedResources } from "./ordered-resources";
import type { PreparedNode } from "./prepared-nodes";

export interface JoinArgs {
  config: ClusterConfig;
  authorities: pulumi.Output<Authorities>;
  prepared: (node: NodeConfig) => PreparedNode;
  /** Of the control plane. */
  extraFiles?: ExtraFiles;
  /** `USER:PASSWORD` of the proxy; secret. */
  proxyCredentials?: pulumi.Output<string> | undefined;
  /** Approves routes if the config says so. */
  api?: TailnetApi | undefined;
}

/** The control planes, in the order of the config. Returns the first one's kubeconfig, and when each one's certificates expire. */
export function makeControlPlanes(args: JoinArgs, resources: OrderedResources) {
  const { config, authorities, extraFiles } = args;
  const nodes = controlPlanes(config.nodes);
  const made = nodes.map((node, i) => {
    const { member } = args.prepared(node);
    const restoreSnapshot = i === 0 ? config.restoreSnapshot : undefined;
    const joined = resources.make("control-plane", node, (name, opts) =>
      joinControlPlane(name, { config, member, authorities, extraFiles, restoreSnapshot }, opts),
    );
    // At once, and not at the end: a further control plane may fail to join just because of such a path.
    joined.roundTrips.apply((paths) => {
      for (const warning of roundTripWarnings(config, paths)) void pulumi.log.warn(warning, joined.resource);
    });
    makeRoutes(args, node, joined, resources);
    const changed = keepVersion(args, node, resources);
    if (i === 0) {
      resources.make("dead-members", undefined, (name, opts) => removeDeadMembers(name, { config, on: member }, opts));
    }
    return { node, joined, changed };
  });
  for (const { node, joined, changed } of made) {
    const { member } = args.prepared(node);
    const state = pulumi.all([joined.encryption, changed.encryption]).apply(([first, now]) => now || first);
    resources.make("encryption", node, (name, opts) =>
      encryptSecrets(name, { config, member, authorities, state }, opts),
    );
  }
  const certificates = made.map(({ node, joined, changed }) =>
    pulumi
      .all([joined.certificateExpiry, changed.certificateExpiry])
      .apply(([first, now]): CertificateOutput => ({ name: node.name, expires: now || first })),
  );
  return { kubeconfig: made[0]!.joined.kubeconfig, certificates: pulumi.all(certificates) };
}

/** The workers, all in parallel, and their admission. */
export function makeWorkers(args: JoinArgs, resources: OrderedResources): void {
  const { config, authorities } = args;
  const nodes = workers(config.nodes);
  if (nodes.length === 0) return;
  const by = args.prepared(controlPlanes(config.nodes)[0]!).member;
  const joiners = nodes.map((node) => args.prepared(node).member);
  resources.make("admission", undefined, (name, opts) =>
    admitWorkers(name, { config, by, joiners, authorities }, opts),
  );
  for (const node of nodes) {
    const { member } = args.prepared(node);
    const joined = resources.make("join", node, (name, opts) =>
      joinWorker(name, { config, member, authorities }, opts),
    );
    makeRoutes(args, node, joined, resources);
    keepVersion(args, node, resources);
  }
}

/** Approves a node's routes: until then, the endpoint, the node's pods and LoadBalancer services cannot be reached over the tailnet. */
function makeRoutes(
  { config, prepared, api }: JoinArgs,
  node: NodeConfig,
  { podCidr }: { podCidr: pulumi.Output<string> },
  resources: OrderedResources,
): void {
  const endpoint = node.role === "control-plane" ? [`${config.endpoint.address}/32`] : [];
  const pods = config.podRouting === "native" ? [podCidr] : [];
  const routes = [...endpoint, ...pods, ...balancedRoutes(config, node)];
  const { deviceId, approvedRoutes } = prepared(node).device;
  resources.make("routes", node, (name, opts) =>
    api === undefined || config.tailnet.routeApproval !== "devices" || routes.length === 0
      ? undefined
      : approveRoutes(name, { api, deviceId, routes, approvedBefore: approvedRoutes }, opts),
  );
}

/** The addresses of LoadBalancer services, if this node takes their traffic. */
function balancedRoutes({ loadBalancer, nodes }: ClusterConfig, node: NodeConfig): string[] {
  return loadBalancer !== undefined && servingNodes(nodes).includes(node) ? [loadBalancer.cidr] : [];
}

function keepVersion(all: JoinArgs, node: NodeConfig, resources: OrderedResources) {
  const { config, authorities, extraFiles, proxyCredentials } = all;
  const { member, runtime } = all.prepared(node);
  const args = { config, member, installed: runtime.kubernetesVersion, authorities, extraFiles, proxyCredentials };
  return resources.make("upgrade", node, (name, opts) => upgradeNode(name, args, opts));
}
