/** A plan as Markdown, for a pull request, with a Mermaid picture of the cluster. */
import type { ClusterConfig } from "../model/config";
import { listed } from "../model/messages";
import { type Change, type NodePlan, type Plan, waves } from "./plan";
import { counted, wordsOf } from "./text";

/** Fill and border colours of a node, by its first change in this list. Dark text on each has a contrast above 4.5. */
const colours: readonly (readonly [Change, string, string])[] = [
  ["removed", "#ffc9c9", "#c92a2a"],
  ["replaced", "#ffd8a8", "#d9480f"],
  ["drained", "#ffec99", "#e67700"],
  ["restarted", "#ffec99", "#e67700"],
  ["created", "#b2f2bb", "#2b8a3e"],
  ["joined", "#b2f2bb", "#2b8a3e"],
  ["relabelled", "#a5d8ff", "#1864ab"],
  ["rerouted", "#a5d8ff", "#1864ab"],
  ["untouched", "#f1f3f5", "#868e96"],
];

/** The cluster as a Mermaid flowchart: the endpoint and the nodes with their roles, changes in colour. */
export function planPicture({ nodes }: Plan, config: ClusterConfig): string {
  // Not the nodes' names: a node may be called `end`, which is a keyword in Mermaid.
  const id = (node: NodePlan) => `n${nodes.indexOf(node)}`;
  const boxes = nodes.map((node) => {
    const changed = node.changes.includes("untouched") ? "" : `<br/><b>${node.changes.join(", ")}</b>`;
    return `    ${id(node)}["${node.name}<br/>${node.role === "worker" ? "worker" : "control plane"}${changed}"]`;
  });
  const stays = nodes.filter(({ changes }) => !changes.includes("removed"));
  const planes = stays.filter(({ role }) => role === "control-plane");
  const users = stays.filter(({ role }) => role === "worker");
  const classes = colours.flatMap(([change, fill, stroke]) => {
    const own = nodes.filter(({ changes }) => colours.find(([one]) => changes.includes(one))?.[0] === change).map(id);
    return own.length === 0
      ? []
      : [`  classDef ${change} fill:${fill},stroke:${stroke},color:#212529`, `  class ${own.join(",")} ${change}`];
  });
  return [
    "flowchart LR",
    `  endpoint(["API endpoint<br/>${config.endpoint.address}:${config.endpoint.port}"])`,
    `  subgraph ${config.nodeNetwork}["${config.nodeNetwork === "lan" ? "lan" : `tailnet ${config.tailnet.tag}`}"]`,
    ...boxes,
    "  end",
    ...users.map((node) => `  ${id(node)} --> endpoint`),
    ...planes.map((node) => `  endpoint --> ${id(node)}`),
    ...classes,
  ].join("\n");
}

export function planMarkdown(plan: Plan, config: ClusterConfig): string {
  const { nodes, steps, isNew } = plan;
  const rows = nodes.map(
    ({ name, role, changes, note }) =>
      `| \`${name}\` | ${role === "worker" ? "worker" : "control plane"} | ${changes.join(", ")}${note ? `; ${note}` : ""} |`,
  );
  const order = waves(steps).flatMap((wave, i) => {
    const lines = wordsOf(wave);
    // Parallel lines are a nested list.
    return lines.length === 1
      ? [`${i + 1}. ${lines[0]}`]
      : [`${i + 1}. in parallel:`, ...lines.map((line) => `   - ${line}`)];
  });
  const untouched = nodes.filter(({ changes }) => changes.includes("untouched")).map(({ name }) => `\`${name}\``);
  return [
    `### Plan for the cluster \`${config.clusterName}\``,
    "",
    steps.length === 0
      ? "Nothing changes on any node."
      : `${isNew ? "A new cluster" : "Compared with the last complete run"}: ${counted(nodes)}.`,
    "",
    "| Node | Role | What happens |",
    "| --- | --- | --- |",
    ...rows,
    "",
    "```mermaid",
    planPicture(plan, config),
    "```",
    ...(order.length > 0 ? ["", "In this order:", "", ...order] : []),
    ...(order.length > 0 && untouched.length > 0 ? ["", `Untouched: ${listed(untouched)}.`] : []),
    "",
  ].join("\n");
}

/** Why there is no plan: one line per problem. */
export function rejectionMarkdown(problems: readonly string[]): string {
  const items = problems.map((line) => `- ${line.replace(/[&<>`]/g, (c) => `&#${c.charCodeAt(0)};`)}`);
  return ["### No plan: the stack's config is invalid", "", ...items, ""].join("\n");
}
