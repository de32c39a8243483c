import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { clearKilledRevision } from "../../../../../components/network/cilium/helm-records";

const urn = "urn:pulumi:dev::tailkube::kubernetes:helm.sh/v3:Release::cilium-release";
const release = { namespace: "kube-system", name: "cilium", urn };
const secrets = "/api/v1/namespaces/kube-system/secrets";
const mark = "/api/v1/namespaces/kube-system/configmaps/tailkube-release-cilium";

describe("Helm's records before a step of a release", function () {
  let server: Server;
  let kubeconfig: string;
  /** Status by revision. */
  let records: Record<number, string> = {};
  let noted: { urn: string; revision: string } | undefined;
  let refusals: number[] = [];
  let changes: string[] = [];

  before(() => {
    const folder = mkdtempSync(join(tmpdir(), "tailkube-test-"));
    const [key, crt] = [join(folder, "key"), join(folder, "crt")];
    const subject = ["-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
    execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...subject, "-keyout", key, "-out", crt],
      {
        stdio: "ignore",
      },
    );
    const [certificate, secretKey] = [readFileSync(crt), readFileSync(key)];
    rmSync(folder, { recursive: true });
    server = createServer(
      { cert: certificate, key: secretKey, ca: certificate, requestCert: true },
      (asked, answer) => {
        let body = "";
        asked.on("data", (data: Buffer) => (body += data.toString()));
        asked.on("end", () => {
          const say = (status: number, value: object) => answer.writeHead(status).end(JSON.stringify(value));
          const refusal = refusals.shift();
          const url = new URL(asked.url!, "https://api");
          if (refusal !== undefined) return say(refusal, { message: "not now" });
          if (asked.method === "GET" && url.pathname === secrets) {
            expect(url.searchParams.get("labelSelector")).to.equal("owner=helm,name=cilium");
            expect(asked.headers.accept).to.contain("as=PartialObjectMetadataList");
            const items = Object.entries(records).map(([version, status]) => ({
              metadata: {
                name: `sh.helm.release.v1.cilium.v${version}`,
                uid: `uid-${version}`,
                labels: { version, status },
              },
            }));
            return say(200, { items: items.length > 0 ? items.reverse() : null });
          }
          if (asked.method === "GET" && url.pathname === mark) {
            return noted === undefined ? say(404, { message: "not found" }) : say(200, { data: noted });
          }
          changes.push(
            `${asked.method} ${url.pathname.split("/").pop()} ` +
              (asked.method === "DELETE"
                ? (JSON.parse(body) as { preconditions: { uid: string } }).preconditions.uid
                : (JSON.parse(body) as { data: { revision: string } }).data.revision),
          );
          return say(200, {});
        });
      },
    );
    const encode = (data: Buffer) => data.toString("base64");
    return new Promise<void>((resolve) =>
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo;
        kubeconfig = stringify({
          clusters: [
            { cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority-data": encode(certificate) } },
          ],
          users: [{ user: { "client-certificate-data": encode(certificate), "client-key-data": encode(secretKey) } }],
        });
        resolve();
      }),
    );
  });
  after(() => server.close());
  beforeEach(() => {
    [records, noted, refusals, changes] = [{}, undefined, [], []];
  });

  const failure = (step: "create" | "update") =>
    clearKilledRevision(kubeconfig, step, release).then(
      () => expect.fail("it did not refuse"),
      (error: Error) => error.message,
    );

  it("are none of a new cluster's: the revision to come is noted", async () => {
    expect(await clearKilledRevision(kubeconfig, "create", release)).to.equal(undefined);
    expect(changes).to.deep.equal(["PATCH tailkube-release-cilium 1"]);
  });

  for (const status of ["pending-install", "deployed", "failed"]) {
    it(`are removed if a run was killed in the install and left it ${status}`, async () => {
      [records, noted] = [{ 1: status }, { urn, revision: "1" }];
      expect(await clearKilledRevision(kubeconfig, "create", release)).to.contain(
        `killed during Helm's install of cilium`,
      );
      expect(changes).to.deep.equal(["DELETE sh.helm.release.v1.cilium.v1 uid-1", "PATCH tailkube-release-cilium 1"]);
    });
  }

  it("are left alone, and the create refused, if this stack did not begin that install", async () => {
    for (const theirs of [undefined, { urn: "urn:another", revision: "1" }, { urn, revision: "2" }]) {
      [records, noted] = [{ 1: "deployed" }, theirs];
      const message = await failure("create");
      expect(message).to.contain("kube-system/cilium, revision 1, deployed, which this stack did not start");
      expect(message).to.contain("helm -n kube-system uninstall cilium");
    }
    // Ours, and somebody upgraded it.
    [records, noted] = [
      { 1: "superseded", 2: "deployed" },
      { urn, revision: "1" },
    ];
    expect(await failure("create")).to.contain("revision 2, deployed");
    expect(changes).to.deep.equal([]);
  });

  it("are removed with their history if the release left the state after upgrades", async () => {
    [records, noted] = [
      { 1: "superseded", 2: "superseded", 3: "deployed" },
      { urn, revision: "3" },
    ];
    expect(await clearKilledRevision(kubeconfig, "create", release)).to.contain("revision 3, deployed");
    expect(changes).to.deep.equal([
      ...[1, 2, 3].map((n) => `DELETE sh.helm.release.v1.cilium.v${n} uid-${n}`),
      "PATCH tailkube-release-cilium 1",
    ]);
  });

  it("are kept by an update, but for the newest if a run was killed in it", async () => {
    [records, noted] = [
      { 1: "superseded", 2: "deployed", 10: "pending-upgrade" },
      { urn, revision: "10" },
    ];
    expect(await clearKilledRevision(kubeconfig, "update", release)).to.contain("revision 10, pending-upgrade");
    expect(changes).to.deep.equal(["DELETE sh.helm.release.v1.cilium.v10 uid-10", "PATCH tailkube-release-cilium 3"]);
  });

  it("of a finished upgrade stay, also if somebody else made it", async () => {
    for (const mine of [undefined, { urn, revision: "2" }]) {
      [records, noted, changes] = [{ 1: "superseded", 2: "deployed" }, mine, []];
      expect(await clearKilledRevision(kubeconfig, "update", release)).to.equal(undefined);
      expect(changes).to.deep.equal(["PATCH tailkube-release-cilium 3"]);
    }
  });

  it("of an upgrade that somebody else has begun stop the update", async () => {
    [records, noted] = [
      { 1: "deployed", 2: "pending-upgrade" },
      { urn, revision: "1" },
    ];
    expect(await failure("update")).to.contain("helm -n kube-system rollback cilium");
    expect(changes).to.deep.equal([]);
  });

  it("are asked for again while the API gives no answer; a refusal is final", async () => {
    refusals = [503, 429];
    expect(await clearKilledRevision(kubeconfig, "create", release)).to.equal(undefined);
    [refusals, changes] = [[403], []];
    expect(await failure("create")).to.match(/^the API at https:.* rejected GET .*HTTP 403: not now$/);
    expect(changes).to.deep.equal([]);
  });
});
