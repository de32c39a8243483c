/** The pure parts: values, paths, differences, names, config, messages. */
import { expect } from "chai";
import { mkdirSync, writeFileSync } from "fs";
import { join } from "path";
import { loadProject, loadStackFile, resolveConfig } from "../../lab/rehearsal/config";
import { diffProps } from "../../lab/rehearsal/diff";
import { describeChange, Display, seconds } from "../../lab/rehearsal/display";
import { goalOf } from "../../lab/rehearsal/goal";
import { covers, formatPath, parsePath } from "../../lab/rehearsal/paths";
import { Redactor } from "../../lab/rehearsal/redact";
import { resourceMessages, Struct } from "../../lab/rehearsal/rpc/protocol";
import type { Crypter } from "../../lab/rehearsal/state/passphrase";
import { makeUrn, packageOf, parseProviderReference, urnType } from "../../lab/rehearsal/urn";
import { equal, Props, secret, UNKNOWN } from "../../lab/rehearsal/values";
import { temporaryFolder } from "./harness";

describe("rehearsal: property paths", () => {
  it("are read and written", () => {
    expect(parsePath('spec.ports[0]["a.b"].*')).to.deep.equal(["spec", "ports", 0, "a.b", "*"]);
    expect(parsePath("triggers[*]")).to.deep.equal(["triggers", "*"]);
    expect(formatPath(["spec", "ports", 0, "a.b"])).to.equal('spec.ports[0]["a.b"]');
    expect(() => parsePath("a[")).to.throw("no property path");
  });

  it("cover what they name and what that holds", () => {
    expect(covers(parsePath("triggers[*]"), ["triggers", 3])).to.equal(true);
    expect(covers(parsePath("triggers[*]"), ["triggers"])).to.equal(false);
    expect(covers(parsePath("spec"), ["spec", "replicas"])).to.equal(true);
    expect(covers(parsePath("spec.x"), ["spec", "replicas"])).to.equal(false);
  });
});

describe("rehearsal: differences", () => {
  const paths = (olds: Props, news: Props): string[] =>
    diffProps(olds, news).map(({ kind, path }) => `${kind} ${formatPath(path)}`);

  it("are found at the deepest path", () => {
    expect(paths({ a: { b: 1, c: 2 }, d: [1] }, { a: { b: 1, c: 3 }, d: [1, 2] })).to.deep.equal([
      "update a.c",
      "add d[1]",
    ]);
    expect(paths({ a: 1 }, {})).to.deep.equal(["delete a"]);
  });

  it("take null for absence, and secrecy for a difference", () => {
    expect(paths({ a: null, b: { c: null } }, { b: {} })).to.deep.equal([]);
    expect(paths({ a: "x" }, { a: secret("x") })).to.deep.equal(["update a"]);
    expect(paths({ a: secret({ b: 1 }) }, { a: secret({ b: 1 }) })).to.deep.equal([]);
    expect(equal(secret([1, { a: null }]), secret([1, {}]))).to.equal(true);
  });

  it("are described without secrets", () => {
    const change = (old: Props[string], now: Props[string]) =>
      describeChange({ path: ["x"], kind: "update", old, new: now, replace: false });
    expect(change("a", secret("b"))).to.equal('~ x: "a" => [secret]');
    expect(change({ p: secret("b") }, UNKNOWN)).to.equal('~ x: {"p":"[secret]"} => (known after up)');
    expect(change("a".repeat(500), "b")).to.have.length.lessThan(100);
  });
});

describe("rehearsal: names", () => {
  it("hold the types of the parents, but not the stack's", () => {
    const stack = makeUrn("dev", "p", "", "pulumi:pulumi:Stack", "p-dev");
    const parent = makeUrn("dev", "p", stack, "a:b:C", "parent");
    expect(parent).to.equal("urn:pulumi:dev::p::a:b:C::parent");
    const child = makeUrn("dev", "p", parent, "d:e:F", "child");
    expect(child).to.equal("urn:pulumi:dev::p::a:b:C$d:e:F::child");
    expect(urnType(child)).to.equal("d:e:F");
    expect(parseProviderReference(`${child}::id`)).to.deep.equal({ urn: child, id: "id" });
    expect(packageOf("pulumi:providers:kubernetes")).to.equal("kubernetes");
  });
});

describe("rehearsal: secrets in text", () => {
  it("are hidden as a whole, and key material line by line", () => {
    const key = "-----BEGIN KEY-----\nQUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=\n-----END KEY-----\n";
    const redactor = new Redactor({
      stdin: secret(`set -e\ntoken=1\n${key}`),
      password: secret("hunter22"),
      n: secret("1"),
    });
    expect(redactor.redact("login with hunter22 failed, 1 try")).to.equal("login with [secret] failed, 1 try");
    expect(redactor.redact("bad QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo= here")).to.equal("bad [secret] here");
    expect(redactor.redact("set -e")).to.equal("set -e");
  });
});

describe("rehearsal: options of a resource", () => {
  function request(): InstanceType<typeof resourceMessages.RegisterResourceRequest> {
    const result = new resourceMessages.RegisterResourceRequest();
    result.setType("command:local:Command");
    result.setName("x");
    result.setCustom(true);
    return result;
  }

  it("that are not performed are refused by name", () => {
    const timeouts = new resourceMessages.RegisterResourceRequest.CustomTimeouts();
    timeouts.setCreate("5m");
    const hooks = new resourceMessages.RegisterResourceRequest.ResourceHooksBinding();
    hooks.addBeforeCreate("hook");
    const refused: Record<string, (wanted: ReturnType<typeof request>) => void> = {
      import: (wanted) => wanted.setImportid("id"),
      "remote components": (wanted) => wanted.setRemote(true),
      customTimeouts: (wanted) => wanted.setCustomtimeouts(timeouts),
      hooks: (wanted) => wanted.setHooks(hooks),
      replaceWith: (wanted) => wanted.addReplaceWith("urn"),
      hideDiffs: (wanted) => wanted.addHidediffs("x"),
      pluginDownloadURL: (wanted) => wanted.setPlugindownloadurl("https://example.org"),
      "parameterized packages": (wanted) => wanted.setPackageref("ref"),
      envVarMappings: (wanted) => wanted.getEnvvarmappingsMap().set("A", "B"),
    };
    for (const [option, use] of Object.entries(refused)) {
      const wanted = request();
      use(wanted);
      expect(() => goalOf(wanted), option).to.throw(`the rehearsal engine does not support ${option}`);
    }
    expect(goalOf(request())).to.include({ name: "x", protect: undefined, deleteBeforeReplace: undefined });
  });

  it("may hold no assets", () => {
    const wanted = request();
    const asset = { "4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", text: "x" };
    wanted.setObject(Struct.fromJavaScript({ a: [asset] }));
    expect(() => goalOf(wanted)).to.throw('command:local:Command "x": a[0] is an asset');
  });
});

describe("rehearsal: config", () => {
  let folder: string;
  const crypter = { decrypt: (text: string) => `decrypted ${text}` } as Crypter;

  beforeEach(() => (folder = temporaryFolder()));

  function resolved(project: string, stack: string) {
    writeFileSync(join(folder, "Pulumi.yaml"), `name: p\nruntime: nodejs\n${project}`);
    writeFileSync(join(folder, "Pulumi.dev.yaml"), stack);
    mkdirSync(join(folder, "deep"), { recursive: true });
    const loaded = loadProject(join(folder, "deep"));
    return resolveConfig(loaded, loadStackFile(loaded, "dev"), crypter);
  }

  it("is text, whatever it was, with the project's defaults", () => {
    const project =
      "config:\n  a: {type: integer, default: 3}\n  b: {type: array, items: {type: string}}\n  c: {value: x}\n";
    const stack = "config:\n  p:b: [x, y]\n  p:d: {e: true}\n  other:f: false\n";
    expect(resolved(project, stack).values).to.deep.equal({
      "p:a": "3",
      "p:b": '["x","y"]',
      "p:c": "x",
      "p:d": '{"e":true}',
      "other:f": "false",
    });
  });

  it("with a secure value at any depth is secret", () => {
    const config = resolved("", "config:\n  p:a: {secure: v1}\n  p:b: {c: [{secure: v2}], d: 1}\n  p:e: 1\n");
    expect(config.secretKeys).to.deep.equal(["p:a", "p:b"]);
    expect(config.values).to.deep.equal({ "p:a": "decrypted v1", "p:b": '{"c":["decrypted v2"],"d":1}', "p:e": "1" });
  });

  it("of a wrong type, or missing, is refused by name", () => {
    const project = "config:\n  a: {type: boolean}\n";
    expect(() => resolved(project, "config: {'p:a': maybe}")).to.throw('"p:a" must be of type boolean');
    expect(() => resolved(project, "config: {}")).to.throw('missing configuration value "p:a"');
    expect(() => resolved("config:\n  a: {type: array, items: {type: integer}}\n", "config: {'p:a': [x]}")).to.throw(
      "array of integer",
    );
  });

  it("of other runtimes or secrets providers is refused", () => {
    writeFileSync(join(folder, "Pulumi.yaml"), "name: p\nruntime: python\n");
    expect(() => loadProject(folder)).to.throw('runtime "python" is not supported');
    expect(() => resolved("", "secretsprovider: awskms://x\n")).to.throw("only passphrase");
    expect(() => loadProject(temporaryFolder())).to.throw("no Pulumi.yaml");
  });
});

describe("rehearsal: display", () => {
  it("sums up what was done and repeats errors that are far back", () => {
    const lines: string[] = [];
    const display = new Display((line) => lines.push(line));
    display.error("cp1: it broke:\nbecause");
    for (let i = 0; i < 5; i++) display.line("…");
    display.counts.create = 2;
    display.summary("done", true);
    expect(lines).to.include("  cp1: it broke: because");
    expect(lines.at(-1)).to.match(/^FAILED: 2 created in \d+\.\ds$/);
  });

  it("writes durations for people", () => {
    expect([400, 12_345, 125_000].map(seconds)).to.deep.equal(["0.4s", "12.3s", "2m05s"]);
  });
});
