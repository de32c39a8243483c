/** How hosts are reached by SSH: jump hosts, key files, names of ssh's own configuration. */
import { sudoPasswordLines, sudoPasswordOf } from "../components/hosts/openssh";
import type { ClusterConfig, JumpHost, Secrets, SshHostConfig } from "../model/config";
import { privateKeyProblem } from "../model/private-key";
import { pathOf, type Problem } from "../model/problem";
import type { Operator } from "./operator";
import type { StackValues } from "./schema/stack";
import type { ReadFile } from "./source";
import { resolveHost, SshConfigError } from "./ssh-config";

type HostValues = Extract<StackValues["nodes"][number]["host"], { kind: "ssh" }>;
type Reached = Pick<SshHostConfig, "address" | "user" | "port" | "via" | "keyFile">;

/** Per node, in their order; undefined on EC2. */
export type ReachedHosts = readonly (Reached | undefined)[];

/** The hosts as OpenSSH reaches them. Adds a problem for each entry of ssh's configuration that cannot be used. */
export function reachedHosts(
  values: StackValues,
  readFile: ReadFile,
  operator: Operator,
  problems: Problem[],
): ReachedHosts {
  return values.nodes.map(({ host }, i) => {
    if (host.kind !== "ssh") return undefined;
    try {
      return values.ssh.configFile === undefined
        ? declared(host, values)
        : byAlias(host, values, values.ssh.configFile, readFile, operator);
    } catch (error) {
      if (!(error instanceof SshConfigError)) throw error;
      const { wrong, fix } = error;
      problems.push({ path: `nodes[${i}].host.address`, got: host.address, wrong, fix, about: ["ssh.configFile"] });
      return declared(host, values);
    }
  });
}

function declared(host: HostValues, { ssh }: StackValues): Reached {
  const via = (host.via ?? ssh.via ?? []).map(({ privateKeyFile, user, port, ...jump }): JumpHost => ({
    ...jump,
    user: user ?? ssh.user,
    port: port ?? 22,
    ...(privateKeyFile !== undefined && { keyFile: privateKeyFile }),
  }));
  return {
    address: host.address,
    user: host.user ?? ssh.user,
    port: host.port ?? ssh.port,
    ...(via.length > 0 && { via }),
    ...(host.privateKeyFile !== undefined && { keyFile: host.privateKeyFile }),
  };
}

/** What the node itself says comes before the file, and the file before the stack's defaults. */
function byAlias(host: HostValues, values: StackValues, file: string, readFile: ReadFile, operator: Operator): Reached {
  const own = declared(host, values);
  const found = resolveHost(operator, file, host.address);
  const usable = (paths: readonly string[]) => {
    const path = paths.find((one) => canRead(readFile, one));
    // A key in the agent comes first: the file may have a passphrase that only the agent knows.
    return path === undefined || values.ssh.agent ? {} : { keyFile: path };
  };
  const jumps = found.via.map(({ keyFiles, ...jump }): JumpHost => ({ ...jump, ...usable(keyFiles) }));
  const via = host.via === undefined && jumps.length > 0 ? { via: jumps } : {};
  return {
    ...usable(found.keyFiles),
    ...own,
    address: found.address,
    user: host.user ?? found.user ?? own.user,
    port: host.port ?? found.port ?? own.port,
    ...via,
  };
}

function canRead(readFile: ReadFile, path: string): boolean {
  try {
    readFile(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether a host or a jump host needs the stack's own key. */
export function needsStackKey(values: StackValues, reached: ReachedHosts): boolean {
  if (values.ssh.agent) return false;
  return values.nodes.length === 0 || reached.some((one) => hopsOf(one).some(({ keyFile }) => keyFile === undefined));
}

/** The host and its jump hosts. Machines on EC2 are made with the stack's key. */
const hopsOf = (one: Reached | undefined): { keyFile?: string }[] =>
  one === undefined ? [{}] : [one, ...(one.via ?? [])];

/** The contents of key files, by their path. Adds a problem for each that is no usable key. */
export function readKeyFiles(
  reached: ReachedHosts,
  passphrase: string | undefined,
  readFile: ReadFile,
  problems: Problem[],
): Record<string, string> {
  const found: Record<string, string> = {};
  reached.forEach((host, i) =>
    hopsOf(host).forEach(({ keyFile }, hop) => {
      if (keyFile === undefined || keyFile in found) return;
      const at = hop === 0 ? `nodes[${i}].host` : `nodes[${i}].host.via[${hop - 1}]`;
      const about = ["ssh.configFile", "ssh.via", "sshKeyPassphrase", "ssh.privateKeyPassphraseFile"];
      const path = `${at}.privateKeyFile`;
      try {
        found[keyFile] = readFile(keyFile);
      } catch (error) {
        const code = (error as { code?: unknown }).code;
        const wrong = `cannot be read${typeof code === "string" ? ` (${code})` : ""}`;
        problems.push({
          path,
          got: keyFile,
          wrong,
          allowed: "a file with a private SSH key",
          fix: "Correct the path.",
          about,
        });
        return;
      }
      const [wrong, fix] = privateKeyProblem(found[keyFile], passphrase) ?? [];
      if (wrong !== undefined)
        problems.push({ path, file: keyFile, keyLength: pathOf(path).length, wrong, fix, about });
    }),
  );
  return found;
}

/** How the config's hosts are reached, with what `reached` says of each. Sets what only OpenSSH's client can do. */
export function sshConfig(
  values: StackValues,
  reached: ReachedHosts,
  secrets: Pick<Secrets, "sshKeyPassphrase" | "sudoPassword" | "sudoPasswords">,
): { ssh: ClusterConfig["ssh"]; hosts: ((Reached & { sudoPassword?: true }) | undefined)[] } {
  const hosts = reached.map((one, i) => {
    if (one === undefined) return undefined;
    const login = { name: values.nodes[i]!.name, user: one.user };
    const password = sudoPasswordOf(login, secrets.sudoPassword, secrets.sudoPasswords);
    return { ...one, ...(password !== undefined && { sudoPassword: true as const }) };
  });
  const { agent, configFile, openssh } = values.ssh;
  const isNeeded =
    hosts.some((one) => one?.via !== undefined || one?.keyFile !== undefined || one?.sudoPassword === true) ||
    values.nodes.some(({ host }) => host.kind === "ssh" && host.hostKey?.startsWith("ssh-rsa ") === true);
  const uses = openssh || agent || configFile !== undefined || secrets.sshKeyPassphrase !== undefined || isNeeded;
  return {
    ssh: {
      user: values.ssh.user,
      port: values.ssh.port,
      ...(agent && { agent: true as const }),
      ...(uses && { openssh: true as const }),
    },
    hosts,
  };
}

/** Rules between the keys of `ssh`. */
export function sshProblems(values: StackValues, secrets: Secrets, operator: Operator): Problem[] {
  const { agent } = values.ssh;
  const problems: Problem[] = [];
  if (agent) {
    const wrong = operator.agentProblem();
    const fix = "Start it and add your key (ssh-add), in the shell that runs pulumi, or set ssh.agent: false.";
    if (wrong !== undefined) problems.push({ path: "ssh.agent", wrong, fix });
  }
  const onEc2 = values.nodes.findIndex(({ host }) => host.kind === "ec2");
  if (onEc2 >= 0 && (agent || secrets.sshKeyPassphrase !== undefined)) {
    problems.push({
      path: agent ? "ssh.agent" : "sshKeyPassphrase",
      wrong: `it cannot be set together with a host of kind ec2 (nodes[${onEc2}]), which is made with the key itself`,
      fix: "Remove one of the two.",
      about: [`nodes[${onEc2}].host.kind`],
    });
  }
  const names = values.nodes.map(({ name }) => name);
  for (const name of sudoPasswordLines(secrets.sudoPasswords ?? "")?.keys() ?? []) {
    if (names.includes(name)) continue;
    problems.push({
      path: "sudoPasswords",
      wrong: `it has a line for ${JSON.stringify(name)}, which is not the name of any node`,
      fix: "Correct the line, or remove it.",
      about: names.map((_, i) => `nodes[${i}].name`),
    });
  }
  return problems;
}
