/** A key that the program accepts, but that changes nothing, would promise something: each key has an effect. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { sectionsOf } from "../../docs/sections";
import { hostProfileSchema } from "../../config/schema/host-profile";
import { stackSchema } from "../../config/schema/stack";
import type { Values } from "../../model/merge";
import { load, minimal, problemsOf } from "../unit/config/fixtures";
import { placesTried, someOf } from "../unit/samples";
import { keyPair } from "../unit/components/hosts/ec2/fixtures";
import { type Effect, effects, files, withoutEffect } from "./effects";
import { type Run, runProgram } from "./program";

/** Keys with a value of their own, not an object or a list of further keys. */
function leaves(): string[] {
  const stack = sectionsOf(stackSchema);
  const profile = sectionsOf(hostProfileSchema);
  const below = (paths: readonly string[], path: string) =>
    paths.some((one) => one.startsWith(`${path}.`) || one.startsWith(`${path}[`));
  const of = (sections: typeof stack) => {
    const paths = sections.map(({ path }) => path);
    return sections.flatMap(({ fields }) =>
      fields.map(({ path }) => path).filter((path) => !paths.includes(path) && !below(paths, path)),
    );
  };
  return [...of(stack), ...of(profile).map((path) => `hostProfile:${path}`)];
}

/** A copy of a value in which the one at a path is another; undefined removes it. */
function changed(value: unknown, [part, ...rest]: readonly (string | number)[], to: unknown): unknown {
  if (part === undefined) return to;
  const inner = changed((value as Record<string | number, unknown> | undefined)?.[part], rest, to);
  if (typeof part === "number") return ((value ?? []) as unknown[]).map((one, i) => (i === part ? inner : one));
  return { ...(value as object | undefined), [part]: inner };
}

/** The key's place in a config; only the outermost list has a position other than the first. */
function placeOf({ key, at = 0 }: Effect): (string | number)[] {
  let position = at;
  return key
    .replace(/\[(ssh|ec2)\]/, "")
    .split(".")
    .flatMap((part) => {
      if (!part.endsWith("[]")) return [part];
      const found = [part.slice(0, -2), position];
      position = 0;
      return found;
    });
}

/** What a run asks of the engine. Not what it leaves for the next preview: that follows any config. */
const askedFor = ({ resources }: Run) =>
  JSON.stringify(
    resources
      .filter(({ type }) => type !== "tailkube:cluster:LastRun")
      .map(({ outputs: _, secretOutputs: __, ...one }) => one)
      .sort((a, b) => `${a.type} ${a.name}`.localeCompare(`${b.type} ${b.name}`)),
  );

describe("each key of the config", function () {
  this.timeout(60_000);
  const home = process.cwd();
  const folder = mkdtempSync(join(tmpdir(), "tailkube-effects-"));
  const bases = new Map<string, string>();
  const own = process.env.SSH_AUTH_SOCK;
  let agent: ChildProcess;
  before(async () => {
    process.chdir(folder);
    const socket = join(folder, "agent");
    agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 50));
    writeFileSync(join(folder, "key-of-the-agent"), keyPair().privateKey, { mode: 0o600 });
    process.env.SSH_AUTH_SOCK = socket;
    execFileSync("ssh-add", ["key-of-the-agent"], { stdio: "ignore" });
  });
  after(() => {
    agent.kill();
    if (own === undefined) delete process.env.SSH_AUTH_SOCK;
    else process.env.SSH_AUTH_SOCK = own;
    process.chdir(home);
    rmSync(folder, { recursive: true });
  });

  async function run(config: Values, { files: own = {}, facts }: Effect): Promise<string> {
    for (const [name, content] of Object.entries({ ...files, ...own })) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content, { mode: 0o600 });
    }
    const done = await runProgram({ config, ...(facts && { facts }) });
    return done.errors.length > 0 ? `fails: ${done.errors.map(({ message }) => message).join("; ")}` : askedFor(done);
  }

  it("has a change here", () => {
    const known = [...effects.map(({ key }) => key), ...Object.keys(withoutEffect)];
    expect(known).to.have.members(leaves());
  });

  /** The config without the key and with it. */
  function configs(effect: Effect): { base: Values; with_: Values } {
    const base: Values = effect.base ?? {};
    if (effect.change !== undefined) return { base, with_: { ...base, ...effect.change } };
    const place = placeOf(effect);
    const whole = changed({ ...minimal, ...base }, place, effect.value) as Values;
    return { base, with_: { ...base, [place[0]!]: whole[place[0]!] } };
  }

  for (const effect of effects) {
    it(`${effect.key} is part of what the program works with`, () => {
      const { base, with_ } = configs(effect);
      const all = { ...files, ...effect.files };
      const loaded = (config: Values) => JSON.stringify({ ...load(config, all), warnings: [] });
      const after = loaded(with_);
      // The key may be one without which the config is incomplete.
      if (problemsOf(base, all).length === 0) expect(after === loaded(base)).to.equal(false);
    });
  }

  // A run of the whole program takes a second.
  for (const i of someOf(effects.length, 10)) {
    const effect = effects[i - 1]!;
    it(`${effect.key} changes what a run asks for (${placesTried})`, async () => {
      const { base, with_ } = configs(effect);
      const name = JSON.stringify([base, effect.facts]);
      if (!bases.has(name)) bases.set(name, await run(base, { ...effect, files: {} }));
      const after = await run(with_, effect);
      expect(after).to.not.match(/^fails: /);
      expect(after === bases.get(name)).to.equal(false);
    });
  }
});
