/** docs/operate/troubleshooting.md quotes what the program really says, and names units and files that are really there. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";

const root = join(__dirname, "../../..");
const page = readFileSync(join(root, "docs/operate/troubleshooting.md"), "utf8");
/** The cells of each row of the tables, without headings. */
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("| ") && !/^\| (You see|---)/.test(line))
  .map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );

/** Everything that can speak to a user; a text that is written in several lines is made one. */
const sources = ["host", "command", "config", "preview", "model", "components"].flatMap((folder) =>
  (readdirSync(join(root, folder), { recursive: true }) as string[])
    .filter((file) => /\.(sh|ts)$/.test(file))
    .map((file) => readFileSync(join(root, folder, file), "utf8").replace(/["`]\s*\+\s*["`]/g, "")),
);

/** Whether a text, with `…` for what differs, is in one line of a source. */
function isSaid(text: string): boolean {
  const parts = text
    .split("…")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(parts.join("[^\\n]{1,200}?"));
  return sources.some((source) => pattern.test(source));
}

const quoted = rows.flatMap(([seen]) => [...seen!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!));
/** Names of tools that stand in the first column as such. */
const tools = ["kubectl", "pulumi up", "tailscaled"];

describe("docs/operate/troubleshooting.md", () => {
  it("has, for each symptom, what shows it and the cure", () => {
    expect(rows.length).to.be.greaterThan(40);
    for (const cells of rows) {
      expect(cells, cells[0]).to.have.lengthOf(3);
      expect(
        cells.every((cell) => cell !== ""),
        cells[0],
      ).to.equal(true);
    }
  });

  it("quotes what the program says", () => {
    const messages = quoted.filter((text) => !tools.includes(text));
    expect(messages.length).to.be.greaterThan(40);
    expect(messages.filter((text) => !isSaid(text))).to.deep.equal([]);
    expect(messages.filter((text) => text.replaceAll("…", "").trim().length < 12)).to.deep.equal([]);
  });

  it("would notice a text that nobody says, and parts of two different ones", () => {
    expect(isSaid("this host is perfectly fit")).to.equal(false);
    expect(isSaid("this host does not meet the requirements … is the auth key valid")).to.equal(false);
  });

  it("names units and files of the hosts that the scripts make", () => {
    const scripts = sources.join("\n");
    const units = [...page.matchAll(/\btailkube-[a-z]+\b(?!-)/g)].map(([name]) => name);
    const commands = [...page.matchAll(/\/usr\/local\/lib\/tailkube\/([a-z-]+)/g)].map((match) => match[1]!);
    expect(units).to.include("tailkube-endpoint");
    expect(commands).to.include("etcd");
    expect(units.filter((unit) => !scripts.includes(unit))).to.deep.equal([]);
    expect(commands.filter((name) => !scripts.includes(`$TK_LIB/${name}"`))).to.deep.equal([]);
    for (const file of ["/var/log/tailkube-kubeadm.log", "tailkube-not-cleaned.log", "admit.pid"]) {
      expect(page, file).to.include(file);
      expect(scripts, file).to.include(file);
    }
  });
});
