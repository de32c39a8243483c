import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { expect } from "chai";
import {
  assignments,
  bash,
  bashOk,
  libraryText,
  logOf,
  removeTemporaryFolders,
  snapshot,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";

afterEach(removeTemporaryFolders);

/** The library with apt's folders below `root`, whose every command takes notes; then some more bash. */
function host(root: string, text: string): string {
  return withLibrary(
    root,
    [
      libraryText().replace(/\/etc\/apt/g, `${root}/etc/apt`),
      assignments({
        ROOT: root,
        TK_STATE: `${root}/var/lib/tailkube`,
        TK_RUN: `${root}/run/tailkube`,
      }),
      'mkdir -p "$TK_RUN"',
      'log() { echo "$*" >>"$ROOT/log"; }',
      `apt-get() { log "apt-get $*"; }
      apt-mark() { log "apt-mark $*"; }
      dpkg() { log "dpkg $*"; }
      dpkg-query() { [ ! -e "$ROOT/installed/\${*: -1}" ] || printf 'installed 1.0'; }
      curl() { log "curl \${*: -1}"; cp -- "$ROOT/served" "\${*: -2:1}"; }`,
      text,
    ].join("\n"),
  );
}

describe("apt_install", () => {
  it("removes no package, asks nothing, and keeps a host's own configuration files", () => {
    const root = temporaryFolder();
    bashOk(host(root, "apt_install tree"));
    expect(logOf(root)).to.have.lengthOf(1);
    for (const option of ["--no-remove", "-y", "Dpkg::Options::=--force-confold", "Dpkg::Options::=--force-confdef"]) {
      expect(logOf(root)[0]).to.include(option);
    }
  });

  it("says what it would have to remove, and does not", () => {
    const root = temporaryFolder();
    const fake = `apt-get() {
        log "apt-get $*"
        case "$*" in
        *--simulate*) printf 'Remv docker-ce [5:28]\\nRemv containerd.io [1.7]\\nInst containerd\\n' ;;
        install*) echo "E: Packages need to be removed but remove is disabled."; return 100 ;;
        esac
      }`;
    const { status, stderr } = bash(host(root, `${fake}\napt_install containerd=1.7.24-1`));
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /apt-get install containerd=1\.7\.24-1 would remove docker-ce containerd\.io from this host/,
    );
    for (const line of logOf(root).filter((line) => /apt-get install/.test(line) && !line.includes("--simulate"))) {
      expect(line).to.include("--no-remove");
    }
  });

  it("records those that were not there, before it installs them", () => {
    const root = temporaryFolder();
    write(`${root}/installed/curl`, "");
    const record = `${root}/var/lib/tailkube/packages.test`;
    const fake = 'apt-get() { cp "$TK_STATE/packages.test" "$ROOT/then"; }';
    bashOk(host(root, `${fake}\napt_install kubelet=1.36.3-* curl conntrack`));
    expect(readFileSync(`${root}/then`, "utf8")).to.equal("kubelet\nconntrack\n");
    write(`${root}/installed/kubelet`, "");
    bashOk(host(root, `${fake}\napt_install kubelet=1.36.3-* curl conntrack`));
    expect(readFileSync(record, "utf8")).to.equal("kubelet\nconntrack\n");
    bashOk(host(root, "clean_up_files"));
    expect(existsSync(record)).to.equal(false);
  });
});

describe("apt_refresh", () => {
  const locked = (times: number) => `sleep() { SECONDS=$((SECONDS + 60)); }
    apt-get() { log "$1"; [ "$(wc -l <"$ROOT/log")" -gt ${times} ] || { echo "E: Could not get lock /var/lib/apt/lists/lock."; return 100; }; }
    apt_refresh`;

  it("waits for a first boot's own update, and not for ever", () => {
    const root = temporaryFolder();
    bashOk(host(root, locked(2)));
    expect(logOf(root)).to.deep.equal(["update", "update", "update"]);
    const { status, stderr } = bash(host(temporaryFolder(), locked(100)));
    expect(status).to.equal(1);
    expect(stderr).to.match(/apt-get update failed: E: Could not get lock/);
  });
});

describe("apt_repository", () => {
  let home: string;
  const gpg = (...args: string[]) =>
    execFileSync("gpg", ["--homedir", home, "--batch", "--quiet", "--passphrase", "", ...args], {
      stdio: ["ignore", "pipe", "ignore"],
    });
  before(function () {
    this.timeout(60_000);
    home = mkdtempSync(`${tmpdir()}/tailkube-gpg-`);
    gpg("--quick-gen-key", "good", "ed25519", "sign", "0");
    gpg("--faked-system-time", "20200101T000000", "--quick-gen-key", "expired", "ed25519", "sign", "1d");
    for (const name of ["good", "expired"]) {
      gpg("--output", `${home}/${name}.gpg`, "--export", name);
      gpg("--armor", "--output", `${home}/${name}.asc`, "--export", name);
    }
    execFileSync("cp", [`${home}/good.gpg`, `${home}/truncated.gpg`]);
    truncateSync(`${home}/truncated.gpg`, 120);
  });
  after(() => {
    execFileSync("gpgconf", ["--homedir", home, "--kill", "all"]);
    rmSync(home, { recursive: true, force: true });
  });

  const uri = "https://pkgs.example.com/stable/debian";
  const ask = `apt_repository thing /etc/apt/keyrings/thing.gpg https://pkgs.example.com/key "deb [signed-by=/etc/apt/keyrings/thing.gpg] ${uri} bookworm main"; result`;
  const askIn = (root: string) => ask.replaceAll("/etc/apt", `${root}/etc/apt`);
  const keyOf = (root: string) => readFileSync(`${root}/etc/apt/keyrings/thing.gpg`);
  const serve = (root: string, name: string) => execFileSync("cp", [`${home}/${name}`, `${root}/served`]);
  const good = () => readFileSync(`${home}/good.gpg`);

  it("takes a key armoured or not, and asks for none while it has a valid one", () => {
    for (const name of ["good.asc", "good.gpg"]) {
      const root = temporaryFolder();
      serve(root, name);
      bashOk(host(root, askIn(root)));
      expect(keyOf(root)).to.deep.equal(good());
      bashOk(host(root, askIn(root)));
      expect(logOf(root).filter((line) => line.startsWith("curl"))).to.have.lengthOf(1);
    }
  });

  it("renews a key that is truncated or expired", () => {
    for (const name of ["truncated.gpg", "expired.gpg"]) {
      const root = temporaryFolder();
      execFileSync("install", ["-D", `${home}/${name}`, `${root}/etc/apt/keyrings/thing.gpg`]);
      serve(root, "good.asc");
      bashOk(host(root, askIn(root)));
      expect(keyOf(root), name).to.deep.equal(good());
    }
  });

  it("refuses an error page, a truncated and an expired key, and keeps none of them", () => {
    for (const name of ["truncated.gpg", "expired.gpg", "page"]) {
      const root = temporaryFolder();
      write(`${home}/page`, "<html>Captive portal</html>");
      serve(root, name);
      const { status, stderr } = bash(host(root, askIn(root)));
      expect(status, name).to.equal(1);
      expect(stderr).to.match(/https:\/\/pkgs\.example\.com\/key is no valid signing key/);
      expect(existsSync(`${root}/etc/apt`), name).to.equal(false);
    }
  });

  it("renews a key that apt rejects, also where apt-get ends well", () => {
    const root = temporaryFolder();
    serve(root, "good.asc");
    bashOk(host(root, askIn(root)));
    gpg("--yes", "--quick-gen-key", "newer", "ed25519", "sign", "0");
    gpg("--yes", "--output", `${root}/served`, "--export", "newer");
    const fake = `apt-get() {
      log "apt-get $*"
      cmp -s "$ROOT/served" "$ROOT/etc/apt/keyrings/thing.gpg" || echo "W: GPG error: ${uri} bookworm InRelease: NO_PUBKEY 0123"
    }`;
    bashOk(host(root, `${fake}\n${askIn(root)}; apt_refresh`));
    expect(keyOf(root)).to.deep.equal(readFileSync(`${root}/served`));
  });

  const lists: [string, string, string][] = [
    ["a list", "vendor.list", `# theirs\ndeb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] ${uri}/ bookworm main\n`],
    ["a list without options", "vendor.list", `deb ${uri} bookworm main # x\n`],
    [
      "a deb822 file",
      "vendor.sources",
      `Types: deb\nURIs: https://other.example.com\n  ${uri}\nSuites: bullseye bookworm\nComponents: main\nSigned-By: /usr/share/keyrings/x.gpg\n`,
    ],
  ];
  for (const [what, name, text] of lists) {
    it(`leaves a host that has the repository in ${what} as it is`, () => {
      const root = temporaryFolder();
      write(`${root}/etc/apt/sources.list.d/${name}`, text);
      const before = snapshot(`${root}/etc`);
      bashOk(host(root, askIn(root)));
      expect(snapshot(`${root}/etc`)).to.deep.equal(before);
      expect(logOf(root).map((line) => line.split(" ").slice(0, 2).join(" "))).to.deep.equal(["apt-get update"]);
    });
  }

  it("takes its own list back where the host has got one of its own since", () => {
    const root = temporaryFolder();
    serve(root, "good.asc");
    bashOk(host(root, askIn(root)));
    write(`${root}/etc/apt/sources.list.d/vendor.list`, lists[0]![2]);
    expect(bashOk(host(root, askIn(root)))).to.include("removed ");
    expect(existsSync(`${root}/etc/apt/sources.list.d/thing.list`)).to.equal(false);
  });

  it("adds its own beside other repositories, suites, comments and what is disabled", () => {
    const root = temporaryFolder();
    serve(root, "good.asc");
    write(
      `${root}/etc/apt/sources.list.d/vendor.list`,
      `#deb ${uri} bookworm main\ndeb ${uri} bullseye main\ndeb ${uri}-x bookworm main\n`,
    );
    write(
      `${root}/etc/apt/sources.list.d/off.sources`,
      `Enabled: no\nTypes: deb\nURIs: ${uri}\nSuites: bookworm\n\nTypes: deb\nURIs: ${uri}\nSuites: sid\n`,
    );
    bashOk(host(root, askIn(root)));
    expect(readFileSync(`${root}/etc/apt/sources.list.d/thing.list`, "utf8")).to.include(`${uri} bookworm main`);
  });
});
