/** A cluster whose hosts OpenSSH's client reaches: what the program asks the engine for. */
import { expect } from "chai";
import { base64 } from "../../components/hosts/openssh";
import type { AccessOutput } from "../../model/outputs";
import { authKey, minimal, privateKey } from "../unit/config/fixtures";
import { caCertificate, commandOf, custom, find, hostKey, isScript, type Run, runProgram } from "./program";

const jumpKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleOfTheBastion";
const nodes = (minimal.nodes as { host: object }[]).map((node, i) => ({
  ...node,
  host: { ...node.host, ...(i === 3 && { user: "admin" }) },
}));
const config = {
  nodes,
  ssh: { via: [{ address: "198.51.100.7", user: "jump", hostKey: jumpKey }] },
  sudoPassword: "open sesame",
};
const environmentOf = (run: Run, name: string) => find(run, name).inputs.environment as Record<string, string>;

describe("a cluster whose hosts are behind a jump host", () => {
  let run: Run;
  before(async () => {
    run = await runProgram({ config });
    expect(run.errors).to.deep.equal([]);
  });

  it("has no connection of the provider's own, but for the empty place of other clusters' authorities", () => {
    const direct = custom(run).filter(({ type }) => type === "command:remote:Command");
    expect(direct.map(({ name, inputs }) => [name, inputs.create, inputs.update])).to.deep.equal([
      ["cluster-authorities", undefined, undefined],
    ]);
    expect(direct[0]!.ignoreChanges).to.include.members(["connection", "create", "stdin", "triggers"]);
  });

  it("reaches each host through it in every stage, the first contact and the clean-up, and pins its key", () => {
    const commands = custom(run).filter(
      ({ type, name }) => type === "command:local:Command" && name !== "cluster-online",
    );
    expect(commands.length).to.be.greaterThan(25);
    for (const { name, inputs } of commands) {
      const { TAILKUBE_WAY: way, TAILKUBE_HOST: host } = inputs.environment as Record<string, string>;
      expect(way, name).to.match(/^# known tailkube-via-1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleOfTheBastion$/m);
      expect(way, name).to.include(`HostName ${host}\n`).and.to.include("ProxyJump tailkube-via-1");
      if (!name.endsWith("-host-key")) expect(way, name).to.include(`# known tailkube-host ${hostKey}`);
      expect(inputs.create ?? inputs.update ?? inputs.delete, name).to.match(
        /^export TAILKUBE_AGENT="\$SSH_AUTH_SOCK"; exec ssh-agent /,
      );
    }
    expect(environmentOf(run, "cp1-cleanup").TAILKUBE_OTHER_HOSTS!.split(" ")).to.have.lengthOf(3);
  });

  it("asks all hosts through it at the beginning of a destroy", () => {
    const online = find(run, "cluster-online");
    expect(online.secretInputs).to.deep.equal(["stdin"]);
    const [keys, list] = (online.inputs.stdin as string).split("\n\n");
    expect(keys).to.equal(`key key-stack ${base64(`${privateKey}\n`)}`);
    const ways = list!.trim().split(" ");
    expect(ways.map((way) => way.split("=")[0])).to.deep.equal(["cp1", "cp2", "cp3", "w1"]);
    expect(Buffer.from(ways[3]!.split(",")[3]!, "base64").toString()).to.include("ProxyJump tailkube-via-1");
  });

  it("gives sudo's password to the host whose user is not root, by stdin alone", () => {
    const encoded = base64("open sesame");
    for (const { name, inputs, secretInputs } of custom(run)) {
      const { stdin, ...rest } = inputs;
      for (const secret of ["open sesame", encoded, privateKey, base64(`${privateKey}\n`), authKey]) {
        expect(JSON.stringify(rest), name).to.not.include(secret);
        if (String(stdin).includes(secret)) expect(secretInputs, name).to.include("stdin");
      }
      const isOfW1 = name.startsWith("w1-") && !name.endsWith("-device");
      expect(String(stdin).includes(`sudo ${encoded}\n`), name).to.equal(isOfW1 && stdin !== undefined);
    }
    expect(commandOf(find(run, "w1-facts"))).to.equal("timeout --kill-after=10 120 bash -s -- apply");
  });

  it("gives the command tailkube the same way, and each login once", () => {
    const { nodes: reached, logins } = run.outputs.access as AccessOutput;
    for (const { name, way, hasSudoPassword, login } of reached) {
      const { inputs } = find(run, `${name}-facts`);
      expect(way, name).to.equal((inputs.environment as Record<string, string>).TAILKUBE_WAY);
      expect(String(inputs.stdin).startsWith(logins[login]!), name).to.equal(true);
      expect(hasSudoPassword, name).to.equal(name === "w1");
    }
    expect(logins.length).to.be.below(reached.length);
    expect(run.secretOutputs).to.include("access");
  });

  it("has no output that is secret without need", () => {
    for (const resource of custom(run).filter(isScript)) {
      expect(resource.secretInputs, resource.name).to.not.include.members(["triggers", "environment"]);
    }
    const { nodes: found } = run.outputs as { nodes: { name: string; address: string }[] };
    expect(found).to.have.lengthOf(4);
  });

  it("changes nothing for a cluster that uses none of it", async () => {
    const plain = await runProgram();
    for (const { name, inputs } of custom(plain)) {
      const environment = (inputs.environment ?? {}) as Record<string, string>;
      // The first contact is OpenSSH's in any case, and logs in nowhere.
      if (name.endsWith("-host-key")) {
        expect(inputs.stdin, name).to.equal("\n");
        continue;
      }
      expect(environment.TAILKUBE_WAY, name).to.equal(undefined);
      expect(JSON.stringify(environment), name).to.not.include("with_passphrase");
    }
    expect(find(plain, "cluster-authorities").inputs.create).to.match(/^timeout /);
  });
});

describe("the authorities of a cluster", () => {
  const made = (stdout: string) => ({
    made: (type: string, name: string) =>
      type === "command:remote:Command" && name === "cluster-authorities" ? { stdout, stderr: "" } : undefined,
  });

  it("that the provider's own SSH has set up stay in the state when OpenSSH's client takes over", async () => {
    const former = JSON.stringify({ changed: [], seed: "former", caCrt: caCertificate });
    const run = await runProgram({ config, ...made(former) });
    expect(run.errors).to.deep.equal([]);
    const { inputs, secretInputs } = find(run, "cluster-authorities-openssh");
    expect(inputs.stdin).to.match(new RegExp(`^known ${base64(former)}\n\n`));
    expect(secretInputs).to.include("stdin");
  });

  it("that OpenSSH's client has set up are not lost when it is switched off", async () => {
    const run = await runProgram({ ...made("") });
    expect(run.errors.map(({ message }) => message).join("\n")).to.include(
      "this cluster was set up by OpenSSH's client, and its certificate authorities would be lost without it. Set ssh.openssh: true",
    );
  });
});
