import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import type { RegistryMirror } from "../../../model/config";
import { hostsToml, registryLines } from "../../../components/kubernetes/registries";
import { scriptText } from "../../../components/hosts/script-text";
import { assignments, bash, removeTemporaryFolders, snapshot, temporaryFolder, withLibrary, write } from "./bash";

afterEach(removeTemporaryFolders);

const one: RegistryMirror = {
  name: "quay.io",
  endpoints: ["https://mirror.lan/v2/quay.io", "https://b.lan"],
  ca: "authority\n",
};
const password = 'pa"ss\\word';
const credentials = new Map([["mirror.lan", `puller:${password}`]]);
const folder = "etc/containerd/certs.d/quay.io";

/**
 * install_registries on a host below `root`. curl answers with this HTTP code, or ends with this status, and keeps what it was told on
 * stdin and in its command line.
 */
function run(
  root: string,
  registries: RegistryMirror[],
  { code = "200", status = 0, header = "", known = credentials } = {},
) {
  return bash(
    withLibrary(
      root,
      [
        scriptText("lib/software/registries.sh").replaceAll("/etc/containerd", `${root}/etc/containerd`),
        assignments({
          ROOT: root,
          TK_STATE: `${root}/var/lib/tailkube`,
          TK_RUN: `${root}/run/tailkube`,
          TK_REGISTRIES: registryLines({ packages: {}, registries }, known),
        }),
        'mkdir -p "$TK_RUN"',
        `curl() { cat >>"$ROOT/stdin"; echo "$*" >>"$ROOT/asked"; echo "curl: (${status}) it is so" >&2
          while [ "$1" != -D ]; do shift; done; echo '${header}' >"$2"; printf ${code}; return ${status}; }`,
        "install_registries; result",
      ].join("\n"),
      "runtime",
    ),
  );
}

describe("registries of a host", () => {
  it("have a file each, for root alone where it has a password, after a look at each endpoint", () => {
    const root = temporaryFolder();
    const { stderr, stdout } = run(root, [one]);
    expect(stderr).to.equal("");
    expect(JSON.parse(stdout)).to.deep.equal({
      changed: [`wrote ${root}/${folder}/ca.crt`, `wrote ${root}/${folder}/hosts.toml`],
    });
    const files = snapshot(`${root}/${folder}`);
    expect(files["ca.crt"]).to.equal("644 authority\n");
    expect(files["hosts.toml"]).to.equal(`600 ${hostsToml(one, credentials)}`);
    const asked = readFileSync(`${root}/asked`, "utf8").trim().split("\n");
    expect(asked.map((line) => line.split(" ").at(-1))).to.deep.equal(["https://mirror.lan/v2/", "https://b.lan/v2/"]);
    // The password goes by stdin, as curl reads it, to its own host alone.
    expect(asked.join()).to.not.include("puller");
    expect(readFileSync(`${root}/stdin`, "utf8")).to.equal('user = "puller:pa\\"ss\\\\word"\n');
  });

  it("are not asked again where nothing changes, so that a registry that is down holds up nothing", () => {
    const root = temporaryFolder();
    run(root, [one]);
    const { status, stdout } = run(root, [one], { status: 7 });
    expect({ status, stdout }).to.deep.equal({ status: 0, stdout: '{"changed":[]}\n' });
  });

  it("go when the config names them no more; what was there before comes back", () => {
    const root = temporaryFolder();
    write(`${root}/${folder}/hosts.toml`, "# theirs\n");
    run(root, [one, { name: "docker.io", endpoints: ["https://b.lan"] }]);
    expect(run(root, [{ name: "docker.io", endpoints: ["https://b.lan"] }]).stderr).to.equal("");
    expect(snapshot(`${root}/${folder}`)).to.deep.equal({ "hosts.toml": "644 # theirs\n" });
    expect(existsSync(`${root}/etc/containerd/certs.d/docker.io/hosts.toml`)).to.equal(true);
    run(root, []);
    expect(existsSync(`${root}/etc/containerd/certs.d/docker.io/hosts.toml`)).to.equal(false);
  });

  const none = new Map<string, string>();
  const wrong: [string, object, RegExp][] = [
    [
      "another authority",
      { status: 60, code: "000" },
      /mirrors\.registries\[0\] \(quay\.io\): the certificate of https:\/\/mirror\.lan\/v2\/quay\.io is not signed by the authorities in its caFile \(curl: \(60\) it is so\)\. Set caFile/,
    ],
    [
      "a wrong password",
      { code: "401" },
      /mirrors\.registries\[0\] \(quay\.io\): https:\/\/mirror\.lan\/v2\/quay\.io refuses the user and the password that registryCredentials has for mirror\.lan/,
    ],
    [
      "no password",
      { code: "401", known: none, header: "WWW-Authenticate: Basic realm=x" },
      /asks for a user and a password\. Set registryCredentials, with the line 'mirror\.lan USER:PASSWORD'/,
    ],
    [
      "no answer",
      { status: 7, code: "000" },
      /mirrors\.registries\[0\] \(quay\.io\): https:\/\/mirror\.lan\/v2\/quay\.io does not answer/,
    ],
    ["an error", { code: "503" }, /answers with an error \(HTTP 503\)/],
  ];
  for (const [what, options, line] of wrong) {
    it(`fail with ${what}, by name and with the cure, and leave nothing`, () => {
      const root = temporaryFolder();
      const { status, stderr } = run(root, [one], options);
      expect(status).to.equal(1);
      expect(stderr.trim().split("\n")).to.have.lengthOf(1);
      expect(stderr).to.match(line).and.not.include(password);
      expect(existsSync(`${root}/etc`)).to.equal(false);
    });
  }

  it("that give tokens to everybody need no password", () => {
    const options = { code: "401", known: none, header: 'WWW-Authenticate: Bearer realm="https://auth"' };
    expect(run(temporaryFolder(), [one], options).status).to.equal(0);
  });
});
