/** A plan as text, for a terminal. */
import { listed } from "../model/messages";
import { type Change, type NodePlan, type Plan, type Step, waves } from "./plan";

/** How many nodes are created, joined and so on: `1 joined, 3 untouched`. */
export function counted(nodes: readonly NodePlan[]): string {
  const order: Change[] = [
    "created",
    "joined",
    "relabelled",
    "rerouted",
    "restarted",
    "drained",
    "replaced",
    "removed",
    "untouched",
  ];
  return order
    .map((change) => [change, nodes.filter(({ changes }) => changes.includes(change)).length] as const)
    .filter(([, count]) => count > 0)
    .map(([change, count]) => `${count} ${change}`)
    .join(", ");
}

/** The lines of one wave: steps that differ only in their nodes share a line. */
export function wordsOf(wave: readonly Step[]): string[] {
  const merged = new Map<string, { nodes: string[]; does: string; disturbs?: string }>();
  for (const { nodes, does, disturbs } of wave) {
    const key = JSON.stringify([does, disturbs]);
    const before = merged.get(key);
    merged.set(key, { does, ...(disturbs && { disturbs }), nodes: [...(before?.nodes ?? []), ...nodes] });
  }
  return [...merged.values()].map(
    ({ nodes, does, disturbs }) =>
      `${nodes.length > 0 ? `${nodes.join(", ")}: ` : ""}${does}${disturbs === undefined ? "" : ` [disturbs ${disturbs}]`}`,
  );
}

/** The whole plan as one block of text. */
export function planText({ isNew, nodes, steps }: Plan): string {
  const head = `What this run will do to the nodes${isNew ? "" : ", compared with the last complete run"} (${counted(nodes)}):`;
  const notes = nodes.flatMap(({ name, note }) => (note === undefined ? [] : [`${name}: ${note}`]));
  if (steps.length === 0) {
    return [head, "  Nothing: all nodes are as declared.", ...notes.map((note) => `  ${note}`)].join("\n");
  }
  const all = waves(steps);
  const width = `${all.length}`.length;
  const lines = all.flatMap((wave, i) =>
    wordsOf(wave).map((line, j) => `  ${j === 0 ? `${i + 1}.`.padStart(width + 1) : " ".repeat(width + 1)} ${line}`),
  );
  const untouched = nodes.filter(({ changes }) => changes.includes("untouched")).map(({ name }) => name);
  return [
    head,
    ...lines,
    ...(untouched.length > 0 ? [`  Untouched: ${listed(untouched)}.`] : []),
    ...notes.map((note) => `  ${note}`),
    "  Lines under one number run in parallel.",
  ].join("\n");
}
