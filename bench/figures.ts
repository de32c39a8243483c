/** What a bench finds out: each figure is worked out from times that were taken in the same run, so it stands for itself. */
import { table as columns } from "../command/table";

export interface Figure {
  part: string;
  name: string;
  value: number;
  /** What the value is; a `ratio` has none of its own. */
  unit: "ratio" | "per node" | "s";
  /** What the value should be at most. A figure without a goal is there to be read. */
  goal?: number;
  /** The times and counts that it was worked out from, by what was measured. */
  samples: Record<string, number[]>;
  /** The unit of the samples. */
  sampleUnit: string;
  /** Whether others used the machine while it was measured. */
  noisy?: boolean;
  note?: string;
}

/** The middle of the values; of an even number, between the two in the middle. Throws for none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error("no values to take the median of");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The median of the first as a ratio to the median of the second. */
export function ratio(values: readonly number[], to: readonly number[]): number {
  return median(values) / median(to);
}

/** The figures as a table for people, in the order in which they were measured. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.part,
    figure.name,
    `${text(figure.value)}${figure.unit === "ratio" ? "" : ` ${figure.unit}`}`,
    figure.goal === undefined ? "" : `≤ ${figure.goal}`,
    verdict(figure),
    medians(figure),
  ]);
  const lines = columns([["part", "figure", "value", "goal", "", "medians"], ...rows]);
  const notes = figures.flatMap(({ name, note }) => (note === undefined ? [] : [`${name}: ${note}`]));
  return [...lines, ...(notes.length > 0 ? ["", ...notes] : [])].join("\n");
}

function verdict({ value, goal, noisy }: Figure): string {
  const met = goal === undefined ? [] : [value <= goal ? "met" : "missed"];
  return [...met, ...(noisy ? ["noisy"] : [])].join(", ");
}

function medians({ samples, sampleUnit }: Figure): string {
  return Object.entries(samples)
    .filter(([, values]) => values.length > 0)
    .map(([what, values]) => `${what} ${text(median(values))}${values.length > 1 ? ` (of ${values.length})` : ""}`)
    .join(", ")
    .concat(sampleUnit === "" ? "" : ` ${sampleUnit}`);
}

// Three digits tell apart what such a measurement can tell apart.
function text(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : `${Number(value.toPrecision(3))}`;
}
