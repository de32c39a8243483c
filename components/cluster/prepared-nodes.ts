import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../../model/stack-config";
import { reported } from "../../model/report";
import { sharedAddresses } from "../network/tailnet/addresses";
import { deviceTags } from "../network/tailnet/policy";
import { fingerprint } from "../../model/machine";
import type { Host } from "../hosts/host";
import { LanNode } from "../network/lan/node";
import type { Member } from "../kubernetes/member";
import { NodeRuntime } from "../kubernetes/node-runtime";
import type { TailnetApi } from "../network/tailnet/api";
import { TailnetAuthKey } from "../network/tailnet/auth-key";
import { TailnetDevice } from "../network/tailnet/device";
import { TailnetNode } from "../network/tailnet/node";

/** A node that has its node network and its container runtime, and is no member of the cluster yet. */
export interface PreparedNode {
  member: Member;
  device: TailnetNode | LanNode;
  runtime: NodeRuntime;
  /** What has to be done before it becomes a member. */
  needs: pulumi.Input<pulumi.Resource>[];
  /** Known when all of that is done. */
  ready: pulumi.Output<boolean>;
}

export interface PreparedNodesArgs extends StackConfig {
  /** In the order of `config.nodes`. */
  hosts: Host[];
  /** Makes auth keys where the config gives none. */
  api?: TailnetApi;
}

/**
 * Makes each host ready for its part in the cluster, all at once. Returns them in the order of `config.nodes`.
 *
 * @param opts `dependsOn` is only waited for: what one host says is no input of another's scripts, so that a new node leaves
 * those of the others as they are.
 */
export function prepareNodes(
  { config, secrets, hosts, api }: PreparedNodesArgs,
  opts: { parent: pulumi.Resource; dependsOn: pulumi.Input<pulumi.Resource> },
): PreparedNode[] {
  const { parent, dependsOn: checked } = opts;
  const apiKey = secrets.tailnetOauthClientSecret ?? secrets.tailnetApiKey;
  const prepared = config.nodes.map((node, i) => {
    const { name, role } = node;
    const host = hosts[i]!;
    const onHost = { parent, dependsOn: [host.end, checked] };
    const tags = deviceTags(config, node);
    const authKey = () =>
      (role === "control-plane" ? secrets.tailnetControlPlaneAuthKey : undefined) ??
      secrets.tailnetAuthKey ??
      new TailnetAuthKey(name, { api: api!, tags, node: name, identity: host.identity }, opts).key;
    const device =
      config.nodeNetwork === "lan"
        ? new LanNode(name, { node, host, config }, onHost)
        : new TailnetNode(name, { host, config, tags, authKey: authKey() }, onHost);
    // One after the other on a host: both may use its package manager.
    const runtime = new NodeRuntime(
      name,
      { host, role, config, registryCredentials: secrets.registryCredentials },
      { parent, dependsOn: device },
    );
    if (device instanceof TailnetNode && apiKey !== undefined) {
      const by = { url: config.tailnet.api, key: apiKey, oauthClientId: config.tailnet.oauthClientId };
      new TailnetDevice(name, { deviceId: device.deviceId, login: device.login, node: name, api: by }, { parent });
    }
    const member = {
      node,
      host,
      address: device.address,
      resolvConf: host.facts.apply((facts) => facts.resolvConf),
      mark: host.identity.apply((identity) =>
        fingerprint([pulumi.getProject(), pulumi.getStack(), config.clusterName, name, identity]),
      ),
      nonce: runtime.nonce,
    };
    return { member, device, runtime };
  });
  // A resource, for `dependsOn`: no node joins while another has its address.
  const distinct = pulumi.all(prepared.map(({ device }) => device.address)).apply((addresses) => {
    const problem = sharedAddresses(addresses.map((address, i) => ({ node: config.nodes[i]!.name, address })));
    if (problem !== undefined) throw reported(problem);
    return prepared[0]!.device;
  });
  const inTailnet = config.nodeNetwork === "tailnet" ? [distinct] : [];
  return prepared.map((one) => {
    const done: pulumi.Input<unknown>[] = [one.runtime.kubernetesVersion, ...inTailnet];
    return { ...one, needs: [one.device, one.runtime, ...inTailnet], ready: pulumi.all(done).apply(() => true) };
  });
}
