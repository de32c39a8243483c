/** The state: its format, its encryption, its file and its lock. */
import { expect } from "chai";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "fs";
import { join } from "path";
import { Snapshot } from "../../lab/rehearsal/snapshot";
import type { ResourceState, UntypedDeployment } from "../../lab/rehearsal/state/deployment";
import { Lock, LockedError } from "../../lab/rehearsal/state/lock";
import { Crypter } from "../../lab/rehearsal/state/passphrase";
import { StackState, StateStore } from "../../lab/rehearsal/state/store";
import { secret } from "../../lab/rehearsal/values";
import { PASSPHRASE, temporaryFolder } from "./harness";

/** Made by Pulumi's own passphrase secrets manager (passphrase "password"). */
const PULUMI_SALT = "v1:fozI5u6B030=:v1:F+6ZduKKd8G0/V7L:PGMFeIzwobWRKmEAzUdaQHqC5mMRIQ==";

describe("rehearsal: passphrase", () => {
  it("opens a salt that Pulumi made, and decrypts what it encrypts", async () => {
    const crypter = await Crypter.open("password", PULUMI_SALT);
    const ciphertext = crypter.encrypt("geheim ✓");
    expect(ciphertext).to.match(/^v1:[A-Za-z0-9+/=]{16}:[A-Za-z0-9+/=]+$/);
    expect(crypter.decrypt(ciphertext)).to.equal("geheim ✓");
    expect(crypter.encrypt("geheim ✓"), "a nonce is used once").to.not.equal(ciphertext);
  });

  it("refuses a wrong passphrase and a malformed salt", async () => {
    const messageOf = (work: Promise<unknown>) => work.then(String, (error: Error) => error.message);
    expect(await messageOf(Crypter.open("pass", PULUMI_SALT))).to.equal("incorrect passphrase");
    expect(await messageOf(Crypter.open("password", PULUMI_SALT.slice(3)))).to.contain("malformed");
  });

  it("makes salts that it opens itself", async () => {
    const { salt } = await Crypter.create("");
    expect(salt).to.match(/^v1:[A-Za-z0-9+/]{11}=:v1:[^:]{16}:[^:]+$/);
    await Crypter.open("", salt);
  });
});

describe("rehearsal: state file", () => {
  const resource: ResourceState = {
    urn: "urn:pulumi:test::project::command:local:Command::a",
    custom: true,
    id: "a1234",
    type: "command:local:Command",
    inputs: { create: "true", stdin: secret("pass word"), deep: { list: [secret({ key: [1, secret("inner")] })] } },
    outputs: { stdout: secret("token"), stderr: "" },
    dependencies: [],
  };
  let file: string;

  before(() => (process.env.PULUMI_CONFIG_PASSPHRASE = PASSPHRASE));
  after(() => delete process.env.PULUMI_CONFIG_PASSPHRASE);
  beforeEach(() => (file = join(temporaryFolder(), "deep", "test.json")));

  async function written(state: StackState): Promise<UntypedDeployment> {
    const store = new StateStore(file, undefined, "3.270.0");
    await store.read();
    await store.write(state);
    return JSON.parse(readFileSync(file, "utf8")) as UntypedDeployment;
  }

  it("is Pulumi's deployment format, with secrets encrypted", async () => {
    const { version, deployment } = await written({ resources: [resource], pendingOperations: [] });
    expect(version).to.equal(3);
    expect(deployment).to.have.keys("manifest", "secrets_providers", "resources", "metadata");
    expect(deployment.manifest.version).to.equal("v3.270.0");
    expect(deployment.manifest.magic, "the SHA-256 of the version").to.match(/^[0-9a-f]{64}$/);
    const [sealed] = deployment.resources!;
    expect(Object.keys(sealed!)).to.deep.equal(["urn", "custom", "id", "type", "inputs", "outputs"]);
    const stdin = sealed!.inputs!.stdin as Record<string, string>;
    expect(stdin).to.have.keys("4dabf18193072939515e22adb298388d", "ciphertext");
    expect(stdin["4dabf18193072939515e22adb298388d"]).to.equal("1b47061264138c4ac30d75fd1eb44270");
    const crypter = await Crypter.open(PASSPHRASE, deployment.secrets_providers!.state!.salt);
    expect(crypter.decrypt(stdin.ciphertext!), "a secret is encrypted JSON").to.equal('"pass word"');
    expect(readFileSync(file, "utf8")).to.not.contain("pass word");
    const { ciphertext } = (sealed!.inputs!.deep as { list: Record<string, string>[] }).list[0]!;
    expect(JSON.parse(crypter.decrypt(ciphertext!)), "a secret within a secret is marked as one").to.deep.equal({
      key: [1, { ...stdin, ciphertext: '"inner"' }],
    });
  });

  it("is read as it was written", async () => {
    const operation = { type: "creating" as const, resource };
    await written({ resources: [resource], pendingOperations: [operation] });
    const store = new StateStore(file, undefined, "3.270.0");
    const state = await store.read();
    const expected = { ...resource };
    delete expected.dependencies;
    expect(state).to.deep.equal({ resources: [expected], pendingOperations: [{ ...operation, resource: expected }] });
    const before = readFileSync(file, "utf8");
    await store.write(state);
    const ciphertexts = (text: string) => text.match(/"ciphertext": "[^"]+"/g);
    expect(ciphertexts(readFileSync(file, "utf8")), "unchanged secrets stay").to.deep.equal(ciphertexts(before));
  });

  it("leaves nothing beside it, and is replaced as a whole", async () => {
    await written({ resources: [], pendingOperations: [] });
    expect(readdirSync(join(file, ".."))).to.deep.equal(["test.json"]);
    // What a crash in the middle of a write leaves is not looked at.
    writeFileSync(`${file}.new`, '{"version": 3, "deploy');
    expect((await new StateStore(file, undefined, "3.270.0").read()).resources).to.deep.equal([]);
  });

  it("moves to the key of the stack's config file", async () => {
    await written({ resources: [resource], pendingOperations: [] });
    const { salt } = await Crypter.create(PASSPHRASE);
    const store = new StateStore(file, salt, "3.270.0");
    await store.write(await store.read());
    const moved = await new StateStore(file, salt, "3.270.0").read();
    expect(moved.resources[0]!.inputs).to.deep.equal(resource.inputs);
    expect(readFileSync(file, "utf8")).to.contain(salt);
  });

  it("of another secrets provider or version is refused", async () => {
    mkdirSync(join(file, ".."), { recursive: true });
    const messageOf = async (document: object): Promise<string> => {
      writeFileSync(file, JSON.stringify(document));
      return new StateStore(file, undefined, "3.270.0").read().then(String, (error: Error) => error.message);
    };
    expect(await messageOf({ version: 4, deployment: {} })).to.contain("version 4");
    const cloud = { version: 3, deployment: { secrets_providers: { type: "service" } } };
    expect(await messageOf(cloud)).to.contain('encrypted by "service"');
  });
});

describe("rehearsal: writes of the state", () => {
  it("are shared by operations that begin at once, and end before the operation goes on", async () => {
    const writes: string[][] = [];
    const store = {
      write: async ({ pendingOperations }: StackState) => {
        await new Promise((wake) => setTimeout(wake, 10));
        writes.push(pendingOperations.map(({ resource }) => resource.urn));
      },
    } as StateStore;
    const snapshot = new Snapshot([], store);
    const resource = (urn: string): ResourceState => ({ urn, custom: true, type: "t" });
    await Promise.all(["a", "b", "c"].map((urn) => snapshot.begin("creating", resource(urn))));
    expect(writes.at(-1)).to.deep.equal(["a", "b", "c"]);
    expect(writes.length).to.be.lessThan(3);
  });

  it("rename references to what was renamed", async () => {
    let written: ResourceState[] = [];
    const store = { write: async (state: StackState) => void (written = state.resources) } as StateStore;
    const urn = (name: string): string => `urn:pulumi:s::p::t::${name}`;
    const old: ResourceState = { urn: urn("old"), custom: true, type: "t", id: "1" };
    const user: ResourceState = {
      urn: urn("user"),
      custom: true,
      type: "t",
      parent: urn("old"),
      dependencies: [urn("old")],
      propertyDependencies: { x: [urn("old")] },
      provider: `${urn("old")}::1`,
      deletedWith: urn("old"),
    };
    const snapshot = new Snapshot([old, user], store);
    snapshot.put({ ...old, urn: urn("new") }, old);
    await snapshot.flush();
    expect(written[1]).to.deep.equal({
      ...user,
      parent: urn("new"),
      dependencies: [urn("new")],
      propertyDependencies: { x: [urn("new")] },
      provider: `${urn("new")}::1`,
      deletedWith: urn("new"),
    });
  });
});

describe("rehearsal: lock", () => {
  const quiet = (): void => undefined;

  it("is held by one process, and given back", () => {
    const folder = temporaryFolder();
    const lock = new Lock(join(folder, "lock"));
    lock.acquire("up", quiet);
    expect(() => lock.acquire("destroy", quiet)).to.throw(LockedError, `process ${process.pid} (up`);
    lock.release();
    expect(readdirSync(folder)).to.deep.equal([]);
    lock.acquire("destroy", quiet);
  });

  it("of a process that is gone is removed with a word, also when its ID is another's now", () => {
    const file = join(temporaryFolder(), "lock");
    const said: string[] = [];
    const stale = { command: "up", since: "2026-01-01T00:00:00Z" };
    for (const holder of [
      { ...stale, pid: 2 ** 22 + 1, start: "1" },
      { ...stale, pid: process.pid, start: "1" },
    ]) {
      writeFileSync(file, JSON.stringify(holder));
      new Lock(file).acquire("up", (message) => said.push(message));
    }
    expect(said).to.have.length(2);
    expect(said[0]).to.contain("which is gone");
  });
});
