import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../../model/stack-config";
import { userError } from "../../model/report";
import { sharedAddresses } from "../network/tailnet/addresses";
import { deviceTags } from "../network/tailnet/policy";
import { fingerprint } from "../../model/machine";
import type { Host } from "../hosts/host";
import { joinLan } from "../network/lan/node";
import type { Member } from "../kubernetes/member";
import { type InstalledRuntime, installRuntime } from "../kubernetes/node-runtime";
import type { OrderedResources } from "./ordered-resources";
import type { TailnetApi } from "../network/tailnet/api";
import { makeAuthKey } from "../network/tailnet/auth-key";
import { tailnetDevice } from "../network/tailnet/device";
import { type JoinedNetwork, joinTailnet } from "../network/tailnet/node";

/** A node that has its network and its container runtime, but is not yet a member of the cluster. */
export interface PreparedNode {
  member: Member;
  device: JoinedNetwork;
  runtime: InstalledRuntime;
  /** Known when the node can become a member. */
  ready: pulumi.Output<boolean>;
}

export interface PreparedNodesArgs extends Pick<StackConfig, "config" | "secrets"> {
  /** In the order of `config.nodes`. */
  hosts: Host[];
  /** Creates auth keys if the config has none. */
  api?: TailnetApi | undefined;
}

/**
 * Prepares all hosts in parallel. Returns them in the order of `config.nodes`. No script has another host's results as an input, so a
 * new node does not run the scripts of the others again.
 */
export function prepareNodes(
  { config, secrets, hosts, api }: PreparedNodesArgs,
  resources: OrderedResources,
): PreparedNode[] {
  const isTailnet = config.nodeNetwork === "tailnet";
  const apiKey = secrets.tailnetOauthClientSecret ?? secrets.tailnetApiKey;
  const prepared = config.nodes.map((node, i) => {
    const { name, role } = node;
    const { proxyCredentials } = secrets;
    const host = hosts[i]!;
    const tags = deviceTags(config, node);
    const givenKey =
      (role === "control-plane" ? secrets.tailnetControlPlaneAuthKey : undefined) ?? secrets.tailnetAuthKey;
    const madeKey = resources.make("auth-key", node, (id, opts) =>
      isTailnet && givenKey === undefined
        ? makeAuthKey(id, { api: api!, tags, node: name, identity: host.identity }, opts)
        : undefined,
    );
    const device = resources.make("network", node, (id, opts) =>
      isTailnet
        ? joinTailnet(id, { host, node, config, tags, authKey: givenKey ?? madeKey!.key, proxyCredentials }, opts)
        : joinLan(id, { node, host, config, proxyCredentials }, opts),
    );
    resources.make("device", node, (id, opts) => {
      if (!isTailnet || apiKey === undefined) return undefined;
      const by = { url: config.tailnet.api, key: apiKey, oauthClientId: config.tailnet.oauthClientId };
      return tailnetDevice(id, { deviceId: device.deviceId, login: device.login, node: name, api: by }, opts);
    });
    const { registryCredentials } = secrets;
    const runtime = resources.make("runtime", node, (id, opts) =>
      installRuntime(id, { host, node, config, registryCredentials, proxyCredentials }, opts),
    );
    const member = {
      node,
      host,
      address: device.address,
      resolvConf: host.facts.apply((facts) => facts.resolvConf),
      membershipId: host.identity.apply((identity) =>
        fingerprint([pulumi.getProject(), pulumi.getStack(), config.clusterName, name, identity]),
      ),
      nonce: runtime.nonce,
    };
    return { member, device, runtime };
  });
  const distinct = pulumi.all(prepared.map(({ device }) => device.address)).apply((addresses) => {
    const problem = sharedAddresses(addresses.map((address, i) => ({ node: config.nodes[i]!.name, address })));
    if (problem !== undefined) throw userError(problem);
    return prepared[0]!.device.resource;
  });
  if (isTailnet) resources.make("addresses", undefined, () => distinct);
  return prepared.map((one) => {
    const done: pulumi.Input<unknown>[] = [one.runtime.kubernetesVersion, ...(isTailnet ? [distinct] : [])];
    return { ...one, ready: pulumi.all(done).apply(() => true) };
  });
}
