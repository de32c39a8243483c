import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import * as sdkState from "@pulumi/pulumi/runtime/state";
import { specialSecretSig, specialSigKey } from "@pulumi/pulumi/runtime/rpc";
import { stringify } from "yaml";
import type { HostFacts } from "../../components/hosts/facts";
import { shellQuote } from "../../components/hosts/script-text";
import { secretKeys as secretConfigKeys } from "../../config/schema/secrets";
import { goodFacts, minimal, sourceOf } from "../unit/config/fixtures";
import { withStateMigrations } from "./state-migrations";

/** A resource as the program asked the engine for it. */
export interface Registered {
  type: string;
  name: string;
  /** URN of the parent; empty for the root. */
  parent: string;
  /** Former URNs. */
  aliases: string[];
  custom: boolean;
  /** Inputs in plain, and a stage's stdin unpacked; an unknown one is `unknown`. */
  inputs: Record<string, unknown>;
  /** A script's stdin as it is sent. */
  sentStdin: string | undefined;
  /** Top-level inputs that are secret, or hold a secret. */
  secretInputs: string[];
  /** Outputs in plain, as far as the mocks make any or the component registers them. */
  outputs: Record<string, unknown>;
  /** Of a component's outputs those that are secret, or hold a secret. */
  secretOutputs: string[];
  /** URNs that the engine waits for, explicit and by inputs. */
  dependencies: string[];
  deleteBeforeReplace: boolean;
  ignoreChanges: string[];
  additionalSecretOutputs: string[];
  deletedWith: string;
  retainOnDelete: boolean;
  /** A changed one replaces the resource; undefined if it has none. */
  replacementTrigger: unknown;
  /** URN and ID, `::` between. */
  provider: string;
}

export const unknown = "<unknown>";

/** A certificate authority as kubeadm makes one. */
export const caCertificate = readFileSync(join(__dirname, "ca.crt"), "utf8");

export const joinSeed = "5eed".repeat(16);
/** What else the state keeps of a cluster's authorities. */
export const authorityKeys = Object.fromEntries(
  ["caKey", "etcdCaCrt", "etcdCaKey", "frontProxyCaCrt", "frontProxyCaKey", "saPub", "saKey"].map((name) => [
    name,
    `-----BEGIN ${name}-----\n${Buffer.from(name).toString("base64")}\n-----END ${name}-----`,
  ]),
);
/** What a machine on EC2 answers that it has made for itself. */
export const ownHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOwnKeyOfAMachineThatWasMade";
export const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleHostKeyOfTheFirstContact";

const kubeconfig = stringify({
  apiVersion: "v1",
  kind: "Config",
  clusters: [
    {
      name: "kubernetes",
      cluster: {
        server: "https://10.200.0.1:6443",
        "certificate-authority-data": Buffer.from(caCertificate).toString("base64"),
      },
    },
  ],
  users: [{ name: "kubernetes-admin", user: { "client-key-data": "Y2xpZW50LWtleQ==" } }],
});

export const certificateExpiry = "2027-11-21T12:00:00Z";

/** The nodes' tailnet addresses, by their order in the config. */
export const nodeAddress = (position: number) => `100.64.0.${position + 1}`;

/** The auth key that Tailscale's API makes for a resource of that name. */
export const madeKey = (name: string) => `tskey-auth-kMADE-${name}`;

/** What a worker's host has made for its token. */
export const nonceOf = (node: string) => Buffer.from(node.padEnd(16)).toString("hex");

/** What the scripts answer, as far as the program looks at it. */
function answer(
  name: string,
  position: number,
  stdin: string,
  { facts = {}, config = {}, encryption = {}, addresses = {}, nonces = {}, approved = {}, roundTrips = {} }: RunArgs,
): object {
  const node = name.slice(0, name.lastIndexOf("-"));
  const stage = name.replace(/-openssh$/, "");
  switch (stage.slice(stage.lastIndexOf("-") + 1)) {
    case "boot":
      return { changed: [], hostKey: ownHostKey };
    case "facts":
      return goodFacts({ machineId: `machine-of-${node}`, ...facts[node] });
    case "tailnet":
      return {
        changed: [],
        address: addresses[node] ?? nodeAddress(position),
        deviceId: `n${position}CNTRL`,
        ...(node in approved
          ? { deviceName: `box-${position}`, login: "found", approvedRoutes: approved[node] }
          : { deviceName: node, login: "ours" }),
      };
    case "lan":
      return { changed: [], address: variablesOf(stdin).TK_ADDRESS };
    case "runtime":
      // A new host has what is wanted.
      return {
        changed: [],
        kubeadm: `v${(config.kubernetesVersion as string | undefined) ?? "1.37.2"}`,
        nonce: variablesOf(stdin).TK_ROLE === "worker" ? (nonces[node] ?? nonceOf(node)) : "",
      };
    case "authorities":
      return { changed: [], founder: "f".repeat(16), seed: joinSeed, caCrt: caCertificate, ...authorityKeys };
    case "plane":
      return {
        changed: [],
        kubeconfig,
        podCidr: "10.50.0.0/24",
        certificateExpiry,
        encryption: encryption[node.replace(/-control$/, "")] ?? "wanted",
        roundTrips: roundTrips[node.replace(/-control$/, "")] ?? "",
      };
    case "join":
      return { changed: [], podCidr: `10.50.${position}.0/24` };
    default:
      return { changed: [] };
  }
}

export interface Run {
  resources: Registered[];
  /** Exports of index.ts, resolved; without a preview only. */
  outputs: Record<string, unknown>;
  /** Those of the exports that are secret. */
  secretOutputs: string[];
  /** What the program was ended by, each error once. */
  errors: Error[];
  /** How long it took from the start of the program to the answer to its last request. */
  milliseconds: number;
}

export interface RunArgs {
  /** Changes to the minimal config. */
  config?: Record<string, unknown>;
  /** Facts that differ from a good host's, by node. */
  facts?: Record<string, Partial<HostFacts>>;
  /** Whether it is a preview of a stack that is not there yet: no resource has outputs. */
  preview?: boolean;
  /** Tailnet addresses that differ from `nodeAddress`, by node. */
  addresses?: Record<string, string>;
  /** The nodes whose hosts have a login of their own, each with the routes that are approved for it, with blanks between. */
  approved?: Record<string, string>;
  /** What a control plane does with Secrets when it has joined, by node; `wanted` for those that are not named. */
  encryption?: Record<string, string>;
  /** What a control plane has measured to others, by node; nothing for those that are not named. */
  roundTrips?: Record<string, string>;
  /** What else a script answers, by the name of its resource. */
  answers?: Record<string, Record<string, string>>;
  /** What a worker's host keeps for its token, by node; `nonceOf` for those that are not named. */
  nonces?: Record<string, string>;
  /** What the last run has left in the cluster's memory. */
  last?: Record<string, unknown>;
  /** The outputs of a stack that has no such memory. */
  stackOutputs?: Record<string, unknown>;
  /** Keys of secrets that the stack's file has in plain. */
  plain?: string[];
  /** The program, instead of index.ts; it has no stack config. */
  program?: string;
  /** What other resources become, instead of what they are given. */
  made?: (type: string, name: string) => Record<string, unknown> | undefined;
  /** Scripts, or the release, that the engine was told to leave out: it answers with their former inputs. */
  leftOut?: string[];
}

/** Whether it runs a stage on a host: by the provider, or by OpenSSH under the host's guard. */
export const isScript = ({ type, inputs }: Pick<Registered, "type" | "inputs">) =>
  type === "command:remote:Command" || isGuarded({ type, inputs });

/** Whether it runs a stage that may cut the host off. */
export const isGuarded = ({ type, inputs }: Pick<Registered, "type" | "inputs">) =>
  type === "command:local:Command" &&
  inputs.create !== undefined &&
  environmentOf({ inputs }).TAILKUBE_COMMAND !== undefined;

const environmentOf = ({ inputs }: Pick<Registered, "inputs">) =>
  (inputs.environment ?? {}) as Record<string, string | undefined>;

/** Where a script goes. */
export function connectionOf({ inputs }: Pick<Registered, "inputs">): Record<string, unknown> {
  if (inputs.connection !== undefined) return inputs.connection as Record<string, unknown>;
  const {
    TAILKUBE_HOST: host,
    TAILKUBE_PORT: port,
    TAILKUBE_USER: user,
    TAILKUBE_HOST_KEY: hostKey,
  } = environmentOf({ inputs });
  return { host, port: Number(port), user, hostKey };
}

/** What a script runs on its host. */
export const commandOf = ({ inputs }: Pick<Registered, "inputs">) =>
  environmentOf({ inputs }).TAILKUBE_COMMAND ?? inputs.update ?? inputs.create;

export const custom = ({ resources }: Run) => resources.filter((r) => r.custom);

export function find(run: Run, name: string): Registered {
  const found = custom(run).filter((r) => r.name === name);
  expect(found, name).to.have.lengthOf(1);
  return found[0]!;
}

/** Everything that the engine finishes before it begins with a resource. */
export function before(run: Run, name: string): string[] {
  const seen = new Set<string>();
  const visit = (at: string) => {
    for (const urn of find(run, at).dependencies) {
      const other = urn.split("::").pop()!;
      // A new stack has no memory, and its outputs are read, not registered.
      if (!seen.has(other) && !urn.includes("pulumi:pulumi:StackReference")) {
        seen.add(other);
        visit(other);
      }
    }
  };
  visit(name);
  return [...seen];
}

/** What AWS answers to look-ups. */
function lookUp(token: string, inputs: Record<string, unknown>): Record<string, unknown> {
  switch (token) {
    case "aws:ec2/getAmi:getAmi": {
      const names = (inputs.filters as { name: string; values: string[] }[]).find(({ name }) => name === "name")!;
      return { id: `newest of ${names.values[0]} by ${(inputs.owners as string[])[0]}` };
    }
    case "aws:index/getAvailabilityZones:getAvailabilityZones":
      return { names: ["a", "b", "c", "d"].map((zone) => `eu-central-1${zone}`) };
    default:
      throw new Error(`the program calls ${token}`);
  }
}

/** The nodes' addresses on EC2, by their order in the config. */
export const publicAddress = (position: number) => `203.0.113.${position + 1}`;

const unpackedTexts = new Map<string, string>();

/** A stage's stdin as `renderStdin` makes it, but for comments: what comes packed is unpacked. */
export function unpacked(stdin: string): string {
  const call = /^unpack ((?:TK_[A-Z0-9_]+ )*TK_PACKED); eval "\$TK_PACKED"; (main "\$1" <\/dev\/null\n)$/m.exec(stdin);
  if (call === null) return stdin;
  const text = (packed: string) => {
    const found = unpackedTexts.get(packed) ?? gunzipSync(Buffer.from(packed, "base64")).toString();
    unpackedTexts.set(packed, found);
    return found;
  };
  const names = call[1]!.split(" ");
  const end = stdin.indexOf("\nTK_PACKED=");
  const variables = stdin
    .slice(0, end)
    .replace(/^(TK_[A-Z0-9_]+)='([A-Za-z0-9+/=]+)'$/gm, (line, name: string, value: string) =>
      names.includes(name) ? `${name}=${shellQuote(text(value))}` : line,
    );
  const files = /^\nTK_PACKED='([A-Za-z0-9+/=]+)'\n/.exec(stdin.slice(end))![1]!;
  return `${variables}\n${text(files)}\n${call[2]}`;
}

/** The TK_… variables that a stage's stdin sets. */
export function variablesOf(stdin: string): Record<string, string> {
  const text = unpacked(stdin);
  const assignment = /(TK_[A-Z0-9_]+)='((?:[^']|'\\'')*)'\n/y;
  assignment.lastIndex = /^TK_/m.exec(text)?.index ?? text.length;
  const found: Record<string, string> = {};
  for (let line = assignment.exec(text); line !== null; line = assignment.exec(text)) {
    found[line[1]!] = line[2]!.replaceAll("'\\''", "'");
  }
  return found;
}

/** Runs the whole program, index.ts or another one, against an engine that notes what it is asked for. */
export async function runProgram({
  config = {},
  facts = {},
  encryption = {},
  addresses = {},
  nonces = {},
  approved = {},
  roundTrips = {},
  answers = {},
  preview = false,
  last = {},
  stackOutputs = {},
  plain: plainKeys = [],
  leftOut = [],
  program,
  made = () => undefined,
}: RunArgs = {}): Promise<Run> {
  const resources: Registered[] = [];
  const values = program === undefined ? { ...minimal, ...config } : config;
  const names = Array.isArray(values.nodes) ? (values.nodes as { name: string }[]).map((node) => node.name) : [];
  /** Which node a script is for. In another program nodes are numbered as they come, and names have the cluster's before them. */
  const nodeOf = (name: string, stdin: string) => {
    if (program === undefined) return { position: names.findIndex((node) => name.startsWith(`${node}-`)), own: name };
    const { TK_NODE: node = "" } = variablesOf(stdin);
    if (!names.includes(node)) names.push(node);
    return { position: names.indexOf(node), own: name.slice(Math.max(0, name.indexOf(`${node}-`))) };
  };
  await pulumi.runtime.setMocks(
    {
      call: ({ token, inputs }) => lookUp(token, inputs as Record<string, unknown>),
      newResource: ({ type, name, inputs, custom }) => {
        const id = custom ? `${name}-id` : undefined;
        if (type === "pulumi:pulumi:StackReference") {
          return { id, state: { ...inputs, outputs: stackOutputs, secretOutputNames: [] } };
        }
        if (preview) {
          return { id: undefined, state: {} };
        }
        const becomes = made(type, name);
        if (becomes !== undefined) return { id, state: { ...inputs, ...becomes } };
        if (type === "tailscale:index/tailnetKey:TailnetKey") {
          return { id, state: { ...inputs, key: madeKey(name) } };
        }
        if (type === "command:local:Command" && !isScript({ type, inputs: inputs as Record<string, unknown> })) {
          return { id, state: { ...inputs, stdout: name.endsWith("-host-key") ? hostKey : "", stderr: "" } };
        }
        const { position, own } = nodeOf(name, (plain(inputs) as { stdin?: string }).stdin ?? "");
        if (type === "aws:ec2/eipAssociation:EipAssociation") {
          return { id, state: { ...inputs, publicIp: publicAddress(position) } };
        }
        if (type === "aws:ec2/instance:Instance") {
          return { id, state: { ...inputs, privateIp: `10.20.0.${position + 1}` } };
        }
        if (type === "aws:ec2/keyPair:KeyPair") {
          return { id, state: { ...inputs, keyName: `${name}-made-up` } };
        }
        if (isScript({ type, inputs: inputs as Record<string, unknown> })) {
          const { create, stdin } = plain(inputs) as { create?: string; stdin: string };
          const stdout =
            create === undefined
              ? ""
              : `${JSON.stringify({ ...answer(own, position, stdin, { config, facts, encryption, addresses, nonces, approved, roundTrips }), ...answers[name] })}\n`;
          // What an engine does for additionalSecretOutputs, the mocks' monitor leaves to us.
          const resource = resources.find((r) => r.name === name && r.type === type)!;
          resource.outputs = { ...resource.inputs, stdout, stderr: "" };
          const isSecret = resource.additionalSecretOutputs.includes("stdout");
          const former = leftOut.includes(name) ? { stdin: "of the last run" } : {};
          return { id, state: { ...inputs, ...former, stdout: isSecret ? pulumi.secret(stdout) : stdout, stderr: "" } };
        }
        const former = leftOut.includes(name) ? { description: "of the last run" } : {};
        return { id, state: { ...inputs, ...former } };
      },
    },
    "tailkube",
    "test",
    preview,
  );
  // The mocks have no hooks, and the SDK's own server of callbacks would outlive the tests.
  Object.assign((sdkState as unknown as { getStore(): object }).getStore(), {
    callbacks: {
      registerResourceHook: () => Promise.resolve(),
      awaitStackRegistrations: () => Promise.resolve(),
      shutdown: () => undefined,
    },
  });
  withStateMigrations(({ type }) => (type === "tailkube:cluster:LastRun" ? last : {}));
  recordRegistrations(resources);
  setConfig(values, plainKeys);
  const errors: Error[] = [];
  const outputs: Record<string, unknown> = {};
  const secretOutputs: string[] = [];
  const start = performance.now();
  let milliseconds = 0;
  const exported = await catching(errors, async () => {
    const file = program ?? join(__dirname, "../../index.ts");
    delete require.cache[file];
    const loaded = createRequire(__filename)(file) as Record<string, pulumi.Output<unknown>>;
    await pulumi.runtime.disconnect();
    milliseconds = performance.now() - start;
    return loaded;
  });
  if (exported !== undefined && errors.length === 0 && !preview) {
    for (const [name, output] of Object.entries(exported).filter(([key]) => key !== "default")) {
      outputs[name] = await new Promise((resolve) => void output.apply(resolve));
      if (await pulumi.isSecret(output)) secretOutputs.push(name);
    }
  }
  return { resources, outputs, secretOutputs, errors, milliseconds };
}

function setConfig(values: Record<string, unknown>, plainKeys: string[]): void {
  const source = sourceOf(values);
  const text = (key: string) => (typeof values[key] === "object" ? JSON.stringify(values[key]) : source.get(key)!);
  pulumi.runtime.setAllConfig(
    Object.fromEntries(source.keys!().map((key) => [`tailkube:${key}`, text(key)])),
    secretConfigKeys.filter((key) => !plainKeys.includes(key)).map((key) => `tailkube:${key}`),
  );
}

/** Runs something; what it throws, and what is thrown beside it, ends in `errors` as it would in Pulumi's own runner. */
async function catching<T>(errors: Error[], run: () => Promise<T>): Promise<T | undefined> {
  const mochas = process.listeners("unhandledRejection");
  // By identity, as Pulumi's own runner does.
  const note = (error: Error) => void (errors.includes(error) || errors.push(error));
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", note);
  try {
    return await run();
  } catch (error) {
    note(error as Error);
    return undefined;
  } finally {
    // Rejections are told after the promises' own turn.
    await new Promise((resolve) => setTimeout(resolve, 50));
    process.removeListener("unhandledRejection", note);
    mochas.forEach((listener) => process.on("unhandledRejection", listener));
  }
}

interface OutputsRequest {
  getUrn(): string;
  getOutputs(): { toJavaScript(): Record<string, unknown> } | undefined;
}

interface Request {
  getType(): string;
  getName(): string;
  getParent(): string;
  getAliasesList(): { getUrn(): string }[];
  getCustom(): boolean;
  getObject(): { toJavaScript(): Record<string, unknown> };
  getDependenciesList(): string[];
  getDeletebeforereplace(): boolean;
  getIgnorechangesList(): string[];
  getAdditionalsecretoutputsList(): string[];
  getDeletedwith(): string;
  getRetainondelete(): boolean;
  getReplacementTrigger(): { toJavaScript(): unknown } | undefined;
  getProvider(): string;
}

/** Mocks are not told the resources' options; the requests to their monitor hold all of them. */
export function recordRegistrations(registered: Registered[]): void {
  const monitor = pulumi.runtime.getMonitor() as unknown as {
    registerResource(request: Request, callback: unknown): unknown;
    registerResourceOutputs(request: OutputsRequest, callback: unknown): unknown;
  };
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, callback) => {
    const inputs = request.getObject().toJavaScript();
    const all = plain(inputs) as Record<string, unknown>;
    registered.push({
      type: request.getType(),
      name: request.getName(),
      parent: request.getParent(),
      aliases: request.getAliasesList().map((alias) => alias.getUrn()),
      custom: request.getCustom(),
      inputs: typeof all.stdin === "string" ? { ...all, stdin: unpacked(all.stdin) } : all,
      sentStdin: all.stdin as string | undefined,
      secretInputs: secretKeys(inputs),
      outputs: {},
      secretOutputs: [],
      dependencies: request.getDependenciesList(),
      deleteBeforeReplace: request.getDeletebeforereplace(),
      ignoreChanges: request.getIgnorechangesList(),
      additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
      deletedWith: request.getDeletedwith(),
      retainOnDelete: request.getRetainondelete(),
      replacementTrigger: request.getReplacementTrigger()?.toJavaScript(),
      provider: request.getProvider(),
    });
    return register(request, callback);
  };
  const registerOutputs = monitor.registerResourceOutputs.bind(monitor);
  monitor.registerResourceOutputs = (request, callback) => {
    const [type, name] = request.getUrn().split("::").slice(-2);
    const outputs = request.getOutputs()!.toJavaScript();
    // A type has those of its parents before it.
    const component = registered.find((r) => r.name === name && type!.split("$").pop() === r.type);
    Object.assign(component ?? {}, { outputs: plain(outputs), secretOutputs: secretKeys(outputs) });
    return registerOutputs(request, callback);
  };
}

function secretKeys(values: Record<string, unknown>): string[] {
  return Object.keys(values).filter((key) => JSON.stringify(values[key])?.includes(specialSecretSig));
}

/** Inputs as sent, with secrets in plain. */
function plain(value: unknown): unknown {
  if (value === pulumi.runtime.unknownValue) {
    return unknown;
  }
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  if (typeof value === "object" && value !== null) {
    const object = value as Record<string, unknown>;
    return object[specialSigKey] === specialSecretSig
      ? plain(object.value)
      : Object.fromEntries(Object.entries(object).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}
