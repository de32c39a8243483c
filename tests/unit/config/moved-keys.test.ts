import { expect } from "chai";
import * as fc from "fast-check";
import { misplacedSecrets, secretFiles } from "../../../config/schema/secrets";
import { stackSchema, structuredKeys } from "../../../config/schema/stack";
import { allSections } from "../../../docs/generate";
import { ConfigError } from "../../../model/messages";
import { byTodaysKeys, renamedKeys } from "../../../model/renamed-keys";
import { authKey, load } from "./fixtures";

function linesOf(changes: Record<string, unknown>): readonly string[] {
  try {
    load(changes);
    return [];
  } catch (error) {
    expect(error).to.be.instanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
}

const known = allSections().flatMap(({ fields }) => fields.map(({ path }) => path));
const line = (was: string) => `${was}: this key is now ${renamedKeys[was]}. Move its value there.`;
// What the old keys held, as the engine hands it over.
const oldValue = fc.constantFrom("10.1.2.3", "7", "true", "tag:x", "{", authKey, "[1]");

describe("a key that has been renamed", () => {
  it("has a place in the schema today, and its old name is none", () => {
    expect(known).to.include.members(Object.values(renamedKeys));
    const still = Object.keys(renamedKeys).filter((was) => was in stackSchema.shape);
    expect(still).to.deep.equal(["endpoint"]);
    expect(structuredKeys.has("endpoint")).to.equal(true);
    expect(new Set(Object.values(renamedKeys)).size).to.equal(Object.keys(renamedKeys).length);
  });

  for (const was of Object.keys(renamedKeys)) {
    it(`${was} is said in one line with its path of today`, () => {
      expect(linesOf({ [was]: "10.1.2.3" })).to.deep.equal([line(was)]);
    });
  }

  it("is said beside all others and beside other errors, whatever it holds, which is not quoted", () => {
    const some = fc.uniqueArray(fc.tuple(fc.constantFrom(...Object.keys(renamedKeys)), oldValue), {
      minLength: 1,
      selector: ([was]) => was,
    });
    fc.assert(
      fc.property(some, (all) => {
        const lines = linesOf({ ...Object.fromEntries(all), checks: "maybe" });
        expect(lines).to.have.members([
          ...all.map(([was]) => line(was)),
          'checks: "maybe" is invalid. Allowed: true or false. Correct it in the stack\'s config.',
        ]);
      }),
    );
  });

  it("leaves nothing missing that its value would have been", () => {
    const lan = { nodeNetwork: "lan", nodeCidr: "192.0.2.0/24", endpoint: "192.0.2.9", tailnetAuthKey: undefined };
    expect(linesOf(lan)).to.have.members([line("nodeCidr"), line("endpoint")]);
    expect(linesOf({ sshPrivateKey: undefined, sshPrivateKeyFile: "id" })).to.deep.equal([line("sshPrivateKeyFile")]);
  });

  it("is meant by a mistyped one", () => {
    expect(linesOf({ tailnetMTU2: "1400" })[0]).to.match(
      /^tailnetMTU2: there is no such key\. .* Did you mean tailnet\.mtu\?$/,
    );
    expect(linesOf({ tailnet: { mtuu: 1400 } })[0]).to.match(
      /^tailnet\.mtuu: there is no such key\. Allowed: loginServer, .* Did you mean mtu\?$/,
    );
  });

  it("is read in what an older program has left", () => {
    expect(byTodaysKeys({ podCidr: "a", bundle: "b", "network.podRouting": "c" })).to.deep.equal({
      "network.podCidr": "a",
      bundle: "b",
      "network.podRouting": "c",
    });
  });
});

describe("a key of a group", () => {
  it("with a whole name of its own is one that was set without --path", () => {
    expect(linesOf({ "tailnet.mtu": "1400" })).to.deep.equal([
      '["tailnet.mtu"]: it was set without --path, so it is not the key in tailnet. Remove it (pulumi config rm tailnet.mtu), and set it with ' +
        "--path: pulumi config set --path tailnet.mtu VALUE.",
    ]);
  });

  it("counts as not set where it is empty or nothing", () => {
    const empty = { tag: "", controlPlaneTag: null, authKeyFile: "" };
    expect(load({ tailnet: empty, lan: { cidr: "" } }).config).to.deep.equal(load().config);
    expect(load({ mirrors: { registryCredentialsFile: "" } }).secrets).to.deep.equal(load().secrets);
  });

  it("takes a date of digits alone, which YAML reads as a number", () => {
    expect(load({ kubernetes: { certificateRenewal: 20261128 } }).config.certificateRenewal).to.equal("20261128");
  });

  it("is told by its path where it has the wrong type", () => {
    expect(
      linesOf({ kubernetes: { version: 1.37 }, ssh: { privateKeyFile: 5 }, tailnet: "x", lan: [] }),
    ).to.have.members([
      "kubernetes.version: 1.37 is invalid. Allowed: a version without v, 1.35.0 or newer, such as 1.37.2. Correct it in the stack's config.",
      "ssh.privateKeyFile: 5 is invalid. Allowed: the path of a file on this machine. Correct it in the stack's config.",
      "tailnet: it is not valid JSON. Allowed: a list or an object, as YAML in the stack's file. Correct it there.",
      "lan: [] is invalid. Allowed: an object such as { cidr: 192.168.1.0/24 }. Correct it in the stack's config.",
    ]);
  });
});

describe("a secret", () => {
  it("has a key of its own, and one for its file in a group", () => {
    expect(Object.keys(secretFiles).filter((name) => structuredKeys.has(name))).to.deep.equal([]);
    expect(known).to.include.members([
      ...Object.keys(secretFiles),
      ...Object.values(secretFiles).map((path) => path.join(".")),
    ]);
  });

  for (const [was, now] of misplacedSecrets) {
    it(`is said to be none of a group: ${was}`, () => {
      const [group, name] = was.split(".") as [string, string];
      const told = `a secret cannot be in a group. Set it as ${now} (pulumi config set --secret ${now}), and remove it here.`;
      expect(linesOf({ [now]: undefined, [group]: { [name]: "hush" } })).to.deep.equal([`${was}: ${told}`]);
      expect(linesOf({ [now]: undefined, [was]: "hush" })).to.deep.equal([`["${was}"]: ${told}`]);
    });
  }

  it("in plain in a group is said to be one, too, by its looks", () => {
    const inPlain = () => load({ tailnetAuthKey: undefined, tailnet: { authKey } }, {}, undefined, ["tailnet"]);
    expect(inPlain)
      .to.throw(ConfigError, "there are 2 problems")
      .with.property("message")
      .that.includes("tailnet.authKey: it contains an unencrypted secret (not shown).")
      .and.includes("tailnet.authKey: a secret cannot be in a group.")
      .and.not.includes(authKey);
  });
});
