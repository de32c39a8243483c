/** A plan in words, for a terminal. */
import { type Change, type NodePlan, type Plan, type Step, waves } from "./plan";

/** `cp1, cp2 and w1`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/** How many nodes are created, joined and so on, most disturbing last: `1 is joined, 3 are untouched`. */
export function counted(nodes: readonly NodePlan[]): string {
  const order: Change[] = [
    "created",
    "joined",
    "relabelled",
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

/** Lines of one moment: steps that differ in their node alone share one. */
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
  const head = `What this run will do to the nodes${isNew ? "" : ", by what the last complete run has left"} (${counted(nodes)}):`;
  const notes = nodes.flatMap(({ name, note }) => (note === undefined ? [] : [`${name}: ${note}`]));
  if (steps.length === 0) {
    return [head, "  Nothing: all of them are as declared.", ...notes.map((note) => `  ${note}`)].join("\n");
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
    "  Lines under one number do not wait for each other.",
  ].join("\n");
}
