/** The pages lead where they say: files, headings, and the tests that docs/develop/architecture.md names. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect } from "chai";

const root = join(__dirname, "../../..");
const pages = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--", "*.md"], {
  cwd: root,
  encoding: "utf8",
})
  .trim()
  .split("\n")
  .filter((page) => existsSync(join(root, page)));

/** A page without its code, where brackets are no links and `#` is no heading. */
const prose = (page: string) => readFileSync(page, "utf8").replace(/^( *)```.*?^\1```/gms, "");

/** GitHub's names of a page's headings. */
function anchors(page: string): string[] {
  return [...prose(page).matchAll(/^#+ +(.+)$/gm)].map((match) =>
    match[1]!
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

/** Links of a page that lead nowhere. */
function broken(page: string): string[] {
  const links = [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!);
  return links
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : resolve(dirname(page), path);
      return !existsSync(target) || (anchor !== undefined && !anchors(target).includes(anchor));
    });
}

describe("links between the pages", () => {
  it("lead to files and headings that are there", () => {
    expect(pages).to.include.members([
      "README.md",
      "CONTRIBUTING.md",
      "docs/develop/architecture.md",
      "docs/reference/config.md",
    ]);
    const found = pages.flatMap((page) => broken(join(root, page)).map((link) => `${page}: ${link}`));
    expect(found).to.deep.equal([]);
  });

  it("reach every page of docs/ from another page", () => {
    const reached = new Set(
      pages.flatMap((page) =>
        [...prose(join(root, page)).matchAll(/\]\(([^)\s#]+)/g)].map((match) =>
          relative(root, resolve(root, dirname(page), match[1]!)),
        ),
      ),
    );
    expect(pages.filter((page) => page.startsWith("docs/") && !reached.has(page))).to.deep.equal([]);
  });
});

describe("README.md", () => {
  it("is read in five minutes", () => {
    expect(readFileSync(join(root, "README.md"), "utf8").split("\n").length).to.be.at.most(131);
  });
});

describe("docs/develop/architecture.md", () => {
  const text = prose(join(root, "docs/develop/architecture.md"));

  it("stays short", () => {
    expect(readFileSync(join(root, "docs/develop/architecture.md"), "utf8").split("\n").length).to.be.lessThan(150);
  });

  it("names tests that are there, each in the file that it links", () => {
    const named = [...text.matchAll(/\]\(\.\.\/\.\.\/(tests\/[^)]+)\) "([^"]+)"/g)].map(
      (match) => [match[1]!, match[2]!] as const,
    );
    expect(named.length).to.be.greaterThan(10);
    const missing = named.filter(([file, title]) => !readFileSync(join(root, file), "utf8").includes(`it("${title}"`));
    expect(missing).to.deep.equal([]);
  });

  it("names components that are there", () => {
    const section = /^## Components$(.*?)^## /ms.exec(text)![1]!;
    const names = [...section.matchAll(/\*\*([A-Z][A-Za-z]+)\*\*/g)]
      .map((match) => match[1]!)
      .filter((name) => name !== "Identity");
    expect(names.length).to.be.greaterThan(5);
    const sources = (readdirSync(join(root, "components"), { recursive: true }) as string[])
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(join(root, "components", file), "utf8"));
    const isThere = (name: string) => sources.some((source) => new RegExp(`^export class ${name} `, "m").test(source));
    expect(names.filter((name) => !isThere(name))).to.deep.equal([]);
  });

  it("names steps that are there", () => {
    const section = /^## Components$(.*?)^## /ms.exec(text)![1]!;
    const names = [...section.matchAll(/\*\*([a-z][a-z-]*)\*\*/g)].map((match) => match[1]!);
    expect(names.length).to.be.greaterThan(10);
    const order = readFileSync(join(root, "model/order.ts"), "utf8");
    expect(names.filter((name) => !order.includes(`  | "${name}"`))).to.deep.equal([]);
  });
});
