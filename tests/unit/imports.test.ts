import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect } from "chai";

const root = join(__dirname, "../..");

/** The program's files, and what each imports of them. That imports go down only is ESLint's to check. */
function imports(): Map<string, string[]> {
  const folders = ["command", "components", "config", "model", "preview"];
  const files = folders.flatMap((folder) =>
    (readdirSync(join(root, folder), { recursive: true }) as string[])
      .filter((file) => file.endsWith(".ts"))
      .map((file) => join(folder, file)),
  );
  return new Map(
    [...files, "index.ts", "library.ts"].map((file) => {
      const found = [...readFileSync(join(root, file), "utf8").matchAll(/from "(\.[^"]+)"/g)]
        .map((match) => `${join(root, dirname(file), match[1]!)}.ts`)
        .filter((path) => existsSync(path))
        .map((path) => relative(root, path));
      return [file, found];
    }),
  );
}

describe("imports", () => {
  it("make no circle", () => {
    const graph = imports();
    expect(graph.size).to.be.greaterThan(80);
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: string[]) => {
      if (path.includes(file)) {
        circles.push([...path.slice(path.indexOf(file)), file].join(" → "));
      } else if (!done.has(file)) {
        for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
        done.add(file);
      }
    };
    for (const file of graph.keys()) visit(file, []);
    expect(circles).to.deep.equal([]);
  });
});
