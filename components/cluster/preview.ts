import * as pulumi from "@pulumi/pulumi";
import { ConfigError } from "../../model/messages";
import type { LastOutputs } from "../../preview/previous-outputs";
import { writePlanFile } from "../../preview/plan-file";
import { reported } from "../../model/report";
import type { ClusterConfig } from "../../model/config";
import type { Applied } from "../../model/outputs";
import { hostWarnings } from "../kubernetes/compatibility";
import { appliedBy, type LastRun, lastRun, seenHosts } from "../../preview/last-run";
import { machineChange, memberProblems, withHostKeys } from "../../preview/members";
import { nodeNetworkProblems } from "../../preview/node-network";
import { controlPlanes } from "../../model/nodes";
import { planMarkdown, refusalMarkdown } from "../../preview/markdown";
import { planText } from "../../preview/text";
import type { HostFacts } from "../hosts/facts";
import { planOf } from "../../preview/steps";
import { changeWarnings, upgradeProblems } from "../../preview/version-changes";

/**
 * Holds the config against what the last run has left, before any host is talked to: fails on what cannot become of the
 * cluster, and tells in a preview what will. Resolves to the resource to wait for.
 *
 * @param name the cluster's own, among several of a program.
 */
export function checkChange(
  known: pulumi.Output<ClusterConfig>,
  last: LastOutputs,
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
      writePlanFile(name, refusalMarkdown(problems));
      throw reported(new ConfigError(problems).message);
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

/** The last run, as its outputs have it, and its output `nodes`. */
function previous(last: LastOutputs) {
  return pulumi
    .all([last.get("versions"), last.get("nodes"), last.get("applied")])
    .apply(([versions, nodes, applied]) => ({
      before: lastRun({ versions, nodes, applied }),
      nodes: nodes,
    }));
}

/**
 * As `checkChange`, before anything is changed on a host, when it is known which machines answer: one that is reached in another
 * way than in the last run may be another one. Resolves to the resource to wait for.
 *
 * @param hostKeys what each host has shown, in the order of the config; undefined for machines that are made.
 */
export function checkMachines(
  known: pulumi.Output<ClusterConfig>,
  last: LastOutputs,
  hostKeys: readonly (pulumi.Output<string> | undefined)[],
): pulumi.Output<pulumi.Resource> {
  return pulumi.all([known, previous(last)]).apply(([config, { before }]) => {
    const unsure = config.nodes.map((node) => machineChange(node, before) === "unsure");
    return pulumi.all(hostKeys.map((key, i) => (unsure[i] ? key : undefined))).apply((found) => {
      const problems = memberProblems(withHostKeys(config, found), before);
      if (problems.length > 0) throw reported(new ConfigError(problems).message);
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

/** What the next preview is judged by, when all of it has been done. */
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
 * An output that says what was done: the value if all of it was, else what the last run has left, for the next preview is judged by it.
 *
 * @param isDone as doneSince says.
 */
export function ifDone<T>(
  isDone: pulumi.Output<boolean>,
  value: pulumi.Output<T>,
  last: LastOutputs,
  name: string,
): pulumi.Output<T> {
  return pulumi
    .all([isDone, value, last.get(name)])
    .apply(([done, now, former]) => (done ? now : former)) as pulumi.Output<T>;
}
