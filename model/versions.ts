/** Versions as text, without a leading v. */

/** Negative if the first version is older, by semantic versioning: a pre-release is older than its release. */
export function compareVersions(a: string, b: string): number {
  const [coreA = "", preA] = split(a);
  const [coreB = "", preB] = split(b);
  return (
    compareParts(coreA.split("."), coreB.split(".")) ||
    Number(preA === undefined) - Number(preB === undefined) ||
    compareParts((preA ?? "").split("."), (preB ?? "").split("."))
  );
}

function split(version: string): [string, string?] {
  const dash = version.indexOf("-");
  return dash < 0 ? [version] : [version.slice(0, dash), version.slice(dash + 1)];
}

function compareParts(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x = "", y = ""] = [a[i], b[i]];
    const numeric = [x, y].map((part) => /^\d+$/.test(part));
    // A missing part comes before a number, and a number before a word.
    const order =
      numeric[0] && numeric[1]
        ? Number(x) - Number(y)
        : x === "" || y === ""
          ? x.length - y.length
          : Number(numeric[1]) - Number(numeric[0]) || (x < y ? -1 : Number(x > y));
    if (order !== 0) return order;
  }
  return 0;
}

/** The minor of a version such as 1.36.3: 36. */
export function minorOf(version: string): number {
  return Number(version.split(".")[1]);
}
