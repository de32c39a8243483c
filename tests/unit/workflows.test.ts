import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { temporaryFolder } from "./host/bash";

const root = join(__dirname, "../..");
/** The project's own, and those that users copy to bring a stack of theirs to its hosts. */
const folders = { own: ".github/workflows", users: "examples/github/workflows" };

interface Step {
  name?: string;
  uses?: string;
  run?: string;
  if?: string;
  with?: Record<string, unknown>;
  env?: Record<string, string>;
}
interface Job {
  if?: string;
  "runs-on": string;
  "timeout-minutes"?: number;
  permissions?: Record<string, string>;
  environment?: string;
  steps: Step[];
}
interface Workflow {
  name: string;
  on: Record<string, unknown> & { push?: { branches?: string[]; tags?: string[] } };
  permissions?: Record<string, string>;
  concurrency?: { group: string; "cancel-in-progress": boolean };
  jobs: Record<string, Job>;
}

const filesIn = (folder: string) => readdirSync(join(root, folder)).map((file) => join(folder, file));
const files = Object.values(folders).flatMap(filesIn);
const textOf = (file: string) => readFileSync(join(root, file), "utf8");
const workflow = (name: string) => all.find((one) => one.name === name)!;
const all = files.map((file) => parse(textOf(file)) as Workflow);
const steps = all.flatMap(({ name, jobs }) =>
  Object.values(jobs).flatMap((job) => job.steps.map((step) => ({ workflow: name, job, step }))),
);

describe("the workflows", () => {
  it("are these, each called as its file: the project's own use no stack, the users' nothing else", () => {
    const namesIn = (folder: string) => filesIn(folder).map((file) => basename(file));
    expect(namesIn(folders.own)).to.have.members(["lab.yml", "release.yml", "test.yml"]);
    expect(namesIn(folders.users)).to.have.members(["drift.yml", "preview.yml", "up.yml"]);
    expect(all.map(({ name }) => `${name}.yml`)).to.deep.equal(files.map((file) => basename(file)));
    for (const file of files) {
      expect(textOf(file).includes("vars.TAILKUBE_STACK"), file).to.equal(file.startsWith(folders.users));
    }
  });

  it("use actions of one commit each, with the version beside it", () => {
    const seen = new Map<string, Set<string>>();
    for (const file of files) {
      const lines = textOf(file)
        .split("\n")
        .filter((line) => /\buses:/.test(line));
      expect(lines, file).to.not.deep.equal([]);
      for (const line of lines) {
        const found = /^ {6}- uses: ([\w-]+\/[\w-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)$/.exec(line);
        expect(found, `${file}: ${line}`).to.not.equal(null);
        seen.set(found![1]!, new Set([...(seen.get(found![1]!) ?? []), found![2]!]));
      }
    }
    expect([...seen.keys()]).to.have.members([
      ...["actions/checkout", "actions/setup-node", "actions/setup-go", "pulumi/actions"],
    ]);
    for (const [action, versions] of seen) {
      expect([...versions], action).to.have.lengthOf(1);
    }
  });

  it("may read the code, the preview write its comment, a release publish, and no more", () => {
    const further: Record<string, Record<string, string>> = {
      "preview preview": { "pull-requests": "write" },
      "release release": { contents: "write", "id-token": "write" },
    };
    for (const { name, permissions, jobs } of all) {
      expect(permissions, name).to.be.an("object");
      expect({ contents: "read" }, name).to.include(permissions!);
      for (const [job, { permissions: granted = {} }] of Object.entries(jobs)) {
        expect({ contents: "read", ...further[`${name} ${job}`] }, `${name} ${job}`).to.include(granted);
      }
    }
    for (const { step } of steps.filter((one) => one.step.uses?.startsWith("actions/checkout@"))) {
      expect(step.with?.["persist-credentials"]).to.equal(false);
    }
  });

  it("give no secret to a pull request of a fork, nor to code that nobody has merged but the preview's", () => {
    for (const file of files) {
      const { on, jobs, name } = parse(textOf(file)) as Workflow;
      expect(on, file).to.not.have.any.keys("pull_request_target", "workflow_run", "issue_comment");
      for (const job of Object.values(jobs)) {
        if (!/secrets\./.test(JSON.stringify(job))) {
          continue;
        }
        const guard = job.if ?? "";
        if ("pull_request" in on) {
          expect(name).to.equal("preview");
          expect(guard).to.include("github.event.pull_request.head.repo.full_name == github.repository");
        } else if (name === "release") {
          expect(on).to.deep.equal({ push: { tags: ["v*"] } });
          expect(job.environment).to.equal("release");
        } else {
          expect(guard, file).to.include("github.ref == 'refs/heads/main'");
        }
      }
    }
    expect(JSON.stringify(workflow("test"))).to.not.include("secrets.");
    expect(JSON.stringify(workflow("release").jobs.test)).to.not.include("secrets.");
    // Its runner works as root.
    expect(workflow("lab").on).to.not.have.any.keys("pull_request", "push");
  });

  it("put nothing into a shell that somebody else can write", () => {
    for (const { step, workflow: name } of steps) {
      expect(step.run ?? "", name).to.not.include("${{");
    }
  });

  it("are bounded, and never kill an update", () => {
    for (const { name, jobs, concurrency } of all) {
      for (const job of Object.values(jobs)) {
        expect(job["timeout-minutes"], name).to.be.within(1, 240);
      }
      expect(concurrency?.["cancel-in-progress"], name).to.equal(["test", "preview"].includes(name));
    }
    expect(workflow("drift").concurrency?.group).to.equal(workflow("up").concurrency?.group);
  });

  it("run commands that there are", () => {
    const targets = new Set(
      [...readFileSync(join(root, "Makefile"), "utf8").matchAll(/^([a-z-]+):/gm)].map(([, name]) => name),
    );
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
    for (const { step, workflow: name } of steps.filter((one) => one.step.run !== undefined)) {
      for (const line of step.run!.trim().split("\n")) {
        const [command, ...words] = line.split(" ");
        if (command === "make") {
          expect(targets.has(words[0]), `${name}: ${line}`).to.equal(true);
        } else if (line === "npm ci") {
          expect(existsSync(join(root, "package-lock.json"))).to.equal(true);
        } else if (command === "npm") {
          expect(words[0]).to.equal("run");
          expect(scripts, `${name}: ${line}`).to.have.property(words[1]!);
        } else {
          // Users copy theirs to .github.
          const home = existsSync(join(root, command!)) ? "" : "examples/github";
          const path = join(root, home, home === "" ? command! : command!.replace(/^\.github\//, ""));
          expect(statSync(path).mode & 0o111, `${name}: ${line}`).to.not.equal(0);
        }
      }
    }
  });

  it("run the Pulumi that the program is built on, with inputs that the action has", () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    const runs = steps.filter(({ step }) => step.uses?.startsWith("pulumi/actions@"));
    expect(runs.map(({ workflow: name, step }) => `${name} ${String(step.with?.command)}`)).to.have.members([
      ...["drift preview", "preview preview", "up up"],
    ]);
    // action.yml of the pinned commit.
    const inputs = [
      ...["command", "stack-name", "cloud-url", "pulumi-version", "comment-on-summary", "suppress-outputs"],
      ...["refresh", "expect-no-changes", "policyPacks"],
    ];
    for (const { step } of runs) {
      expect(step.with?.["pulumi-version"]).to.equal(dependencies["@pulumi/pulumi"]);
      expect(inputs).to.include.members(Object.keys(step.with!));
      // Some of them are secrets.
      expect(step.with?.["suppress-outputs"]).to.equal(true);
    }
    const packs = runs.map(({ workflow: name, step }) => [name, step.with?.policyPacks]);
    expect(Object.fromEntries(packs)).to.include({ preview: "policy", up: "policy" });
    expect(existsSync(join(root, "policy/PulumiPolicy.yaml"))).to.equal(true);
    const drift = runs.find(({ workflow: name }) => name === "drift")!.step.with;
    expect(drift).to.include({ "expect-no-changes": true, refresh: true });
  });

  it("hand the plan's file from the preview to the comment, which is made of a refused config, too", () => {
    const { steps: own } = workflow("preview").jobs.preview!;
    const preview = own.find(({ uses }) => uses?.startsWith("pulumi/actions@"))!;
    const comment = own.find(({ run }) => run?.endsWith("comment-plan.sh"))!;
    expect(own.indexOf(comment)).to.equal(own.indexOf(preview) + 1);
    expect(comment.env?.TAILKUBE_PLAN_FILE).to.equal(preview.env?.TAILKUBE_PLAN_FILE);
    expect(comment.if).to.equal("${{ !cancelled() }}");
  });
});

describe("the comment", () => {
  interface Comment {
    id: number;
    user: { type: string };
    body: string;
  }

  /** Runs the script with a `gh` that has these comments and notes what it is asked to write. */
  function comment(comments: Comment[], plan: string | undefined): { calls: string[]; body: string } {
    const at = temporaryFolder();
    writeFileSync(join(at, "comments.json"), JSON.stringify(comments));
    if (plan !== undefined) {
      writeFileSync(join(at, "plan.md"), plan);
    }
    writeFileSync(
      join(at, "gh"),
      `#!/bin/bash
for last; do :; done
case "$*" in
*--jq*) jq -r "$last" ${at}/comments.json ;;
*) echo "$*" | sed 's/ -F .*//' >>${at}/calls; cp "\${last#body=@}" ${at}/body ;;
esac
`,
    );
    chmodSync(join(at, "gh"), 0o755);
    const { status, stderr } = spawnSync(join(root, "examples/github/scripts/comment-plan.sh"), {
      encoding: "utf8",
      env: {
        ...process.env,
        PATH: `${at}:${process.env.PATH}`,
        TAILKUBE_PLAN_FILE: join(at, "plan.md"),
        STACK: "home",
        PULL_REQUEST: "7",
        GITHUB_REPOSITORY: "acme/cluster",
        GITHUB_SERVER_URL: "https://github.com",
        GITHUB_RUN_ID: "42",
      },
    });
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
    return {
      calls: readFileSync(join(at, "calls"), "utf8").trim().split("\n"),
      body: readFileSync(join(at, "body"), "utf8"),
    };
  }
  const bot = { type: "Bot" };
  const marker = "<!-- tailkube plan of home -->";

  it("is made where there is none: others may quote it, or be of another stack", () => {
    const others = [
      { id: 1, user: { type: "User" }, body: `${marker}\nmine` },
      { id: 2, user: bot, body: "<!-- tailkube plan of office -->\nother" },
      { id: 3, user: bot, body: `> ${marker}` },
    ];
    const { calls, body } = comment(others, "### Plan\n");
    expect(calls).to.deep.equal(["api --silent --method POST repos/acme/cluster/issues/7/comments"]);
    expect(body).to.equal(
      `${marker}\n### Plan\n\nStack home, [the whole preview](https://github.com/acme/cluster/actions/runs/42)\n`,
    );
  });

  it("is edited where there is one", () => {
    const own = [
      { id: 8, user: bot, body: "hello" },
      { id: 9, user: bot, body: `${marker}\r\nold` },
      { id: 10, user: bot, body: `${marker}\nolder` },
    ];
    expect(comment(own, "### Plan\n").calls).to.deep.equal([
      "api --silent --method PATCH repos/acme/cluster/issues/comments/9",
    ]);
  });

  it("says so where the preview came to no plan", () => {
    expect(comment([], undefined).body).to.include("### No plan\n\nThe preview ended before it had one.\n");
  });

  it("is cut where GitHub would refuse it, at a whole character", () => {
    const { body } = comment([], "ü".repeat(70_000));
    expect(body.length).to.be.below(65_536);
    expect(body).to.include("… cut here.").and.not.include("\ufffd");
  });
});
