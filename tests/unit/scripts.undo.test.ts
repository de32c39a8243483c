import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../scripts/render";
import { assignments, bashOk, removeTemporaryFolders, temporaryFolder, withLibrary, write } from "./bash";

afterEach(removeTemporaryFolders);

describe("operator/undo.sh", () => {
  const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample";

  /**
   * The operator's side with a real agent and an `ssh` that only takes notes; `body` is how the host answers to it.
   */
  function undo(body: string, key?: string) {
    const root = temporaryFolder();
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", `${root}/key`]);
    const privateKey = key ?? readFileSync(`${root}/key`, "utf8").trim();
    write(
      `${root}/bin/ssh`,
      `#!/bin/bash
printf '%s\\n' "$*" >>${root}/calls
for word; do case $word in UserKnownHostsFile=*) cp "\${word#*=}" ${root}/known_hosts ;; esac; done
ssh-add -L >>${root}/agent 2>&1
${body}
`,
      0o755,
    );
    write(`${root}/bin/sleep`, "#!/bin/bash\n", 0o755);
    const run = spawnSync("bash", ["--norc", "-c", scriptText("operator/undo.sh")], {
      input: `${privateKey}\n\nthe host's script\nsecond line`,
      cwd: root,
      encoding: "utf8",
      timeout: 20_000,
      env: {
        PATH: `${root}/bin:${process.env.PATH}`,
        TMPDIR: root,
        TAILKUBE_NODE: "w1",
        TAILKUBE_HOST: "192.0.2.21",
        TAILKUBE_PORT: "2222",
        TAILKUBE_USER: "admin",
        TAILKUBE_HOST_KEY: hostKey,
        TAILKUBE_COMMAND: "sudo -n timeout 300 bash -s -- remove",
      },
    });
    const read = (name: string) => (existsSync(`${root}/${name}`) ? readFileSync(`${root}/${name}`, "utf8") : "");
    return { root, privateKey, read, status: run.status, stdout: run.stdout, stderr: run.stderr };
  }

  it("runs the host's script there, by the key in an agent and the pinned host key, and says nothing", () => {
    const run = undo(`[ "\${*: -1}" = true ] || cat >"\${0%/bin/ssh}/script"`);
    expect({ status: run.status, stdout: run.stdout, stderr: run.stderr }).to.deep.equal({
      status: 0,
      stdout: "",
      stderr: "",
    });
    expect(run.read("script")).to.equal("the host's script\nsecond line");
    expect(run.read("known_hosts")).to.equal(`[192.0.2.21]:2222 ${hostKey}\n`);
    const [probe, command] = run.read("calls").trim().split("\n");
    expect(probe).to.match(/^-F \/dev\/null -p 2222 -l admin -o BatchMode=yes .* 192\.0\.2\.21 true$/);
    expect(probe).to.include("StrictHostKeyChecking=yes").and.to.include("HostKeyAlgorithms=ssh-ed25519");
    expect(command).to.match(/ 192\.0\.2\.21 sudo -n timeout 300 bash -s -- remove$/);
    expect(run.read("agent").split("\n")[0]).to.equal(readFileSync(`${run.root}/key.pub`, "utf8").trim());
  });

  it("leaves no agent and no file behind, and the key in no command line", () => {
    const run = undo("");
    expect(run.read("calls")).to.not.include(run.privateKey.split("\n")[1]);
    expect(readdirSync(run.root).sort()).to.deep.equal(["agent", "bin", "calls", "key", "key.pub", "known_hosts"]);
  });

  it("passes over a host that does not answer, after three dials, and says what stays there", () => {
    const run = undo("echo 'ssh: connect to host 192.0.2.21 port 2222: Connection timed out' >&2; exit 255");
    expect(run.status).to.equal(0);
    expect(run.read("calls").trim().split("\n")).to.have.lengthOf(3);
    expect(run.stderr).to.match(
      /^tailkube: w1: no answer at 192\.0\.2\.21 port 2222, so nothing was cleaned there: .*timed out\. If the machine comes back/,
    );
    expect(run.read("tailkube-not-cleaned.log"), "kept, for a terminal shows it only for a moment").to.match(
      /^\d{4}-\d\d-\d\dT[\d:]+Z w1: no answer at 192\.0\.2\.21 port 2222, .*reinstall it .*\n$/,
    );
  });

  it("leaves another machine alone", () => {
    const run = undo(
      "printf 'REMOTE HOST IDENTIFICATION HAS CHANGED\\nHost key verification failed.\\n' >&2; exit 255",
    );
    expect(run.status).to.equal(0);
    expect(run.read("calls").trim().split("\n")).to.have.lengthOf(1);
    expect(run.stderr).to.match(/^tailkube: w1: another machine answers at 192\.0\.2\.21 port 2222/);
    expect(run.read("tailkube-not-cleaned.log")).to.include(" w1: another machine answers at 192.0.2.21 port 2222");
  });

  it("fails where a host that is there lets nobody in, or was not cleaned whole", () => {
    const refused = undo("echo 'admin@192.0.2.21: Permission denied (publickey).' >&2; exit 255");
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.match(/^tailkube: w1: admin is not let in at 192\.0\.2\.21 port 2222/);
    const broken = undo(
      `[ "\${*: -1}" = true ] || { echo 'tailkube: w1: tailnet: tailscale logout failed' >&2; exit 1; }`,
    );
    expect(broken.status).to.equal(1);
    expect(broken.stderr).to.equal(
      "tailkube: w1: tailnet: tailscale logout failed\ntailkube: w1: it could not be cleaned whole; run again\n",
    );
  });

  it("fails on a key that is none, before it goes anywhere", () => {
    const run = undo("", "not a key");
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/^tailkube: w1: the private SSH key is refused/);
    expect(run.read("calls")).to.equal("");
  });
});

describe("undo.sh", () => {
  /** Which stages' removals run on a host where these stages have written down what they own. */
  function undone(...owners: string[]) {
    const root = temporaryFolder();
    for (const stage of owners) write(`${root}/var/lib/tailkube/owned.${stage}`, "");
    return bashOk(
      withLibrary(
        root,
        [
          assignments({ TK_ROLE: "worker", TK_BUNDLE: "" }),
          scriptText("undo.sh"),
          'unit_stop() { echo "stop $1"; }',
          "reset_node() { echo reset_node; }",
          'undo_files() { echo "files of $TK_STAGE"; }',
          'remove_runtime() { echo "runtime as $TK_STAGE"; }',
          'remove_tailnet() { echo "tailnet as $TK_STAGE"; }',
          "remove",
        ].join("\n"),
        "undo",
      ),
    )
      .trim()
      .split("\n");
  }

  it("takes away every stage, the newest first", () => {
    expect(undone("tailnet", "runtime", "peers", "control-plane")).to.deep.equal([
      "stop tailkube-endpoint.service",
      "stop tailkube-approve.timer",
      "reset_node",
      "files of upgrade",
      "files of control-plane",
      "files of join",
      "files of peers",
      "runtime as runtime",
      "tailnet as tailnet",
      '{"changed":[]}',
    ]);
  });

  it("does nothing for a stage that has never run", () => {
    expect(undone("tailnet")).to.deep.equal(["tailnet as tailnet", '{"changed":[]}']);
    expect(undone()).to.deep.equal(['{"changed":[]}']);
  });
});
