import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { before as prepare } from "mocha";
import { approverScript, scriptText } from "../../../components/hosts/script-text";
import {
  type CertificateRequest,
  clientRequest,
  dns,
  asking,
  clientSigner,
  hostileClient,
  hostileServing,
  ip,
  namesExtension,
  nodeGroups,
  requestPem,
  servingRequest,
  servingSigner,
  subjectOf,
  utf8,
} from "../../lab/hostile-requests";
import { assignments, bash, libraryText, partsOf, removeTemporaryFolders, temporaryFolder, write } from "./bash";

/** As Go's crypto/x509 makes them, which kubelets use; `own` is w1's at 100.64.0.21, each other is hostile. */
const made = JSON.parse(readFileSync(join(__dirname, "certificate-requests.json"), "utf8")) as Record<string, string>;

const node = "w1";
const address = "100.64.0.21";
const honest = (name: string, of = node, at = address) => servingRequest(of, at, name);

type Waiting = CertificateRequest & { username?: string; groups?: string[]; created?: string; uid?: string };

const uid = (i: number) => `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`;

const objectOf = (
  { name, signerName, usages, body, username, groups, created, uid: id }: Waiting,
  i: number,
  defaults: { username: string; groups: string[] },
) => ({
  metadata: {
    name,
    uid: id ?? uid(i),
    resourceVersion: `${1000 + i}`,
    creationTimestamp: created ?? "2026-11-27T12:00:00Z",
  },
  spec: {
    signerName,
    username: username ?? defaults.username,
    groups: groups ?? defaults.groups,
    usages,
    request: Buffer.from(body).toString("base64"),
  },
  status: {},
});

let kubectl = "";
prepare(function () {
  this.timeout(180_000);
  kubectl = mkdtempSync(join(tmpdir(), "tailkube-kubectl-"));
  execFileSync("go", ["build", "-o", join(kubectl, "kubectl"), "."], { cwd: join(__dirname, "kubectl") });
});
after(() => rmSync(kubectl, { recursive: true, force: true }));
afterEach(removeTemporaryFolders);

interface Cluster {
  root: string;
  /** Runs the approver once. */
  run: () => { status: number | undefined; stderr: string };
  /** What has been approved so far, in this order. */
  approved: () => string[];
  calls: () => string[];
  said: () => string[];
}

function cluster(
  requests: Waiting[],
  declared: Record<string, string> | undefined = { w1: address, w2: "100.64.0.22" },
): Cluster {
  const root = temporaryFolder();
  const api = `${root}/api`;
  mkdirSync(`${root}/bin`, { recursive: true });
  mkdirSync(api);
  const objects = requests.map((one, i) => objectOf(one, i, { username: `system:node:${node}`, groups: nodeGroups }));
  writeFileSync(`${api}/requests.json`, JSON.stringify(objects));
  if (declared !== undefined) writeFileSync(`${api}/declared.json`, JSON.stringify(declared));
  write(`${root}/bin/logger`, `#!/bin/bash\nif [ "\${*: -1}" = tailkube ]; then cat; else echo "\${*: -1}"; fi >>${root}/said\n`, 0o755); // prettier-ignore
  const text = approverScript()
    .replace(
      /^export LC_ALL=C PATH=\S+/m,
      `export LC_ALL=C FAKE_KUBECTL=${api} PATH=${root}/bin:${kubectl}:/usr/bin:/bin`,
    )
    .replaceAll("/run/tailkube", `${root}/run`);
  const lines = (path: string) => (existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : []);
  return {
    root,
    run: () => {
      const { status, stderr } = bash(text);
      return { status, stderr };
    },
    calls: () => lines(`${api}/calls`),
    approved: () =>
      lines(`${api}/calls`).filter((line) => line.startsWith("approved ")).map((line) => line.slice(9)), // prettier-ignore
    said: () => lines(`${root}/said`),
  };
}

const well = { status: 0, stderr: "" };
/** All that may stand in a line of the log. */
const harmless = /^[\x20-\x7e]{1,700}$/;

describe("installed/approve-kubelet-serving-csrs.sh", function () {
  this.timeout(60_000);

  it("approves what a node may ask for: its own name and its declared address", () => {
    const [first, ...usages] = [
      ["digital signature", "server auth"],
      ["digital signature", "key encipherment", "server auth"],
      ["key encipherment", "digital signature", "server auth"],
    ].map((one, i) => ({ ...honest(`csr-${i}`), usages: one }));
    const go = { ...honest("csr-go"), body: Buffer.from(made.own!, "base64").toString() };
    // As openssl writes a subject.
    const text = subjectOf([["organisation", "system:nodes"], ["commonName", "system:node:w1"]], utf8); // prettier-ignore
    const body = requestPem({ subject: text, attributes: [asking(namesExtension(dns("w1"), ip(address)))] });
    for (const all of [[first!], usages, [go], [{ ...honest("csr-utf8"), body }]]) {
      const api = cluster(all);
      expect(api.run()).to.deep.equal(well);
      expect(api.approved()).to.have.members(all.map(({ name }) => name));
      expect(api.said()).to.deep.equal(all.map(() => "approved the serving certificate of w1"));
    }
  });

  it("has nothing to do where nothing waits, and asks for nothing more", () => {
    const api = cluster([]);
    expect(api.run()).to.deep.equal(well);
    expect(api.calls()).to.deep.equal(["get"]);
  });

  it("leaves hostile requests alone, and serves the honest one among them", () => {
    const hostile = hostileServing(node, address, "w2", "100.64.0.22");
    expect(hostile.length).to.be.greaterThan(70);
    const goMade = Object.keys(made).filter((name) => name !== "own").map((name) => ({ ...honest(`go-${name.toLowerCase()}`), body: Buffer.from(made[name]!, "base64").toString() })); // prettier-ignore
    const api = cluster([...hostile, ...goMade, honest("csr-1")]);
    expect(api.run()).to.deep.equal(well);
    expect(api.approved()).to.deep.equal(["csr-1"]);
    // Each that the field selector lets through is named once; nothing is printed that a requester could shape.
    const refused = [...hostile, ...goMade].filter(({ signerName }) => signerName === servingSigner);
    const said = api.said().filter((line) => line.includes("left alone"));
    expect(said).to.have.lengthOf(refused.length);
    for (const line of api.said()) expect(line).to.match(harmless);
    expect(existsSync("/run/owned")).to.equal(false);
    api.run();
    expect(api.said().filter((line) => line.includes("left alone"))).to.have.lengthOf(refused.length);
  });

  it("says why", () => {
    const [w1] = [honest("csr-1")];
    const wrong: [Partial<Waiting>, Record<string, string> | undefined, string][] = [
      [{ username: "system:serviceaccount:web:x" }, { w1: address }, "system:serviceaccount:web:x is left alone: its user is no node"],
      [{ username: "system:node:w2" }, { w1: address }, "system:node:w2 is left alone: its user is not a declared node"],
      [{ username: "system:node:w1\nx" }, { w1: address }, `(JSON in hex) ${Buffer.from("system:node:w1\\nx").toString("hex")} is left alone: its user is no node`],
      [{}, undefined, "system:node:w1 is left alone: its user is not a declared node"],
      [{}, {}, "system:node:w1 is left alone: its user is not a declared node"],
      [{ groups: ["system:authenticated"] }, { w1: address }, "its user is not in the group that it has to be in"],
      [{}, { w1: "100.64.0.99" }, "it does not ask for exactly w1 and 100.64.0.99"],
      [{}, { w1: "fd7a::1" }, "its user is not a declared node"],
      [{ usages: ["digital signature", "client auth"] }, { w1: address }, "its usages are not those of a kubelet"],
      [{ body: `${w1.body}${" ".repeat(4000)}` }, { w1: address }, "it is too large"],
      [{ name: "a b" }, { w1: address }, "certificate request (hex) 612062 of system:node:w1 is left alone: its name is not one that a kubelet gives"],
    ]; // prettier-ignore
    for (const [change, declared, why] of wrong) {
      const api = cluster([{ ...w1, ...change }], declared ?? undefined);
      if (declared === undefined) rmSync(`${api.root}/api/declared.json`);
      expect(api.run()).to.deep.equal(well);
      expect(api.approved()).to.deep.equal([]);
      expect(api.said().join("\n")).to.contain(why);
    }
  });

  it("approves no object but the one that it has read again", () => {
    const hostile = hostileServing(node, address, "w2", "100.64.0.22").find(({ kind }) => kind === "the endpoint")!;
    const swaps: [string, Waiting[]][] = [
      ["another object of this name", [{ ...honest("csr-1"), uid: uid(99) }]],
      ["another content", [{ ...hostile, name: "csr-1" }]],
      ["another user", [{ ...honest("csr-1"), username: "system:node:w2" }]],
      ["none", []],
    ];
    for (const [what, later] of swaps) {
      const api = cluster([honest("csr-1")]);
      const objects = later.map((one) => objectOf(one, 0, { username: "system:node:w1", groups: nodeGroups }));
      writeFileSync(`${api.root}/api/swap.json`, JSON.stringify(objects));
      expect(api.run(), what).to.deep.equal(well);
      expect(api.approved(), what).to.deep.equal([]);
      expect(
        api.calls().some((line) => line.startsWith("replace")),
        what,
      ).to.equal(false);
    }
  });

  it("names the version of the object to the API, which refuses another one", () => {
    const api = cluster([honest("csr-1")]);
    const edited = join(api.root, "bin/kubectl");
    // Between the second look and the approval the object is written.
    write(edited, `#!/bin/bash\ncase "$*" in *replace*) sed -i 's/"resourceVersion":"1000"/"resourceVersion":"1001"/' ${api.root}/api/requests.json ;; esac\nexec ${kubectl}/kubectl "$@"\n`, 0o755); // prettier-ignore
    const { status, stderr } = api.run();
    expect(api.approved()).to.deep.equal([]);
    expect(status).to.equal(1);
    expect(stderr).to.match(/no answer from the API to the question to approve csr-1/);
  });

  it("fails where the API does not answer, and says what it asked", () => {
    const questions: [string, RegExp][] = [
      ["fieldSelector", /no answer from the API to the question which certificate requests wait.*request timed out/],
      ["get configmap", /no answer from the API to the question which nodes are declared.*request timed out/],
      ["--ignore-not-found -o go-template={{define", /no answer from the API to the question to approve csr-1/],
      ["replace", /no answer from the API to the question to approve csr-1/],
    ];
    for (const [fails, message] of questions) {
      const api = cluster([honest("csr-1")]);
      writeFileSync(`${api.root}/api/fails`, fails);
      const { status, stderr } = api.run();
      expect(status, fails).to.equal(1);
      expect(stderr).to.match(message);
      expect(api.approved(), fails).to.deep.equal([]);
      rmSync(`${api.root}/api/fails`);
      expect(api.run()).to.deep.equal(well);
      expect(api.approved()).to.deep.equal(["csr-1"]);
    }
  });

  it("serves each node before one has its second turn, and the newest request of each first", () => {
    const many = Array.from({ length: 50 }, (_, i) => ({
      ...honest(`a-${String(i).padStart(2, "0")}`),
      created: `2026-11-27T12:00:${String(i).padStart(2, "0")}Z`,
    }));
    const other = { ...honest("z", "w2", "100.64.0.22"), username: "system:node:w2", created: "2026-11-27T11:00:00Z" };
    const api = cluster([...many, other]);
    expect(api.run()).to.deep.equal(well);
    expect(api.approved()).to.deep.equal(["a-49", "z", "a-48", "a-47"]);
    api.run();
    expect(api.approved().slice(4)).to.deep.equal(["a-46", "a-45", "a-44"]);
  });

  it("1000 hostile requests cost no process each, hold up no honest one, and fill neither log nor memory", () => {
    const kinds = hostileServing(node, address, "w2", "100.64.0.22").filter(
      ({ name, signerName, body }) => /^hostile-/.test(name) && signerName === servingSigner && body.length < 5000,
    ); // prettier-ignore
    const junk = Array.from({ length: 1000 }, (_, i) => ({ ...kinds[i % kinds.length]!, name: `junk-${i}` }));
    const large = { ...kinds[0]!, body: "x".repeat(1_000_000) };
    const api = cluster([
      ...junk,
      ...Array.from({ length: 10 }, (_, i) => ({ ...large, name: `large-${i}` })),
      honest("zz"),
    ]);
    const start = Date.now();
    expect(api.run()).to.deep.equal(well);
    console.log(`      ${((Date.now() - start) / 1000).toFixed(1)} s`);
    expect(api.approved()).to.deep.equal(["zz"]);
    // The list, the declared nodes, the second look, the approval.
    expect(api.calls().filter((line) => !line.startsWith("approved"))).to.have.lengthOf(4);
    const left = () => api.said().filter((line) => /^certificate request .* is left alone: /.test(line));
    expect(left()).to.have.lengthOf(200);
    expect(api.said().filter((line) => /^810 more certificate requests are left alone/.test(line))).to.have.lengthOf(1);
    for (let i = 0; i < 5; i++) api.run();
    expect(left()).to.have.lengthOf(1010);
    api.run();
    expect(left()).to.have.lengthOf(1010);
    const remembered = () => readFileSync(`${api.root}/run/left-alone`, "utf8").trimEnd().split("\n").length;
    expect(remembered()).to.equal(1010);
    // What is gone is forgotten.
    const rest = JSON.parse(readFileSync(`${api.root}/api/requests.json`, "utf8")) as unknown[];
    writeFileSync(`${api.root}/api/requests.json`, JSON.stringify(rest.slice(0, 3)));
    api.run();
    expect(remembered()).to.equal(3);
    writeFileSync(`${api.root}/api/requests.json`, "[]");
    api.run();
    expect(existsSync(`${api.root}/run/left-alone`)).to.equal(false);
  });

  it("of arbitrary users, names, usages and bodies none is approved", () => {
    const any = fc.oneof(
      fc.string({ unit: "binary", maxLength: 40 }),
      fc.stringMatching(/^(system:node:)?[a-z0-9 \n|"{}-]{0,12}$/),
      fc.constantFrom("system:node:w1", "w1", "", "\n", "r|", "d|7731|"),
    );
    const text = fc.array(any, { maxLength: 3 }).map((parts) => parts.join(""));
    const own = honest("");
    const der = Buffer.from(own.body.split("\n").slice(1, -2).join(""), "base64");
    // Where nothing but the key, its curve and the signature stands, any byte counts.
    const spki = der.indexOf(Buffer.from("3059301306072a8648ce3d0201", "hex"));
    const attributes = der.indexOf(Buffer.from("06092a864886f70d01090e", "hex")) - 4;
    const body = fc.oneof(
      text,
      text.map((t) => `${own.body}${t || " "}`),
      text.map((t) => `${t || " "}${own.body}`),
      fc.tuple(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => {
        const spot = at >= spki + 2 && at < attributes ? 10 : at >= attributes + 41 ? 11 : at;
        const changed = Buffer.from(der);
        changed[spot]! ^= change;
        return `-----BEGIN CERTIFICATE REQUEST-----\n${changed
          .toString("base64")
          .match(/.{1,64}/g)!
          .join("\n")}\n-----END CERTIFICATE REQUEST-----\n`;
      }),
    );
    const one = fc.oneof(
      fc.record({ username: text.filter((t) => t !== "system:node:w1") }),
      fc.record({ name: text.filter((t) => !/^[a-z0-9][a-z0-9.-]*$/.test(t)) }),
      fc.record({ usages: fc.array(text, { maxLength: 4 }) }),
      fc.record({ groups: fc.array(text.filter((t) => t !== "system:nodes"), { maxLength: 3 }) }), // prettier-ignore
      fc.record({ body }),
    );
    fc.assert(
      fc.property(fc.array(one, { minLength: 150, maxLength: 200 }), (all) => {
        const api = cluster([...all.map((change, i) => ({ ...own, name: `x-${i}`, ...change })), honest("honest")]);
        expect(api.run()).to.deep.equal(well);
        expect(api.approved()).to.deep.equal(["honest"]);
        for (const line of api.said()) expect(line).to.match(harmless);
      }),
      { numRuns: 4, endOnFailure: true },
    );
  });
});

describe("the approver's unit", () => {
  const unit = () =>
    bash(`${scriptText("lib/security/approve-kubelet-csrs-timer.sh")}\napprover_unit; approver_timer`).stdout;

  it("fails for all to see when the API does not answer, and is started again each minute whatever became of it", () => {
    expect(unit()).to.not.match(/SuccessExitStatus|StandardError|StandardOutput|^ExecStart=-/m);
    expect(unit()).to.match(/^OnUnitActiveSec=60$/m);
    expect(unit()).to.match(/^TimeoutStartSec=300$/m);
  });

  it("is one text that bash reads, with what it shares before it", () => {
    const text = approverScript();
    expect(text).to.match(/^#!\/bin\/bash\n/);
    expect(text.match(/^# shellcheck shell=bash$/gm)).to.equal(null);
    expect(bash(`set -n\n${text}`)).to.deep.equal({ stdout: "", stderr: "", status: 0 });
  });
});

describe("requests for a node's identity", function () {
  this.timeout(60_000);

  /** What the admission of w1 by the token abcdef approves. */
  function admitted(requests: Waiting[]): { approved: string[]; refused: number; status: number | undefined } {
    const root = temporaryFolder();
    const objects = requests.map((one, i) => {
      const username = "system:bootstrap:abcdef";
      return objectOf(one, i, { username, groups: ["system:bootstrappers", "system:bootstrappers:tailkube"] });
    });
    writeFileSync(`${root}/requests.json`, JSON.stringify(objects));
    const { status, stdout, stderr } = bash(
      [
        "set -euo pipefail",
        assignments({ ROOT: root }),
        `export LC_ALL=C FAKE_KUBECTL=${root} PATH=${kubectl}:/usr/bin:/bin`,
        'kubectl_admin() { kubectl "$@"; }',
        scriptText("lib/security/approve-kubelet-csrs.sh"),
        'hex_text w1; declared=$HEX; hex_text abcdef; declared="d|$declared|$HEX"',
        `serve_requests client "$declared" "$(waiting_requests ${clientSigner})"`,
        'echo "${#REFUSED[@]}"; printf "%s\\n" "${APPROVED[@]}"',
      ].join("\n"),
    );
    expect(stderr).to.equal("");
    const calls = existsSync(`${root}/calls`) ? readFileSync(`${root}/calls`, "utf8") : "";
    return {
      approved: [...calls.matchAll(/^approved (.*)$/gm)].map((match) => match[1]!),
      refused: Number(stdout.split("\n")[0]),
      status,
    };
  }

  it("the one of the node that is being admitted is approved, and no other", () => {
    const hostile = hostileClient(node, address, "w2");
    const { approved, refused, status } = admitted([...hostile, clientRequest(node, "node-csr-1")]);
    expect({ approved, status }).to.deep.equal({ approved: ["node-csr-1"], status: 0 });
    expect(refused).to.equal(hostile.filter(({ signerName }) => signerName === clientSigner).length);
  });
});

describe("what joiners say", function () {
  this.timeout(60_000);

  /** Whose Nodes the admission of w1 (aaaaaa) and w2 (bbbbbb), whose Nodes have their marks, removes; and w2's beat. */
  function heard(...data: { member?: string; beat?: string; more?: string }[]) {
    const root = temporaryFolder();
    const items = data.map((one, i) => ({ metadata: { name: `tailkube-member-${"ab"[i]!.repeat(6)}` }, data: one }));
    writeFileSync(`${root}/configmaps.json`, JSON.stringify(items));
    const { status, stdout, stderr } = bash(
      [
        libraryText(),
        ...partsOf("admit").map(scriptText),
        "set -euo pipefail",
        assignments({
          TK_NODE: "cp1",
          TK_STAGE: "admit",
          TK_RUN: root,
          TK_JOINER_ADDRESSES: "w1=100.64.0.21 w2=100.64.0.22",
          TK_TOKENS: "w1=aaaaaa.0123456789abcdef w2=bbbbbb.0123456789abcdef",
        }),
        `export FAKE_KUBECTL=${root} PATH=${kubectl}:/usr/bin:/bin`,
        'kubectl_admin() { kubectl "$@"; }',
        'forget_node() { echo "removed $1"; }; declare_nodes() { :; }',
        "WAITING=(w1 w2) UNSURE=(w1 w2); declare -A BEATS=() HEARD=()",
        'hear_joiners; serve_former_members; who_is_silent; echo "beat=${BEATS[w2]:-}"',
      ].join("\n"),
    );
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
    return stdout.trimEnd().split("\n");
  }
  const hex = (text: string) => Buffer.from(text).toString("hex");

  it("counts for themselves, in the words of a join", () => {
    expect(heard({ member: "unknown" }, { member: "no" })).to.deep.equal(["removed w2", "beat="]);
    expect(heard({ member: "no", beat: "1764340000" }, { member: "unknown", beat: "1764340010" })).to.deep.equal([
      "removed w1",
      `beat=${hex("1764340010")}`,
    ]);
  });

  it("never counts for another, whatever they write", () => {
    const forged = [
      "no,1 tailkube-member-bbbbbb=no,1",
      " tailkube-member-bbbbbb=no,",
      "unknown,\ntailkube-member-bbbbbb=no,7 ",
      "{{end}} tailkube-member-bbbbbb=no,",
      "no\u00a0tailkube-member-bbbbbb=no,",
    ];
    for (const one of forged) {
      for (const data of [
        { member: one },
        { beat: one },
        { member: one, beat: one, more: one },
        { member: one.repeat(1000) },
      ]) {
        expect(heard(data, { member: "unknown" }), JSON.stringify(data).slice(0, 200)).to.deep.equal(["beat="]);
      }
    }
  });
});
