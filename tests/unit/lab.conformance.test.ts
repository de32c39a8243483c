/** What `make test-conformance` makes of Kubernetes' tests, without a cluster: its list, its report, the images' list. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { bash, bashOk, removeTemporaryFolders, temporaryFolder, write } from "./bash";

const lab = join(__dirname, "../../lab");

describe("lab/conformance", () => {
  afterEach(removeTemporaryFolders);

  it("excludes whole tests of network and nodes, each with its kind and a reason", () => {
    const lines = readFileSync(join(lab, "conformance/excluded"), "utf8").split("\n");
    const excluded = lines.filter((line) => /^[a-z]*\|/.test(line));
    expect(excluded).to.not.be.empty;
    for (const line of excluded) {
      expect(line).to.match(/^(image|lab)\|\[sig-(network|node)\] [^|]+ \[Conformance\][^|]*\|[^|]{20,}$/);
    }
  });

  it("takes no failed, stopped or forgotten test for one that passed", () => {
    const spec = (name: string, State: string, Message?: string, LeafNodeType = "It") => ({
      ContainerHierarchyTexts: name === "" ? null : ["[sig-node] Pods", name],
      LeafNodeText: name === "" ? "" : "[Conformance]",
      LeafNodeType,
      State,
      ...(Message !== undefined && { Failure: { Message } }),
    });
    const report = (...specs: unknown[]) => {
      const folder = temporaryFolder();
      const chosen = ["good", "bad", "slow", "unfit", "unreached", "unknown"];
      write(join(folder, "chosen"), chosen.map((name) => `[sig-node] Pods ${name} [Conformance]\n`).join(""));
      write(join(folder, "report.json"), JSON.stringify([{ SpecReports: specs }]));
      const program = ["-r", "-f", join(lab, "conformance/report.jq"), "--rawfile", "chosen", join(folder, "chosen")];
      return execFileSync("jq", [...program, join(folder, "report.json")], { encoding: "utf8" })
        .trim()
        .split("\n")
        .map((line) => line.split("\t"))
        .map(([outcome, name, why]) => [outcome, name!.split(" ")[2], why]);
    };
    const specs = [
      spec("", "passed", undefined, "SynchronizedBeforeSuite"),
      spec("good", "passed"),
      spec("bad", "failed", "a pod\n\tnever ran"),
      spec("slow", "timedout", "after 300 s"),
      spec("unfit", "skipped", "needs two zones"),
      spec("unreached", "skipped"),
      spec("another", "passed"),
    ];
    expect(report(...specs)).to.deep.equal([
      ["passed", "good", ""],
      ["failed", "bad", "failed: a pod never ran"],
      ["failed", "slow", "timedout: after 300 s"],
      ["skipped", "unfit", "needs two zones"],
      ["failed", "unreached", "not run: the time was up"],
      ["failed", "unknown", "not run: the time was up"],
    ]);
    const dead = report(spec("", "failed", "no node is ready", "SynchronizedBeforeSuite"), spec("good", "skipped"));
    expect(dead[0]).to.deep.equal(["failed", "good", "not run: SynchronizedBeforeSuite: no node is ready"]);
  });

  it("refuses what is no number, before it touches a cluster", () => {
    for (const [name, value] of [
      ["CONFORMANCE_PROCS", "many"],
      ["CONFORMANCE_MINUTES", "0"],
    ]) {
      const { status, stderr } = bash(`${name}=${value} '${join(lab, "conformance/conformance")}'`);
      expect(status).to.equal(2);
      expect(stderr).to.match(new RegExp(`^conformance: ${name}: "${value}" `));
    }
  });
});

describe("the images of Kubernetes' tests", () => {
  afterEach(removeTemporaryFolders);

  it("are the same bytes whenever they are made, one file for all of an image's names", () => {
    const folder = temporaryFolder();
    write(
      join(folder, "e2e.test"),
      "#!/bin/sh\nprintf 'registry.k8s.io/e2e-test-images/%s\\n' agnhost:2.66.1 busybox:1.37 agnhost:2.55 && echo gcr.io/agnhost:1\n",
      0o755,
    );
    const made = bashOk(`
      source '${lab}/artifacts/lib/images.sh'
      source '${lab}/artifacts/lib/e2e-images.sh'
      item_path() { echo '${folder}'; }
      go() { echo amd64; }
      for run in first second; do
        mkdir -p '${folder}'/$run/root/bin
        cd '${folder}'/$run
        echo program >root/bin/program
        touch -d @$RANDOM root/bin/program
        add_image . agnhost root '{}'
        cat images.list
      done`);
    const lines = made.trim().split("\n");
    expect(lines).to.have.length(4);
    expect(lines.slice(0, 2)).to.deep.equal(lines.slice(2));
    expect(lines.map((line) => line.split("\t").slice(0, 2)).slice(0, 2)).to.deep.equal([
      ["registry.k8s.io/e2e-test-images/agnhost:2.66.1", "agnhost.tar"],
      ["registry.k8s.io/e2e-test-images/agnhost:2.55", "agnhost.tar"],
    ]);
  });
});
