import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import { derivedHostKey } from "../../../model/ssh-key";
import {
  bash,
  type Finished,
  logOf,
  removeTemporaryFolders,
  snapshot,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";

afterEach(removeTemporaryFolders);

const firstKey = derivedHostKey("secret", "node1");

/** A new machine below `root`: the host key of its user data, and an SSH server that shows what was there when it was started. */
function machine(): string {
  const root = temporaryFolder();
  write(`${root}/etc/ssh/ssh_host_ecdsa_key`, firstKey.privateKey, 0o600);
  write(`${root}/etc/ssh/ssh_host_ecdsa_key.pub`, `${firstKey.publicKey}\n`);
  mkdirSync(`${root}/served`);
  write(`${root}/served/ssh_host_ecdsa_key.pub`, `${firstKey.publicKey}\n`);
  return root;
}

/** Runs a stage on it; `more` is bash that changes what the machine answers. */
function run(root: string, stage: string, more = ""): Finished {
  const script = ["lib/node/ssh-host-keys.sh", `stages/${stage}.sh`].map((file) =>
    scriptText(file).replaceAll("/etc/ssh", `${root}/etc/ssh`),
  );
  return bash(
    withLibrary(
      root,
      [
        ...script,
        `ROOT=${root}`,
        'log() { echo "$*" >>"$ROOT/log"; }',
        "sleep() { SECONDS=$((SECONDS + 1)); }",
        'timeout() { shift; "$@"; }',
        "cloud-init() { log cloud-init; }",
        "timedatectl() { echo yes; }",
        'systemctl() { log "$*"; rm -rf "$ROOT/served"; mkdir "$ROOT/served"; command cp "$ROOT"/etc/ssh/*.pub "$ROOT/served"; }',
        'ssh-keyscan() { for type in ${4//,/ }; do key=$ROOT/served/ssh_host_${type}_key.pub; [ ! -e "$key" ] || echo "$5 $(cat "$key")"; done; }',
        more,
        'mkdir -p "$TK_RUN"',
        "apply",
      ].join("\n"),
      stage,
    ),
  );
}

interface Answer {
  changed: string[];
  hostKey?: string;
}

function answer({ stdout, stderr, status }: Finished): Answer {
  expect({ stderr, status }).to.deep.equal({ stderr: "", status: 0 });
  return JSON.parse(stdout) as Answer;
}

const keysOf = (root: string) => readdirSync(`${root}/etc/ssh`).sort();

describe("stage first-boot", () => {
  it("gives the machine a key of its own beside the first one, and tells it when it is shown", () => {
    const root = machine();
    const { changed, hostKey } = answer(run(root, "first-boot"));
    expect(changed).to.deep.equal([`made ${root}/etc/ssh/ssh_host_ed25519_key`]);
    expect(hostKey).to.match(/^ssh-ed25519 [A-Za-z0-9+/]{68}$/);
    expect(readFileSync(`${root}/etc/ssh/ssh_host_ed25519_key.pub`, "utf8").trim()).to.equal(hostKey);
    expect(logOf(root)).to.deep.equal(["cloud-init", "reload-or-restart ssh.service"]);
    expect(keysOf(root)).to.deep.equal(
      ["ecdsa", "ed25519"].flatMap((type) => [`ssh_host_${type}_key`, `ssh_host_${type}_key.pub`]),
    );
    expect(snapshot(`${root}/etc/ssh`).ssh_host_ed25519_key).to.match(/^600 /);
  });

  it("changes nothing the second time, and tells the same key", () => {
    const root = machine();
    const { hostKey } = answer(run(root, "first-boot"));
    const before = snapshot(`${root}/etc`);
    expect(answer(run(root, "first-boot"))).to.deep.equal({ changed: [], hostKey });
    expect(snapshot(`${root}/etc`)).to.deep.equal(before);
    expect(logOf(root).filter((line) => line.startsWith("reload"))).to.have.lengthOf(1);
  });

  it("goes on where a run was killed: before its key was whole, and before it was shown", () => {
    const half = machine();
    write(`${half}/etc/ssh/ssh_host_ed25519_key.tailkube`, "half a key", 0o600);
    write(`${half}/etc/ssh/ssh_host_ed25519_key.pub`, "ssh-ed25519 of another");
    const { hostKey } = answer(run(half, "first-boot"));
    expect(readFileSync(`${half}/etc/ssh/ssh_host_ed25519_key.pub`, "utf8").trim()).to.equal(hostKey);
    expect(keysOf(half).filter((file) => file.includes("tailkube"))).to.deep.equal([]);

    const unseen = machine();
    answer(run(unseen, "first-boot"));
    const made = readFileSync(`${unseen}/etc/ssh/ssh_host_ed25519_key`, "utf8");
    // As it is when only the reload is missing.
    run(unseen, "first-boot", 'rm -rf "$ROOT/served"; mkdir "$ROOT/served"; apply() { :; }');
    expect(answer(run(unseen, "first-boot")).changed).to.deep.equal([]);
    expect(readFileSync(`${unseen}/etc/ssh/ssh_host_ed25519_key`, "utf8")).to.equal(made);
    expect(logOf(unseen).filter((line) => line.startsWith("reload"))).to.have.lengthOf(2);
  });

  it("takes warnings of cloud-init, and fails on its errors", () => {
    expect(answer(run(machine(), "first-boot", "cloud-init() { return 2; }")).hostKey).to.match(/^ssh-ed25519 /);
    const { stderr, status } = run(machine(), "first-boot", "cloud-init() { return 1; }");
    expect(stderr).to.equal(
      "tailkube: node1: first-boot: cloud-init has failed: see /var/log/cloud-init.log on the machine\n",
    );
    expect(status).to.equal(1);
  });

  it("waits for the clock, but not for ever: that is the requirements' to tell", () => {
    expect(answer(run(machine(), "first-boot", "timedatectl() { echo no; }")).hostKey).to.match(/^ssh-ed25519 /);
  });

  it("fails where the server shows another key than the machine's own", () => {
    const { stderr, status } = run(
      machine(),
      "first-boot",
      'ssh-keyscan() { echo "127.0.0.1 ssh-ed25519 AAAAother"; }',
    );
    expect(stderr).to.match(/the SSH server does not show the host key .*ssh_host_ed25519_key.* \(waited 30 s\)\n$/);
    expect(status).to.equal(1);
  });
});

describe("stage host-key", () => {
  it("leaves only the key that the machine has made, and shows no other any more", () => {
    const root = machine();
    answer(run(root, "first-boot"));
    const { changed } = answer(run(root, "host-key"));
    expect(changed).to.deep.equal(["", ".pub"].map((suffix) => `removed ${root}/etc/ssh/ssh_host_ecdsa_key${suffix}`));
    expect(keysOf(root)).to.deep.equal(["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"]);
    expect(readdirSync(`${root}/served`)).to.deep.equal(["ssh_host_ed25519_key.pub"]);
  });

  it("goes on where a run was killed before the server had heard of it", () => {
    const root = machine();
    answer(run(root, "first-boot"));
    rmSync(`${root}/etc/ssh/ssh_host_ecdsa_key`);
    rmSync(`${root}/etc/ssh/ssh_host_ecdsa_key.pub`);
    answer(run(root, "host-key"));
    expect(readdirSync(`${root}/served`)).to.deep.equal(["ssh_host_ed25519_key.pub"]);
  });

  it("removes nothing where the machine has no key of its own", () => {
    const root = machine();
    const { stderr, status } = run(root, "host-key");
    expect(stderr).to.match(
      /^tailkube: node1: host-key: the machine has lost .*ssh_host_ed25519_key: change host\.identity/,
    );
    expect(status).to.equal(1);
    expect(keysOf(root)).to.deep.equal(["ssh_host_ecdsa_key", "ssh_host_ecdsa_key.pub"]);
  });

  it("changes nothing the second time", () => {
    const root = machine();
    answer(run(root, "first-boot"));
    answer(run(root, "host-key"));
    const before = [snapshot(`${root}/etc`), logOf(root)];
    expect(answer(run(root, "host-key")).changed).to.deep.equal([]);
    expect([snapshot(`${root}/etc`), logOf(root)]).to.deep.equal(before);
  });
});
