/** host/command: what the command `tailkube` asks hosts. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { keyPair } from "../components/hosts/ec2/fixtures";
import { scriptText } from "../../../components/hosts/script-text";
import { answersIn, asked } from "../../../command/answers";
import { snapshotScript } from "../../../command/host-script";
import { hostFacts } from "../../../command/status/facts";
import { certificate } from "../command/certificate";
import { bash, removeTemporaryFolders, temporaryFolder, write } from "./bash";

const questions = (text: string) =>
  `${scriptText("command/questions.sh")}\n${scriptText("command/status.sh")}\n${text}\n`;
const answer = (text: string) => answersIn(bash(questions(`${text}\nprint_answers`)).stdout)!;

describe("host/command/questions.sh", () => {
  afterEach(removeTemporaryFolders);

  it("asks all at the same time, and ends each in time: the slowest neither delays nor loses the others", () => {
    const begin = Date.now();
    const answers = answer(
      [
        "question slow 1 sleep 20",
        "question fast 5 echo yes",
        "question also-slow 1 sleep 20",
        `question wrong 5 sh -c 'echo some; echo "why: \\"not\\"" >&2; exit 3'`,
        "question absent 5 /no/such/command",
      ].join("\n"),
    );
    expect(Date.now() - begin).to.be.below(15_000);
    expect(answers.get("slow")).to.include({ output: "", status: 124 });
    expect(answers.get("fast")).to.deep.equal({ output: "yes\n", status: 0, error: "" });
    expect(answers.get("wrong")).to.deep.equal({ output: "some\n", status: 3, error: 'why: "not"' });
    expect(answers.get("absent")!.status).to.equal(127);
    expect(asked(answers, "slow", String)).to.deep.equal({ none: "no answer in time" });
    expect(asked(answers, "none", String)).to.deep.equal({ none: "not asked" });
  });

  it("carries any bytes, at most so many, whatever is printed around it", () => {
    const text = questions(
      `echo 'Welcome {"tailkube":0} }'\nMOST=5\nquestion many 5 printf '\\001"\\\\\\n{}}'\nprint_answers\necho '}'`,
    );
    const { stdout } = bash(text);
    expect(answersIn(stdout)!.get("many")!.output).to.equal('\u0001"\\\n{');
    expect(answersIn(stdout.slice(0, -20))).to.equal(undefined);
    expect(answersIn("nothing")).to.equal(undefined);
  });
});

describe("host/command/status.sh", () => {
  afterEach(removeTemporaryFolders);

  it("prints public certificates of files with keys, and never a key", () => {
    const folder = temporaryFolder();
    const key = keyPair().privateKey;
    const pem = (day: number) => certificate("x", new Date(2026, 1, 1), new Date(Date.UTC(2027, 1, day)));
    write(join(folder, "pki/apiserver.crt"), pem(1));
    write(
      join(folder, "admin.conf"),
      `users:\n- user:\n    client-certificate-data: ${Buffer.from(pem(2)).toString("base64")}\n    client-key-data: ${Buffer.from(key).toString("base64")}\n`,
    );
    write(join(folder, "kubelet-client-current.pem"), `${pem(3)}${key}`);
    write(join(folder, "kubelet-server-current.pem"), `${key}${pem(4)}`);
    const files = [
      "pki/apiserver.crt",
      "admin.conf",
      "kubelet-client-current.pem",
      "kubelet-server-current.pem",
      "absent.crt",
    ];
    const answers = answer(
      `question certificates 5 public_certificates ${files.map((file) => `${folder}/${file}`).join(" ")}`,
    );
    const { output } = answers.get("certificates")!;
    expect(output).to.not.include("PRIVATE").and.to.not.include(key.split("\n")[1]);
    const { certificates } = hostFacts(answers, { isControlPlane: false, isTailnet: false });
    if ("none" in certificates) return expect.fail(certificates.none);
    expect(
      certificates.value.map(({ file, expires }) => [file.slice(folder.length + 1), expires.getUTCDate()]),
    ).to.deep.equal(files.slice(0, 4).map((file, i) => [file, i + 1]));
  });

  it("lists snapshots, with any name, and disks", () => {
    const folder = temporaryFolder();
    write(join(folder, "auto one\nline.db"), "12345");
    write(join(folder, "other.txt"), "");
    const answers = answer(`question snapshots 5 snapshots ${folder}\nquestion disks 5 disks / /no/such/path`);
    const { controlPlane, disks } = hostFacts(answers, { isControlPlane: true, isTailnet: false });
    expect(controlPlane!.snapshots).to.have.property("value").that.has.lengthOf(1);
    expect((controlPlane!.snapshots as { value: { file: string; bytes: number }[] }).value[0]).to.include({
      file: "auto one\nline.db",
      bytes: 5,
    });
    expect((disks as { value: { path: string; used: number }[] }).value.map(({ path }) => path)).to.deep.equal(["/"]);
    expect((disks as { value: { used: number }[] }).value[0]!.used).to.be.within(0, 1);
  });
});

describe("host/command/snapshot.sh", () => {
  afterEach(removeTemporaryFolders);

  /** The script with its folders below a root, and the host's etcd command as it is given. */
  function run(etcd: string) {
    const root = temporaryFolder();
    write(join(root, "lib/etcd"), `#!/bin/bash\n${etcd}\n`, 0o755);
    const node = { name: "cp1" } as Parameters<typeof snapshotScript>[0];
    const text = snapshotScript(node)
      .replace("TK_STATE=/var/lib/tailkube", `TK_STATE=${root}/state`)
      .replace("TK_LIB=/usr/local/lib/tailkube", `TK_LIB=${root}/lib`)
      .replace("TK_RUN=/run/tailkube", `TK_RUN=${root}/run`);
    return { root, ...bash(text) };
  }

  it("prints the snapshot with its sum, removes it, and has recorded it before as the control plane's", () => {
    const { root, status, stdout, stderr } = run(
      '[ "$1" = snapshot ] && grep -qxF "$2" "$(dirname "$2")/owned.control-plane" && printf "snap\\nshot" >"$2" && echo "$2"',
    );
    const sum = createHash("sha256").update("snap\nshot").digest("hex");
    expect({ status, stdout, stderr }).to.deep.equal({
      status: 0,
      stdout: `tailkube-snapshot ${sum} 9\nsnap\nshot`,
      stderr: "",
    });
    expect(existsSync(`${root}/state/download.db`)).to.equal(false);
    expect(readFileSync(`${root}/state/owned.control-plane`, "utf8")).to.equal(`${root}/state/download.db\n`);
  });

  it("fails with etcd's reason, and prints nothing", () => {
    const { status, stdout, stderr, root } = run('echo half >"$2"; echo "etcd: no etcd runs on this host" >&2; exit 1');
    expect({ status, stdout }).to.deep.equal({ status: 1, stdout: "" });
    expect(stderr).to.equal("tailkube: cp1: etcd-snapshot: no snapshot: etcd: no etcd runs on this host\n");
    expect(existsSync(`${root}/state/download.db`)).to.equal(false);
  });
});
