import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  bashOk,
  partsOf,
  removeTemporaryFolders,
  snapshot,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";

afterEach(removeTemporaryFolders);

const environment = "HTTP_PROXY=http://u:p%24@proxy.lan:3128\nHTTPS_PROXY=http://u:p%24@proxy.lan:3128\nNO_PROXY=a,.b";

/** The library and proxy.sh on a host below `root`, with systemctl's calls in its log. */
function host(root: string, text: string, proxy = environment): string {
  return withLibrary(
    root,
    [
      scriptText("lib/units.sh"),
      scriptText("lib/software/proxy.sh").replaceAll("/etc/systemd", `${root}/etc/systemd`),
      assignments({
        ROOT: root,
        TK_PROXY: proxy,
        TK_STATE: `${root}/var/lib/tailkube`,
        TK_RUN: `${root}/run/tailkube`,
        TK_ETC: `${root}/etc/tailkube`,
      }),
      'mkdir -p "$TK_RUN"',
      `systemctl() { case "$1" in show) echo active ;; is-enabled) ;; *) echo "$*" >>"$ROOT/log" ;; esac; }`,
      text,
    ].join("\n"),
    "runtime",
  );
}

const unit = "containerd.service";
const set = `install_proxy ${unit} "$TK_PROXY"; unit_start ${unit}`;

describe("the proxy of single commands", () => {
  const seen = "env | grep -i _proxy | sort";

  it("is in the environment of those alone, in capital and in small letters", () => {
    const url = "http://u:p%24@proxy.lan:3128";
    expect(
      bashOk(host(temporaryFolder(), `through_proxy bash -c '${seen}'`))
        .trim()
        .split("\n"),
    ).to.have.members([
      `HTTP_PROXY=${url}`,
      `http_proxy=${url}`,
      `HTTPS_PROXY=${url}`,
      `https_proxy=${url}`,
      "NO_PROXY=a,.b",
      "no_proxy=a,.b",
    ]);
    expect(bashOk(host(temporaryFolder(), `through_proxy true; bash -c '${seen} || true'`))).to.equal("");
  });

  it("is none without one, and the command's status is its own", () => {
    expect(bashOk(host(temporaryFolder(), `through_proxy bash -c '${seen} || true'`, ""))).to.equal("");
    expect(bash(host(temporaryFolder(), "through_proxy bash -c 'exit 7'")).status).to.equal(7);
  });

  it("is that of apt and curl in all scripts", () => {
    const text = [
      "packages",
      "package-lists",
      "registries",
      "package-repositories",
      "containerd",
      "tailscale",
      "kubernetes-binaries",
    ]
      .map((name) => scriptText(`lib/software/${name}.sh`).replace(/^\s*#.*$/gm, ""))
      .join("\n");
    const calls = [...text.matchAll(/.*(?:apt-get (?:install|update)|curl -)/g)].map(([line]) => line);
    const direct = calls.filter((line) => !/through_proxy (?:apt-get|curl)|apt_removals\(\)|ask 60|fail "/.test(line));
    expect(calls.filter((line) => line.includes("through_proxy"))).to.have.length.at.least(6);
    expect(direct).to.deep.equal([]);
  });
});

describe("a login's own proxy", () => {
  const inherited = "export HTTPS_PROXY=http://x:1 https_proxy=http://x:1 no_proxy=y NO_PROXY=y all_proxy=http://x:1";

  it("is not kubeadm's, which would write it into the control plane's manifests", () => {
    const root = temporaryFolder();
    const script = withLibrary(
      root,
      [
        ...partsOf("lib/node/kubeadm.sh").map(scriptText),
        assignments({
          TK_RUN: `${root}/run`,
          KUBEADM_LOG: `${root}/log`,
          TK_KUBEADM_DOCUMENT: "x",
          TK_KUBEADM_SECONDS: "60",
        }),
        `mkdir -p "$TK_RUN"; write_through() { :; }; timeout() { env | grep -i _proxy >"${root}/seen" || true; }`,
        `${inherited}; run_kubeadm init; echo "$https_proxy"`,
      ].join("\n"),
    );
    expect(bashOk(script)).to.equal("http://x:1\n");
    expect(readFileSync(`${root}/seen`, "utf8")).to.equal("");
  });

  it("is not kubectl's", () => {
    const root = temporaryFolder();
    write(`${root}/bin/kubectl`, '#!/bin/bash\necho "$no_proxy $NO_PROXY $*"\n', 0o755);
    const script = withLibrary(
      root,
      [scriptText("lib/api.sh"), `PATH=${root}/bin:$PATH; ${inherited}; kubectl_node get nodes`].join("\n"),
    );
    expect(bashOk(script)).to.match(/^\* \* --request-timeout=10s .* get nodes\n$/);
  });
});

describe("the proxy of a unit", () => {
  it("is in a file for root alone, not where systemd shows it to everybody, and the unit is restarted once", () => {
    const root = temporaryFolder();
    bashOk(host(root, set));
    const files = snapshot(`${root}/etc`);
    expect(files["tailkube/containerd-proxy.env"]).to.equal(`600 ${environment}\n`);
    expect(files[`systemd/system/${unit}.d/60-tailkube-proxy.conf`]).to.equal(
      `644 [Service]\nEnvironmentFile=-${root}/etc/tailkube/containerd-proxy.env\n`,
    );
    bashOk(host(root, set));
    expect(readFileSync(`${root}/log`, "utf8")).to.equal(`daemon-reload\nrestart ${unit}\n`);
    expect(
      bashOk(host(root, `has_proxy ${unit} "$TK_PROXY" && echo same; has_proxy ${unit} "" || echo other`)),
    ).to.equal("same\nother\n");
  });

  it("goes when the config has none, with a restart, and leaves nothing", () => {
    const root = temporaryFolder();
    bashOk(host(root, set));
    expect(bash(host(root, `has_proxy ${unit} "$TK_PROXY"`, "")).status).to.equal(1);
    bashOk(host(root, set, ""));
    expect(Object.values(snapshot(`${root}/etc`)).filter((one) => !one.endsWith(" folder"))).to.deep.equal([]);
    expect(readFileSync(`${root}/log`, "utf8")).to.equal(`daemon-reload\nrestart ${unit}\n`.repeat(2));
    expect(bash(host(root, `has_proxy ${unit} "$TK_PROXY"`, "")).status).to.equal(0);
  });

  it("is not the wanted one while a restart is due, so a killed run is finished by the next", () => {
    const root = temporaryFolder();
    bashOk(host(root, `install_proxy ${unit} "$TK_PROXY"`));
    expect(bash(host(root, `has_proxy ${unit} "$TK_PROXY"`)).status).to.equal(1);
    bashOk(host(root, set));
    expect(bash(host(root, `has_proxy ${unit} "$TK_PROXY"`)).status).to.equal(0);
  });

  it("a file of somebody's at its place comes back, when the config has none and with the cleanup", () => {
    for (const undo of ['TK_PROXY=; install_proxy containerd.service ""', "clean_up_files"]) {
      const root = temporaryFolder();
      const path = `${root}/etc/systemd/system/${unit}.d/60-tailkube-proxy.conf`;
      write(path, "# theirs\n", 0o640);
      bashOk(host(root, set));
      expect(readFileSync(path, "utf8")).to.include("EnvironmentFile");
      bashOk(host(root, undo));
      expect(snapshot(`${root}/etc/systemd/system/${unit}.d`), undo).to.deep.equal({
        "60-tailkube-proxy.conf": "640 # theirs\n",
      });
      expect(existsSync(`${root}/etc/tailkube/containerd-proxy.env`), undo).to.equal(false);
    }
  });

  it("a host that never had one is not touched", () => {
    const root = temporaryFolder();
    expect(bashOk(host(root, `install_proxy ${unit} ""; result`, ""))).to.equal('{"changed":[]}\n');
    expect(existsSync(`${root}/etc`)).to.equal(false);
  });
});

describe("what a host finds out about the proxy", function () {
  this.timeout(30_000);
  const servers: ChildProcess[] = [];
  let open: number, closed: number, site: number;

  async function start(...args: string[]): Promise<number> {
    const server = spawn("node", [join(__dirname, "../../connect-proxy.cjs"), "127.0.0.1", "0", ...args], {
      env: { ...process.env, SILENT: "silent.invalid" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    servers.push(server);
    const [first] = (await once(server.stdout, "data")) as [Buffer];
    return Number(/listening .*:(\d+)/.exec(String(first))![1]);
  }

  before(async () => {
    [open, closed, site] = [
      await start("-", "denied.invalid"),
      await start("puller:pass word"),
      // A proxy answers a request that is not for a proxy, too.
      await start("x:y"),
    ];
  });
  after(() => servers.forEach((server) => server.kill()));

  const authorization = Buffer.from("puller:pass word").toString("base64");
  const ask = (text: string, password = "") =>
    bashOk(
      [
        assignments({ TK_PROXY_AUTHORIZATION: password }),
        scriptText("lib/software/proxy-check.sh"),
        `set -e; ${text} && echo yes || echo "no, \${PROXY_STOPS:-0}: $PROXY_SAID"`,
      ].join("\n"),
    ).trim();

  it("that it is there, or not", () => {
    expect(ask(`proxy_reachable 127.0.0.1 ${open}`)).to.equal("yes");
    expect(ask("proxy_reachable 127.0.0.1 1")).to.equal("no, 1: the connection is refused, or its name is unknown");
    expect(ask("proxy_reachable no-such-proxy.invalid 3128")).to.match(/^no, 1: /);
  });

  it("that it lets through, with its password by stdin alone", () => {
    expect(ask(`proxy_lets 127.0.0.1 ${open} https://127.0.0.1:${site}`)).to.equal("yes");
    expect(ask(`proxy_lets 127.0.0.1 ${closed} https://127.0.0.1:${site}`, authorization)).to.equal("yes");
    // Of an http URL, a 400 is the server's own answer.
    expect(ask(`proxy_lets 127.0.0.1 ${open} http://127.0.0.1:${site}`)).to.equal("yes");
    expect(ask(`proxy_lets 127.0.0.1 ${open} http://127.0.0.1:1`)).to.match(/^no, 0: it answers HTTP 502/);
    const root = temporaryFolder();
    const stand = `timeout() { echo "$*" >"${root}/argv"; cat >"${root}/stdin"; echo "HTTP/1.1 200 OK"; }`;
    expect(ask(`${stand}; proxy_lets 127.0.0.1 1 https://a.invalid`, authorization)).to.equal("yes");
    expect(readFileSync(`${root}/argv`, "utf8"))
      .to.include("127.0.0.1 1")
      .and.to.not.include(authorization);
    expect(readFileSync(`${root}/stdin`, "utf8")).to.include(`Proxy-Authorization: Basic ${authorization}\r\n`);
  });

  const refusals: [what: string, call: () => string, line: RegExp, password?: string][] = [
    ["a host that it denies", () => `${open} https://denied.invalid`, /^no, 0: it answers HTTP 403$/],
    [
      "a host that it cannot reach",
      () => `${open} https://127.0.0.1:1`,
      /^no, 0: it answers HTTP 502: it cannot reach/,
    ],
    [
      "a password that is missing",
      () => `${closed} https://a.invalid`,
      /^no, 1: .*\(HTTP 407\), and proxyCredentials is not set$/,
    ],
    ["a wrong password", () => `${closed} https://a.invalid`, /^no, 1: it refuses .* in proxyCredentials/, "eDp5"],
    [
      "one that tailscaled does not get",
      () => `${closed} https://a.invalid open`,
      /^no, 0: .*tailscaled would write to its log/,
      authorization,
    ],
  ];
  for (const [what, call, line, password] of refusals) {
    it(`what is in the way: ${what}`, () => {
      expect(ask(`proxy_lets 127.0.0.1 ${call()}`, password)).to.match(line);
    });
  }

  it("nothing within its time, and nothing that is no proxy", function () {
    expect(ask(`proxy_lets 127.0.0.1 ${open} https://silent.invalid`)).to.equal("no, 0: it does not answer within 8 s");
    const told = ask(`timeout() { printf 'SSH-2.0-x\\n'; }; proxy_lets 127.0.0.1 1 https://a.invalid`);
    expect(told).to.equal("no, 0: it does not answer as an HTTP proxy does");
  });

  it("one that is not there or refuses the password stops all further questions", () => {
    expect(ask(`{ proxy_reachable 127.0.0.1 1 || true; }; proxy_lets 127.0.0.1 1 https://a.invalid`)).to.equal("yes");
  });

  it("where the distribution's packages come from, unless apt has a proxy of its own or needs none", () => {
    const apt = (config: string, sites: string, noProxy: string) =>
      bashOk(
        [
          scriptText("lib/software/proxy-check.sh"),
          `apt-config() { printf '%s\\n' ${config}; }; apt-get() { printf '%s\\n' ${sites}; }`,
          `distribution_site '${noProxy}'`,
        ].join("\n"),
      );
    const sites = "file:/x http://deb.debian.org/debian https://other";
    expect(apt(`'Acquire::http::Proxy "";'`, sites, "localhost,.svc")).to.equal("http://deb.debian.org/debian");
    expect(apt(`'Acquire::http::Proxy "http://cacher:3142";'`, sites, "")).to.equal("");
    expect(apt("''", sites, "localhost,debian.org")).to.equal("");
    expect(apt("''", "file:/x", "")).to.equal("");
  });
});
