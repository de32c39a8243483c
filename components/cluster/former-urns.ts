/**
 * URNs from before 0.2.0, when each of these resources was the only child of its own component. As aliases of today's resources, they
 * keep the engine from treating these as new: no script runs again, and nothing is cleaned.
 */
import * as pulumi from "@pulumi/pulumi";
import type { OrderedStep, StepKind } from "../../model/order";

const command = { local: "command:local:Command", remote: "command:remote:Command" };

interface Wrapper {
  /** Type of the component. */
  of: string;
  /** Its name, if it was not the node's or `cluster`. */
  name?: string;
  /** Type of its child. */
  child: string;
  /** Former name of its child, if it has changed. */
  was?: string;
}

const wrappers: Partial<Record<StepKind, Wrapper>> = {
  "auth-key": { of: "tailkube:tailnet:AuthKey", child: "tailscale:index/tailnetKey:TailnetKey" },
  device: { of: "tailkube:tailnet:Device", child: command.local },
  runtime: { of: "tailkube:node:Runtime", child: command.remote },
  authorities: { of: "tailkube:controlplane:Secrets", child: command.remote, was: "cluster-secrets" },
  peers: { of: "tailkube:cluster:Peers", child: command.remote },
  "control-plane": { of: "tailkube:controlplane:ControlPlane", child: command.remote },
  routes: { of: "tailkube:tailnet:Routes", child: "tailscale:index/deviceSubnetRoutes:DeviceSubnetRoutes" },
  upgrade: { of: "tailkube:node:Version", child: command.remote },
  "dead-members": { of: "tailkube:cluster:Departures", child: command.remote, was: "cluster-departures" },
  encryption: { of: "tailkube:controlplane:SecretsEncryption", child: command.remote },
  admission: { of: "tailkube:controlplane:Admission", name: "workers", child: command.remote, was: "workers-admit" },
  join: { of: "tailkube:worker:Worker", child: command.remote },
  finalize: { of: "tailkube:cluster:Settle", child: command.remote, was: "cluster-settle" },
  checks: { of: "tailkube:cluster:Checks", child: command.remote },
};

/** The former URN of a step's resource; none if it has not changed. */
export function formerUrns({ kind, node, id }: OrderedStep, cluster: pulumi.Resource): pulumi.Output<string>[] {
  const network = { of: `tailkube:${id.endsWith("-lan") ? "lan" : "tailnet"}:Node`, child: command.local };
  const wrapper = kind === "network" ? network : wrappers[kind];
  if (wrapper === undefined) return [];
  const { of, name = node ?? "cluster", child, was = id }: Wrapper = wrapper;
  return [pulumi.createUrn(was, child, pulumi.createUrn(name, of, cluster))];
}
