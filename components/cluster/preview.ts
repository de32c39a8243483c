import * as pulumi from "@pulumi/pulumi";
import { ConfigError } from "../../model/messages";
import type { PreviousOutputs } from "../../preview/last-run-outputs";
import { writePlanFile } from "../../preview/plan-file";
import { userError } from "../../model/report";
import type { ClusterConfig } from "../../model/config";
import type { Applied } from "../../model/outputs";
import { hostWarnings } from "../kubernetes/version-warnings";
import { appliedBy, type LastRun, lastRun, seenHosts } from "../../preview/last-run";
import { machineChange, memberProblems, withHostKeys } from "../../preview/members";
import { nodeNetworkProblems } from "../../preview/node-network";
import { controlPlanes } from "../../model/nodes";
import { planMarkdown, rejectionMarkdown } from "../../preview/markdown";
import { planText } from "../../preview/text";
import type { HostFacts } from "../hosts/facts";
import { planOf } from "../../preview/steps";
import { changeWarnings, upgradeProblems } from "../../preview/version-skew";

/**
 * Compares the config with the last run before any host is contacted. Fails if the change is not possible; in a preview, prints the
 * plan. Resolves to the resource to wait for.
 *
 * @param name the cluster's own, among several of a program.
 */
export function checkChange(
  known: pulumi.Output<ClusterConfig>,
  last: PreviousOutputs,
  parent: pulumi.Resource,
  name: string,
): pulumi.Output<pulumi.Resource> {
  return pulumi.all([known, previous(last)]).apply(([config, { before, nodes }]) => {
    const problems = [
      ...upgradeProblems(before, wantedOf(config)),
      ...memberProblems(config, before),
      ...nodeNetworkProblems(nodes, config.nodeNetwork),
    ];
    if (problems.length > 0) {
      writePlanFile(name, rejectionMarkdown(problems));
      throw userError(new ConfigError(problems).message);
    }
    for (const warning of warningsOf(config, before)) void pulumi.log.warn(warning, parent);
    if (pulumi.runtime.isDryRun()) {
      const plan = planOf(config, before);
      void pulumi.log.info(planText(plan), parent);
      writePlanFile(name, planMarkdown(plan, config));
    }
    return last.reference;
  });
}

/** The last run from its outputs, and its output `nodes`. */
function previous(last: PreviousOutputs) {
  return pulumi
    .all([last.get("versions"), last.get("nodes"), last.get("applied")])
    .apply(([versions, nodes, applied]) => ({
      before: lastRun({ versions, nodes, applied }),
      nodes,
    }));
}

/**
 * Like `checkChange`, but after the hosts have shown their keys and before any host is changed: a new address may lead to a different
 * machine. Resolves to the resource to wait for.
 *
 * @param hostKeys of each host, in the order of the config; undefined on EC2.
 */
export function checkMachines(
  known: pulumi.Output<ClusterConfig>,
  last: PreviousOutputs,
  hostKeys: readonly (pulumi.Output<string> | undefined)[],
): pulumi.Output<pulumi.Resource> {
  return pulumi.all([known, previous(last)]).apply(([config, { before }]) => {
    const unsure = config.nodes.map((node) => machineChange(node, before) === "unsure");
    return pulumi.all(hostKeys.map((key, i) => (unsure[i] ? key : undefined))).apply((found) => {
      const problems = memberProblems(withHostKeys(config, found), before);
      if (problems.length > 0) throw userError(new ConfigError(problems).message);
      return last.reference;
    });
  });
}

function wantedOf(config: ClusterConfig) {
  return {
    kubernetes: config.kubernetesVersion,
    cilium: config.cilium.version,
    nodes: config.nodes.map((node) => node.name),
  };
}

function warningsOf(config: ClusterConfig, before: LastRun | undefined): string[] {
  const stay = controlPlanes(config.nodes).filter((node) => machineChange(node, before) !== "replaced");
  return [
    ...changeWarnings(
      before,
      stay.map((node) => node.name),
    ),
    ...(before === undefined ? [] : hostWarnings(seenHosts(before), config)),
  ];
}

/** What the next preview compares the config with, after everything is done. */
export function appliedOutput(
  known: pulumi.Output<ClusterConfig>,
  hosts: readonly { identity: pulumi.Output<string>; facts: pulumi.Output<HostFacts> }[],
  done: pulumi.Output<boolean>,
): pulumi.Output<Applied> {
  const seen = hosts.map(({ identity, facts }) =>
    pulumi.all([identity, facts]).apply(([machine, found]) => ({ machine, facts: found })),
  );
  return pulumi.all([known, pulumi.all(seen), done]).apply(([config, all]) => appliedBy(config, all));
}

/**
 * An output that states what was done: the value if all steps are done, otherwise what the last run left.
 *
 * @param isDone from doneSince.
 */
export function ifDone<T>(
  isDone: pulumi.Output<boolean>,
  value: pulumi.Output<T>,
  last: PreviousOutputs,
  name: string,
): pulumi.Output<T> {
  return pulumi
    .all([isDone, value, last.get(name)])
    .apply(([done, now, former]) => (done ? now : former)) as pulumi.Output<T>;
}
