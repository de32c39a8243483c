import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, lstatSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { parse, stringify } from "yaml";
import { kubeconfigFiles, mergeInto } from "../../../command/kubeconfig/file";
import { merged, MergeError, named } from "../../../command/kubeconfig/merge";
import { removeTemporaryFolders, temporaryFolder } from "../host/bash";

/** As kubeadm writes it. */
const ours = (ca = "b3Vycw==", key = "a2V5") =>
  stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      { name: "kubernetes", cluster: { server: "https://10.200.0.1:6443", "certificate-authority-data": ca } },
    ],
    users: [{ name: "kubernetes-admin", user: { "client-certificate-data": "Yw==", "client-key-data": key } }],
    contexts: [{ name: "admin@kubernetes", context: { cluster: "kubernetes", user: "kubernetes-admin" } }],
    "current-context": "admin@kubernetes",
  });

interface Named {
  name: string;
  [kind: string]: unknown;
}
interface Config {
  clusters: Named[];
  users: Named[];
  contexts: Named[];
  "current-context": string;
}
const read = (text: string) => parse(text) as Config;

const theirs = `# my clusters
apiVersion: v1
kind: Config
preferences: {}
clusters:
  - name: work # at work
    cluster: { server: "https://work:6443", certificate-authority-data: d29yaw== }
users:
  - name: me
    user: { token: secret }
contexts:
  - name: work
    context: { cluster: work, user: me, namespace: team }
current-context: work
`;

describe("tailkube kubeconfig", () => {
  afterEach(removeTemporaryFolders);

  it("prints a kubeconfig of the cluster's name", () => {
    const { clusters, users, contexts, ...rest } = read(named(ours(), "home"));
    expect([clusters[0]!.name, users[0]!.name, contexts[0]!.name]).to.deep.equal(["home", "home", "home"]);
    expect(rest["current-context"]).to.equal("home");
  });

  it("merges it beside others, which stay as they are, comments too", () => {
    const { text, replaced, current } = merged(theirs, ours(), { name: "home", use: false });
    expect({ replaced, current }).to.deep.equal({ replaced: false, current: "work" });
    expect(text).to.include("# my clusters").and.to.include("# at work");
    const before = read(theirs);
    const after = read(text);
    for (const kind of ["clusters", "users", "contexts"] as const) {
      expect(after[kind].slice(0, -1), kind).to.deep.equal(before[kind]);
      expect(after[kind].at(-1)!.name, kind).to.equal("home");
    }
    expect(merged(theirs, ours(), { name: "home", use: true }).current).to.equal("home");
  });

  it("replaces its own entries, with new keys, and keeps the context's namespace", () => {
    const once = merged(theirs, ours(), { name: "home", use: false }).text.replace(
      "cluster: home\n      user: home",
      "cluster: home\n      user: home\n      namespace: mine",
    );
    const { text, replaced } = merged(once, ours(undefined, "bmV3"), { name: "home", use: false });
    const { users, contexts, clusters } = read(text);
    expect(replaced).to.equal(true);
    expect(clusters).to.have.lengthOf(2);
    expect(users.at(-1)!.user).to.include({ "client-key-data": "bmV3" });
    expect(contexts.at(-1)!.context).to.deep.equal({ cluster: "home", user: "home", namespace: "mine" });
    expect(merged(text, ours(undefined, "bmV3"), { name: "home", use: false }).text).to.equal(text);
  });

  it("refuses names that are another cluster's, and says what to do", () => {
    const refuses = (text: string, name = "work") =>
      expect(() => merged(text, ours(), { name, use: false })).to.throw(
        MergeError,
        /--name.*kubectl config delete-context/,
      );
    refuses(theirs);
    refuses(theirs, "me");
    refuses(theirs.replace("- name: work\n    context", "- name: home\n    context"), "home");
    const shared = read(merged(theirs, ours(), { name: "home", use: false }).text);
    shared.contexts[0]!.context = { cluster: "work", user: "home" };
    refuses(stringify(shared), "home");
    expect(() => merged("- a list", ours(), { name: "home", use: false })).to.throw(MergeError);
    expect(() => merged("a: [", ours(), { name: "home", use: false })).to.throw(MergeError, "not YAML");
  });

  it("never loses an entry of others, whatever the file has", () => {
    const name = fc.constantFrom("home", "work", "a", "b", "c");
    const list = fc.uniqueArray(name);
    fc.assert(
      fc.property(
        list,
        list,
        fc.array(fc.tuple(name, name, name)),
        name,
        fc.boolean(),
        (clusters, users, contexts, own, use) => {
          const before = {
            clusters: clusters.map((one) => ({
              name: one,
              cluster: { server: one, "certificate-authority-data": one === "home" ? "b3Vycw==" : one },
            })),
            users: users.map((one) => ({ name: one, user: { token: one } })),
            contexts: [...new Map(contexts.map((one) => [one[0], one])).values()].map(([one, cluster, user]) => ({
              name: one,
              context: { cluster, user },
            })),
          };
          let after: Config;
          try {
            after = read(merged(stringify(before), ours(), { name: own, use }).text);
          } catch (error) {
            expect(error).to.be.instanceOf(MergeError);
            return;
          }
          // It merges only where its names are free, or its own.
          expect([undefined, "b3Vycw=="]).to.include(
            before.clusters.find((one) => one.name === own)?.cluster["certificate-authority-data"],
          );
          for (const kind of ["clusters", "users", "contexts"] as const) {
            expect(after[kind].filter((one) => one.name !== own)).to.deep.equal(
              before[kind].filter((one) => one.name !== own),
            );
            expect(after[kind].filter((one) => one.name === own)).to.have.lengthOf(1);
          }
          // Whatever used an entry of that name used this cluster's.
          for (const { name: other, context } of before.contexts) {
            if (other !== own && context.user === own) expect(context.cluster).to.equal(own);
          }
        },
      ),
    );
  });

  it("writes a new file for its owner alone, and leaves neither lock nor part", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "new/.kube/config");
    await mergeInto([file], ours(), { name: "home", use: false });
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    expect(readdirSync(join(folder, "new/.kube"))).to.deep.equal(["config"]);
    expect(read(readFileSync(file, "utf8"))["current-context"]).to.equal("home");
  });

  it("narrows the mode of a file that others may read, and follows a link", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "dotfiles"));
    writeFileSync(join(folder, "dotfiles/config"), theirs, { mode: 0o644 });
    symlinkSync("dotfiles/config", join(folder, "config"));
    await mergeInto([join(folder, "config")], ours(), { name: "home", use: false });
    expect(lstatSync(join(folder, "config")).isSymbolicLink()).to.equal(true);
    expect(statSync(join(folder, "dotfiles/config")).mode & 0o777).to.equal(0o600);
  });

  it("changes nothing when it refuses, or another program has the lock", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "config");
    writeFileSync(file, theirs);
    await mergeInto([file], ours(), { name: "work", use: false }).then(
      () => expect.fail("it merged"),
      (error: Error) => expect(error.message).to.include("Nothing was changed"),
    );
    writeFileSync(`${file}.lock`, "");
    await mergeInto([file], ours(), { name: "home", use: false }).then(
      () => expect.fail("it merged"),
      (error: Error) => expect(error.message).to.include("another program changes the file"),
    );
    expect(readFileSync(file, "utf8")).to.equal(theirs);
    expect(readdirSync(folder).sort()).to.deep.equal(["config", "config.lock"]);
  });

  it("uses the file of $KUBECONFIG that has its context, or else the first", async () => {
    expect(kubeconfigFiles({ KUBECONFIG: "/a::/b:/a" })).to.deep.equal(["/a", "/b"]);
    expect(kubeconfigFiles({ HOME: "/home/me" })).to.deep.equal(["/home/me/.kube/config"]);
    const folder = temporaryFolder();
    const [first, second] = [join(folder, "first"), join(folder, "second")];
    writeFileSync(first, theirs);
    writeFileSync(second, named(ours(), "home"));
    expect((await mergeInto([first, second], ours(), { name: "home", use: false })).file).to.equal(second);
    expect((await mergeInto([first, second], ours(), { name: "other", use: false })).file).to.equal(first);
  });
});
