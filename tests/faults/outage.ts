/** What requests made at a fixed rate say about an outage. Pure functions; times are in milliseconds. */

/** One request, as its client saw it. */
export interface Sample {
  start: number;
  end: number;
  ok: boolean;
  /** The control plane whose API server answered. */
  by?: string;
  error?: string;
}

export interface Outage {
  /** The longest time from one answer to the next; at the window's edges, from or to the edge. */
  longest: number;
  /** Requests without an answer. */
  failed: number;
  total: number;
  /** Failed requests that are no part of the largest group of them, apart from the switch: when, from the fault, and why. */
  apart: string[];
  /** Control planes in the order in which they answered, each named again when the answers come back to it. */
  answeredBy: string[];
}

/** Failed requests that began no further apart than this are one failure: as long as a request may take. */
const together = 1000;

/**
 * The outage within a window.
 *
 * @param from the moment of the fault; requests that were still under way then count.
 */
export function outage(samples: readonly Sample[], from: number, to = Infinity): Outage {
  const inWindow = samples.filter((s) => s.end >= from && s.start <= to).sort((a, b) => a.start - b.start);
  const answers = inWindow.filter((s) => s.ok && s.end <= to).sort((a, b) => a.end - b.end);
  // A window without an end lasts as long as its last request: what began before that and failed later says nothing more.
  const end = Number.isFinite(to) ? to : (inWindow.at(-1)?.end ?? from);
  const edges = [from, ...answers.map((s) => s.end), end];
  const failed = inWindow.filter((s) => !s.ok);
  const groups: Sample[][] = [];
  failed.forEach((s, i) => {
    if (i > 0 && s.start - failed[i - 1]!.start <= together) groups.at(-1)!.push(s);
    else groups.push([s]);
  });
  const longest = Math.max(0, ...groups.map(({ length }) => length));
  const theSwitch = groups.find(({ length }) => length === longest) ?? [];
  const by = answers.map((s) => s.by ?? "unknown");
  return {
    longest: Math.max(...edges.slice(1).map((edge, i) => edge - edges[i]!)),
    failed: failed.length,
    total: inWindow.length,
    apart: failed
      .filter((s) => !theSwitch.includes(s))
      .map((s) => `${((s.start - from) / 1000).toFixed(1)} s: ${s.error ?? "no answer"}`),
    answeredBy: by.filter((name, i) => name !== by[i - 1]),
  };
}

/** The middle one of an odd number of figures. */
export function median(figures: readonly number[]): number {
  if (figures.length % 2 === 0) throw new Error(`no median of ${figures.length} figures`);
  return [...figures].sort((a, b) => a - b)[(figures.length - 1) / 2]!;
}
