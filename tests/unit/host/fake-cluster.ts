/**
 * A cluster, and the host that a stage works on, as the stage's external commands see them: what each command answers and
 * what it changes. In memory, but for the host's files, which are below `root`.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { parseAllDocuments } from "yaml";
import { write } from "./bash";
import { FakeHost } from "./fake-host";
import { customColumns, type Json, jsonPath, query } from "./fake-query";

export interface Answer {
  status: number;
  stdout: string;
  stderr: string;
}

export type ApiObject = { [key: string]: Json } & {
  kind: string;
  metadata: { [key: string]: Json } & { name: string };
};

export const ok = (stdout = ""): Answer => ({ status: 0, stdout, stderr: "" });
export const no = (stderr = "", status = 1): Answer => ({ status, stdout: "", stderr });

const plural: Record<string, string> = {
  node: "Node",
  pod: "Pod",
  secret: "Secret",
  configmap: "ConfigMap",
  namespace: "Namespace",
  event: "Event",
  lease: "Lease",
  service: "Service",
  poddisruptionbudget: "PodDisruptionBudget",
  certificatesigningrequest: "CertificateSigningRequest",
  volumeattachment: "VolumeAttachment",
  endpointslice: "EndpointSlice",
  ciliumnode: "CiliumNode",
  ciliumendpoint: "CiliumEndpoint",
  clusterrolebinding: "ClusterRoleBinding",
  job: "Job",
  daemonset: "DaemonSet",
  deployment: "Deployment",
  clusterrole: "ClusterRole",
  role: "Role",
  rolebinding: "RoleBinding",
  customresourcedefinition: "CustomResourceDefinition",
  crd: "CustomResourceDefinition",
  ciliumloadbalancerippool: "CiliumLoadBalancerIPPool",
  ciliuml2announcementpolicy: "CiliumL2AnnouncementPolicy",
  ciliuml2announcementpolicies: "CiliumL2AnnouncementPolicy",
};
const kindOf = (word: string) => {
  const bare = word.split(".")[0]!.toLowerCase();
  const kind = plural[bare] ?? plural[bare.replace(/s$/, "")];
  if (kind === undefined) throw new Error(`kubectl: no resource ${word}`);
  return kind;
};
const groups: Record<string, string> = {
  DaemonSet: ".apps",
  Deployment: ".apps",
  CustomResourceDefinition: ".apiextensions.k8s.io",
  CiliumLoadBalancerIPPool: ".cilium.io",
  CiliumL2AnnouncementPolicy: ".cilium.io",
  Lease: ".coordination.k8s.io",
};
const resourceOf = (kind: string) => resourceWord(kind) + (groups[kind] ?? "");
const resourceWord = (kind: string) => Object.keys(plural).find((word) => plural[word] === kind)!;

/** JSON merge patch: null deletes. */
export function merge(into: { [key: string]: Json }, patch: { [key: string]: Json }): void {
  for (const [key, value] of Object.entries(patch)) {
    const here = into[key];
    if (value === null) delete into[key];
    else if (typeof value === "object" && !Array.isArray(value)) {
      const target = here !== null && typeof here === "object" && !Array.isArray(here) ? here : {};
      merge(target, value);
      into[key] = target;
    } else into[key] = value;
  }
}

interface Member {
  id: string;
  name: string;
  ip: string;
  learner: boolean;
}

const kernelRules = [
  "0 from all lookup local proto kernel",
  "32766 from all lookup main proto kernel",
  "32767 from all lookup default proto kernel",
];

export class FakeCluster {
  objects: ApiObject[] = [];
  members: Member[] = [];
  /** Nodes whose machine is gone: neither their kubelet nor their API server nor their etcd answers. */
  dead = new Set<string>();
  /** Whether this host's own API server runs, and whether those of the other control planes do. */
  ownApi = false;
  otherApis = false;
  /** Static pods' containers that were ended while no kubelet ran. */
  private readonly ended = new Set<string>();
  /** Pods that were deleted without their having ended, by namespace and name. */
  lost: string[] = [];
  units: Record<string, { enabled: boolean; active: boolean }> = {};
  /** "ADDRESS/LENGTH DEVICE" */
  addresses = new Set<string>();
  links: string[] = [];
  rules: string[] = [...kernelRules];
  rules6: string[] = [...kernelRules];
  sysctls: Record<string, string> = {};
  binaries: Record<string, string> = { kubelet: "1.36.3", kubeadm: "1.36.3", kubectl: "1.36.3", containerd: "1.7.24" };
  clusterVersion = "1.36.3";
  generations: Record<string, number> = {};
  storedSecrets: Record<string, string> = {};
  /** Of the host's main table, as `ip route show` has them. */
  routes: string[] = [];
  /** Of Cilium's tables. */
  routesOf: Record<string, string[]> = {};
  programs = new Set<string>();
  /** Rules of iptables and ip6tables. */
  iptables: Record<string, string> = {};
  /** Devices of the tailnet, as its API has them; undefined without the API. */
  devices: string[] | undefined;
  /** Host keys that SSH servers present, by their address; nothing answers at others. */
  hostKeys: Record<string, string> = {};
  /** Whether the engine has gone on to destroy the stack. */
  destroyed = false;
  readonly host: FakeHost;
  /** Whether workers join by themselves as soon as a token lets them: their names and marks. */
  joiners: Record<string, string> = {};
  /** Joiners that say that they are no members where they are asked; then they wait until their Nodes are gone. */
  cleaned = new Set<string>();
  /** What Cilium's pod of this node is called after its next restart. */
  private made = 0;

  constructor(
    /** The host's root folder. */
    readonly root: string,
    readonly node: { name: string; ip: string; role: "control-plane" | "worker" },
    readonly endpoint = "10.200.0.1",
  ) {
    this.host = new FakeHost(this);
    Object.assign(this.host.tailscale.prefs, {
      RouteAll: true,
      CorpDNS: false,
      Hostname: node.name,
      NoSNAT: true,
      WantRunning: true,
    });
  }

  // What scenarios put together.

  addNode(name: string, ip: string, role: "control-plane" | "worker", mark: string | undefined, more: Json = {}): void {
    const node: ApiObject = {
      kind: "Node",
      metadata: {
        name,
        labels: role === "control-plane" ? { "node-role.kubernetes.io/control-plane": "" } : {},
        annotations: mark === undefined ? {} : { "tailkube.dev/joined": mark },
        uid: `uid-node-${name}`,
      },
      spec: { podCIDR: `10.50.${ip.split(".")[3]}.0/24` },
      status: {
        conditions: [{ type: "Ready", status: "True" }],
        addresses: [
          { type: "InternalIP", address: ip },
          { type: "Hostname", address: name },
        ],
        nodeInfo: { kubeletVersion: `v${this.binaries.kubelet}`, architecture: "amd64" },
      },
    };
    merge(node, more as { [key: string]: Json });
    this.objects.push(node);
    this.addPod("kube-system", `cilium-${name}`, name, { labels: { "k8s-app": "cilium" }, owner: "DaemonSet" });
    if (role === "control-plane") {
      for (const component of ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]) {
        this.addPod("kube-system", `${component}-${name}`, name, { labels: { component }, mirror: true });
      }
      this.members.push({
        id: `a${createHash("sha256").update(`${name}${ip}`).digest("hex").slice(0, 12)}`,
        name,
        ip,
        learner: false,
      });
    }
  }

  addPod(
    namespace: string,
    name: string,
    node: string,
    more: { labels?: Record<string, string>; owner?: string; mirror?: boolean; managed?: boolean } = {},
  ): void {
    this.objects.push({
      kind: "Pod",
      metadata: {
        name,
        namespace,
        uid: `uid-${namespace}-${name}`,
        labels: more.labels ?? {},
        annotations: more.mirror ? { "kubernetes.io/config.mirror": "x" } : {},
        ...(more.mirror ? { ownerReferences: [{ kind: "Node", controller: true }] } : {}),
        ...(more.owner ? { ownerReferences: [{ kind: more.owner, controller: true }] } : {}),
      },
      spec: { nodeName: node, ...(more.owner === "DaemonSet" || more.mirror ? { hostNetwork: true } : {}) },
      status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
    });
    if (more.managed !== false && more.owner !== "DaemonSet" && !more.mirror) {
      this.objects.push({ kind: "CiliumEndpoint", metadata: { name, namespace } });
    }
  }

  /** The machine of a node is gone. */
  kill(name: string): void {
    this.dead.add(name);
    const node = this.find("Node", name);
    if (node) merge(node, { status: { conditions: [{ type: "Ready", status: "Unknown" }] } });
  }

  find(kind: string, name: string, namespace?: string): ApiObject | undefined {
    return this.objects.find(
      (object) =>
        object.kind === kind &&
        object.metadata.name === name &&
        (namespace === undefined || object.metadata.namespace === undefined || object.metadata.namespace === namespace),
    );
  }

  file(path: string): string | undefined {
    return existsSync(this.root + path) ? readFileSync(this.root + path, "utf8") : undefined;
  }
  put(path: string, text: string, mode = 0o600): void {
    write(this.root + path, text, mode);
  }

  /** What a run leaves, for a comparison; without what may differ in each. */
  state(): Json {
    const plain = (object: ApiObject) => {
      const copy = JSON.parse(JSON.stringify(object)) as ApiObject;
      if (copy.kind === "Secret") delete copy.data;
      // The order of what was added says nothing.
      else if (copy.data) copy.data = Object.fromEntries(Object.entries(copy.data as Record<string, Json>).sort());
      return copy;
    };
    return JSON.parse(
      JSON.stringify({
        objects: this.objects
          .map(plain)
          .sort((a, b) => `${a.kind} ${a.metadata.name}`.localeCompare(`${b.kind} ${b.metadata.name}`)),
        members: [...this.members].sort((a, b) => a.name.localeCompare(b.name)),
        lost: this.lost,
        ownApi: this.ownApi,
        units: Object.fromEntries(
          Object.entries(this.units)
            .filter(([, { enabled, active }]) => enabled || active)
            .sort(),
        ),
        addresses: [...this.addresses].sort(),
        links: this.links,
        rules: [...this.rules].sort(),
        rules6: [...this.rules6].sort(),
        sysctls: this.sysctls,
        routes: [...this.routes].sort(),
        routesOf: this.routesOf,
        programs: [...this.programs].sort(),
        iptables: this.iptables,
        binaries: this.binaries,
        clusterVersion: this.clusterVersion,
        storedSecrets: this.storedSecrets,
        devices: this.devices,
        destroyed: this.destroyed,
        ...this.host.state(),
      }),
    ) as Json;
  }

  // The commands.

  run(command: string, args: string[], stdin: string): Answer {
    const own = this.host.commands[command];
    if (own !== undefined) return own(args);
    const method = this.commands[command];
    return method === undefined ? ok() : method(args, stdin);
  }

  private apiUp(): boolean {
    return this.ownApi || this.otherApis;
  }

  private readonly commands: Record<string, (args: string[], stdin: string) => Answer> = {
    kubectl: (args, stdin) => this.kubectl(args, stdin),
    kubeadm: (args) => this.kubeadm(args),
    ctr: (args) => this.ctr(args),
    systemctl: (args) => this.systemctl(args),
    curl: (args) => this.curl(args),
    ip: (args) => this.ip(args),
    // Programs of Cilium's on the host's own devices.
    tc: (args) => {
      const device = args[args.indexOf("dev") + 1]!;
      if (args[0] === "filter") return ok(this.programs.has(device) ? "filter protocol all bpf cil_from_netdev\n" : "");
      return this.programs.delete(device) ? ok() : no("Error: Invalid handle.", 2);
    },
    ...Object.fromEntries(
      ["iptables", "ip6tables"].flatMap((name) => [
        [`${name}-nft-save`, () => ok(`*filter\n${this.iptables[name] ?? ""}COMMIT\n`)],
        [
          `${name}-nft-restore`,
          (_: string[], stdin: string) => {
            this.iptables[name] = stdin.replace(/^(\*filter|COMMIT)\n/gm, "");
            return ok();
          },
        ],
      ]),
    ),
    sysctl: (args) => {
      const last = args[args.length - 1]!;
      if (args[0] === "-n") return ok(`${this.sysctls[last] ?? "0"}\n`);
      const [key, value] = last.split("=");
      this.sysctls[key!] = value!;
      return ok();
    },
    kubelet: () => ok(`Kubernetes v${this.binaries.kubelet}\n`),
    gpg: (args) => (args.includes("--show-keys") ? ok("pub:-:4096:1:ABC:1600000000:::-:::scESC::::::23::0:\n") : ok()),
    approve: () => ok(),
    ssh: (args) => this.ssh(args),
    destroy: () => {
      this.destroyed = true;
      return ok();
    },
  };

  private kubectl(args: string[], stdin: string): Answer {
    const words: string[] = [];
    const flags: Record<string, string> = {};
    const valued = new Set([
      "-n",
      "--namespace",
      "-o",
      "--output",
      "-l",
      "--selector",
      "--field-selector",
      "--kubeconfig",
      "--server",
      "--type",
      "-p",
      "--patch",
      "-f",
      "--raw",
      "--timeout",
      "--from-literal",
      "--patch-file",
    ]);
    for (let i = 0; i < args.length; i++) {
      const word = args[i]!;
      if (word === "--") {
        words.push(...args.slice(i));
        break;
      }
      const equals = word.indexOf("=");
      if (word.startsWith("--") && equals > 0) flags[word.slice(0, equals)] = word.slice(equals + 1);
      else if (valued.has(word)) flags[word] = args[++i] ?? "";
      else if (word.startsWith("-") && word !== "-") flags[word] = "";
      else words.push(word);
    }
    const verb = words[0];
    if (verb === "version" && "--client" in flags) return ok(`Client Version: v${this.binaries.kubectl}\n`);
    const server = flags["--server"];
    const ownIp = server?.includes(this.node.ip) === true;
    if (server !== undefined && ownIp ? !this.ownApi : !this.apiUp()) {
      return no("The connection to the server was refused - did you specify the right host or port?");
    }
    const namespace =
      "-A" in flags || "--all-namespaces" in flags ? undefined : (flags["-n"] ?? flags["--namespace"] ?? "default");
    const parsed = { words, flags, namespace, stdin };
    switch (verb) {
      case "get":
        return this.get(parsed);
      case "delete":
        return this.delete(parsed);
      case "patch": {
        const object = this.named(parsed);
        if (!object) return this.notFound(words);
        merge(object, JSON.parse(flags["-p"] ?? flags["--patch"] ?? stdin) as { [key: string]: Json });
        return ok(`${words[1]}/${words[2]} patched\n`);
      }
      case "annotate":
      case "label": {
        const object = this.named(parsed);
        if (!object) return this.notFound(words);
        const changes = Object.fromEntries(
          words.slice(words[1]!.includes("/") ? 2 : 3).map((item): [string, Json] => {
            const at = item.indexOf("=");
            return at < 0 ? [item.replace(/-$/, ""), null] : [item.slice(0, at), item.slice(at + 1)];
          }),
        );
        merge(object, { metadata: { [verb === "label" ? "labels" : "annotations"]: changes } });
        return ok("changed\n");
      }
      case "taint": {
        const object = this.named(parsed);
        if (!object) return this.notFound(words);
        for (const item of words.slice(3)) {
          const spec = (object.spec ??= {}) as { [key: string]: Json };
          const [, key, value, effect] = /^([^=:]+)(?:=([^:]*))?:([^-]+)-?$/.exec(item)!;
          const taints = ((spec.taints ??= []) as Record<string, string>[]).filter(
            (taint) => taint.key !== key || taint.effect !== effect,
          );
          spec.taints = item.endsWith("-")
            ? taints
            : [...taints, { key: key!, ...(value && { value }), effect: effect! }];
        }
        return ok("tainted\n");
      }
      case "create":
        if (words[1] !== undefined) {
          if (this.find(kindOf(words[1]), words[2]!, namespace))
            return no(`Error from server (AlreadyExists): ${words[2]} already exists`);
          this.objects.push({ kind: kindOf(words[1]), metadata: { name: words[2]!, namespace: namespace ?? null } });
          return ok("created\n");
        }
        return this.apply(stdin, namespace);
      case "apply":
        return this.apply(stdin, namespace);
      case "replace": {
        for (const secret of this.objects.filter(({ kind }) => kind === "Secret")) {
          this.storedSecrets[secret.metadata.name] = this.encryptionPrefix();
        }
        return ok("replaced\n");
      }
      case "exec": {
        const node = words[1]!.replace(/^(pod\/)?etcd-/, "");
        if (!this.find("Pod", `etcd-${node}`) || this.dead.has(node))
          return no("error dialing backend: no route to host");
        return this.etcd(words.slice(words.indexOf("--") + 1));
      }
      case "cordon":
      case "uncordon": {
        const object = this.find("Node", words[1]!);
        if (!object) return this.notFound(["", "node", words[1]!]);
        merge(object, { spec: { unschedulable: verb === "cordon" ? true : null } });
        return ok("done\n");
      }
      case "drain": {
        const object = this.find("Node", words[1]!);
        if (!object) return this.notFound(["", "node", words[1]!]);
        merge(object, { spec: { unschedulable: true } });
        for (const pod of this.evictable(words[1]!)) this.evict(pod);
        return ok("drained\n");
      }
      case "rollout":
        return ok("successfully rolled out\n");
      case "certificate":
        return ok("approved\n");
      case "auth":
        return ok("yes\n");
      default:
        throw new Error(`kubectl ${args.join(" ")}`);
    }
  }

  private encryptionPrefix(): string {
    return this.file("/etc/kubernetes/tailkube/encryption.yaml")?.startsWith("encrypts")
      ? "k8s:enc:secretbox:v1:key-1:"
      : "k8s\\x00";
  }

  private evictable(node: string): ApiObject[] {
    return this.objects.filter(
      (object) =>
        object.kind === "Pod" &&
        query(object, ".spec.nodeName")[0] === node &&
        !query(object, ".metadata.ownerReferences[*].kind").some((kind) => kind === "DaemonSet" || kind === "Node"),
    );
  }

  /** It ends, and starts elsewhere. */
  private evict(pod: ApiObject): void {
    merge(pod, { spec: { nodeName: "elsewhere" } });
  }

  private named({ words, namespace }: { words: string[]; namespace: string | undefined }): ApiObject | undefined {
    const [resource, name] = words[1]!.includes("/") ? words[1]!.split("/") : [words[1]!, words[2]!];
    return this.find(kindOf(resource!), name!, namespace);
  }
  private notFound(words: string[]): Answer {
    return no(`Error from server (NotFound): ${words[1]} "${words[2] ?? ""}" not found`);
  }

  private selected(kind: string, flags: Record<string, string>, namespace: string | undefined): ApiObject[] {
    const labels = (flags["-l"] ?? flags["--selector"] ?? "").split(",").filter(Boolean);
    const fields = (flags["--field-selector"] ?? "").split(",").filter(Boolean);
    return this.objects.filter((object) => {
      if (object.kind !== kind) return false;
      if (namespace !== undefined && object.metadata.namespace !== undefined && object.metadata.namespace !== namespace)
        return false;
      const has = (object.metadata.labels ?? {}) as Record<string, string>;
      return (
        labels.every((label) => {
          const [key, value] = label.split("=");
          return value === undefined ? key! in has : has[key!] === value;
        }) &&
        fields.every((field) => {
          const [, path, operator, value] = /^([^!=]+)(!=|==?)(.*)$/.exec(field)!;
          const found = query(object, `.${path}`)[0] ?? "";
          return operator === "!=" ? found !== value : found === value;
        })
      );
    });
  }

  private get({
    words,
    flags,
    namespace,
  }: {
    words: string[];
    flags: Record<string, string>;
    namespace: string | undefined;
  }): Answer {
    if (flags["--raw"] !== undefined) {
      const path = flags["--raw"];
      if (path.startsWith("/readyz") || path.startsWith("/livez")) return ok("ok");
      if (path.startsWith("/version")) return ok(`{"gitVersion": "v${this.clusterVersion}"}`);
      return ok("{}");
    }
    const output = flags["-o"] ?? flags["--output"] ?? "";
    const [resource, inline] = words[1]!.split("/");
    if (resource!.includes(",")) {
      const each = resource!.split(",").map((one) => this.get({ words: [words[0]!, one], flags, namespace }).stdout);
      return ok(each.join(""));
    }
    if (words.length > 3) {
      const each = words
        .slice(2)
        .map((one) => this.get({ words: [words[0]!, resource!, one], flags, namespace }).stdout);
      return ok(each.join(""));
    }
    const kind = kindOf(resource!);
    const name = inline ?? words[2];
    let items: ApiObject[];
    if (name !== undefined) {
      // A joiner comes in once somebody waits for it.
      const mark = this.joiners[name];
      const token = this.tokenOf(name);
      if (kind === "Node" && mark !== undefined && token !== undefined) {
        const annotations = { "tailkube.dev/joined": mark, "tailkube.dev/token": token };
        const node = this.find(kind, name);
        if (node && this.cleaned.has(name)) {
          const question = this.find("ConfigMap", `tailkube-member-${token}`);
          if (question) merge(question, { data: { member: "no" } });
        } else if (node) merge(node, { metadata: { annotations } });
        else if (!this.cleaned.has(name))
          this.addNode(name, "100.64.0.9", "worker", mark, { metadata: { annotations } });
      }
      const object = this.find(kind, name, namespace);
      if (!object) return "--ignore-not-found" in flags ? ok() : this.notFound(["", resource!, name]);
      items = [object];
    } else {
      items = this.selected(kind, flags, namespace);
    }
    const root: Json = name !== undefined ? items[0]! : { kind: "List", items };
    const [format, template] = [output.split("=")[0]!, output.slice(output.indexOf("=") + 1)];
    if (format === "jsonpath") return ok(jsonPath(template, root));
    if (format === "custom-columns") return ok(customColumns(template, items, !("--no-headers" in flags)));
    if (format === "json") return ok(`${JSON.stringify(root, undefined, 4)}\n`);
    if (format === "name") return ok(items.map((item) => `${resourceOf(kind)}/${item.metadata.name}\n`).join(""));
    if (format === "go-template") return ok(this.goTemplate(template, root));
    if (format !== "") throw new Error(`kubectl get -o ${output}`);
    const ready = (item: ApiObject) => query(item, '.status.conditions[?(@.type=="Ready")].status')[0] === "True";
    return ok(
      items
        .map((item) =>
          kind === "Node"
            ? `${item.metadata.name} ${ready(item) ? "Ready" : "NotReady"}${query(item, ".spec.unschedulable")[0] === true ? ",SchedulingDisabled" : ""} <none> 1d v${this.binaries.kubelet}\n`
            : `${namespace === undefined ? `${String(item.metadata.namespace)} ` : ""}${item.metadata.name} 1/1 Running 0 1d\n`,
        )
        .join(""),
    );
  }

  /** The ID of the token that lets a joiner in; undefined if none does. */
  private tokenOf(name: string): string | undefined {
    const secret = this.objects.find(
      ({ kind, metadata }) =>
        kind === "Secret" && (metadata.labels as Record<string, Json> | undefined)?.["tailkube.dev/admission"] === name,
    );
    return secret?.metadata.name.replace("bootstrap-token-", "");
  }

  /** Only what fetches one field, such as {{index .data "x"}} or {{.spec.username}}. */
  private goTemplate(template: string, root: Json): string {
    // No node has a request that waits. But a cleaned joiner would have one, which lets it in.
    for (const name of this.cleaned) if (!this.find("Node", name)) this.cleaned.delete(name);
    if (template.includes("certificatesigningrequest") || template.includes('define "request"')) return "";
    const each = /^\{\{range \$name, \$address := \.data\}\}\{\{\$name\}\}=\{\{\$address\}\} \{\{end\}\}$/.exec(
      template,
    );
    if (each !== null) {
      const data = (query(root, ".data")[0] ?? {}) as Record<string, string>;
      return Object.entries(data)
        .map(([name, address]) => `${name}=${address} `)
        .join("");
    }
    // What labels-and-taints.sh has recorded of nodes.
    if (template.includes("$items")) {
      const data = (query(root, ".data")[0] ?? {}) as Record<string, string>;
      return Object.entries(data)
        .map(([key, items]) => `${key} ${items}\n`)
        .join("");
    }
    // What joiners say (stages/admit.sh).
    if (template.includes(".beat"))
      return query(root, ".items[*]")
        .map((item) => {
          const [beat] = query(item, ".data.beat");
          const member = query(item, ".data.member")[0] === "no" ? "no" : "";
          return `${String(query(item, ".metadata.name")[0])}=${member},${beat === undefined ? "" : Buffer.from(String(beat)).toString("hex")} `;
        })
        .join("");
    return template.replace(/\{\{(.*?)\}\}/g, (_, action: string) => {
      const index = /^index (\S+) "([^"]+)"$/.exec(action.trim());
      const found = index
        ? query(query(root, index[1]!)[0] ?? null, `['${index[2]}']`)
        : /^\.[\w.]+$/.test(action.trim())
          ? query(root, action.trim())
          : undefined;
      if (found === undefined) throw new Error(`go-template ${template}`);
      return found[0] === undefined ? "<no value>" : String(found[0]);
    });
  }

  private delete({
    words,
    flags,
    namespace,
    stdin,
  }: {
    words: string[];
    flags: Record<string, string>;
    namespace: string | undefined;
    stdin: string;
  }): Answer {
    let raw = flags["--raw"];
    let found: ApiObject[];
    if (raw !== undefined) {
      raw = raw.split("?")[0]!;
      const [, inNamespace, resource, name] =
        /^\/apis?\/.*?v1\/(?:namespaces\/([^/]+)\/)?([^/]+)\/([^/]+)$/.exec(raw) ?? [];
      const object = this.find(kindOf(resource ?? "x"), name!, inNamespace);
      found = object ? [object] : [];
      void stdin;
      if (!object) return this.notFound(["", resource!, name!]);
    } else {
      const [resource, inline] = words[1]!.split("/");
      const kinds = resource!.split(",").map(kindOf);
      const names = inline !== undefined ? [inline] : words.slice(2);
      found = kinds.flatMap((kind) =>
        names.length > 0
          ? names.flatMap((name) => this.find(kind, name, namespace) ?? [])
          : this.selected(kind, flags, namespace),
      );
      if (names.length > 0 && found.length < names.length && !("--ignore-not-found" in flags))
        return this.notFound(words);
    }
    for (const object of found) this.remove(object, "--force" in flags);
    return ok("deleted\n");
  }

  private remove(object: ApiObject, force: boolean): void {
    this.objects = this.objects.filter((other) => other !== object);
    if (object.kind !== "Pod") return;
    // Its endpoint goes with it, as the pod owns it.
    const { name, namespace } = object.metadata;
    this.objects = this.objects.filter(
      ({ kind, metadata }) => kind !== "CiliumEndpoint" || metadata.name !== name || metadata.namespace !== namespace,
    );
    const node = String(query(object, ".spec.nodeName")[0]);
    const owners = query(object, ".metadata.ownerReferences[*].kind");
    if (force && !owners.includes("DaemonSet") && !owners.includes("Node")) {
      this.lost.push(`${String(object.metadata.namespace)}/${object.metadata.name}`);
    }
    if (owners.includes("DaemonSet") && this.find("Node", node) && !force) {
      this.made += 1;
      const copy = JSON.parse(JSON.stringify(object)) as ApiObject;
      copy.metadata = { ...copy.metadata, uid: `uid-made-${this.made}` };
      this.objects.push(copy);
    } else if (!force) {
      // A workload's pod comes again, with a network of Cilium's.
      this.objects.push(object);
      this.objects.push({ kind: "CiliumEndpoint", metadata: { name, namespace: namespace! } });
    }
  }

  private apply(stdin: string, namespace: string | undefined): Answer {
    for (const document of parseAllDocuments(stdin)) {
      const object = document.toJS() as ApiObject | null;
      if (object === null) continue;
      object.metadata.namespace ??= namespace ?? "default";
      this.objects = this.objects.filter(
        (other) => other.kind !== object.kind || other.metadata.name !== object.metadata.name,
      );
      delete object.stringData;
      this.objects.push(object);
    }
    return ok("applied\n");
  }

  private etcd(args: string[]): Answer {
    if (args[0] === "etcdutl") return this.etcdutl(args.slice(1));
    const words = args
      .slice(1)
      .filter((word) => !/^--(endpoints|cacert|cert|key|command-timeout|dial-timeout)=/.test(word));
    const text = words.join(" ");
    const json = words.some((word) => /^(-w|--write-out)(=json)?$/.test(word));
    const fields = words.some((word) => word === "--write-out=fields");
    if (fields && text.includes("member list")) {
      const said = (m: Member) => [
        `"ID" : ${BigInt(`0x${m.id}`)}`,
        `"Name" : "${m.name}"`,
        `"PeerURL" : "https://${m.ip}:2380"`,
        ...(m.name === "" ? [] : [`"ClientURL" : "https://${m.ip}:2379"`]),
        `"IsLearner" : ${m.learner}`,
        "",
      ];
      return ok(`"ClusterID" : 7\n${this.members.flatMap(said).join("\n")}\n`);
    }
    if (fields && text.includes("endpoint health")) {
      const health = this.members.map(
        (m) => `"Endpoint" : "https://${m.ip}:2379"\n"Health" : ${!this.dead.has(m.name)}\n`,
      );
      return { ...ok(health.join("")), status: this.members.some(({ name }) => this.dead.has(name)) ? 1 : 0 };
    }
    if (text.startsWith("member list")) {
      return json
        ? ok(
            JSON.stringify({
              members: this.members.map((m) => ({ ID: m.id, name: m.name, peerURLs: [`https://${m.ip}:2380`] })),
            }),
          )
        : ok(
            this.members
              .map(
                (m) =>
                  `${m.id}, ${m.name === "" ? "unstarted" : "started"}, ${m.name}, https://${m.ip}:2380, ${m.name === "" ? "" : `https://${m.ip}:2379`}, ${m.learner}\n`,
              )
              .join(""),
          );
    }
    if (text.startsWith("member remove")) {
      const before = this.members.length;
      this.members = this.members.filter(({ id }) => id !== words[2]);
      return before === this.members.length ? no("Error: etcdserver: member not found") : ok("removed\n");
    }
    if (text.startsWith("endpoint health")) {
      const unhealthy = text.includes("--cluster") && this.members.some(({ name }) => this.dead.has(name));
      return unhealthy ? no("Error: unhealthy cluster") : ok("");
    }
    if (text.startsWith("endpoint status")) return ok('[{"Status":{"header":{"member_id":7},"leader":7}}]\n');
    if (text.startsWith("move-leader")) return ok("moved\n");
    if (text.startsWith("get /registry/ ")) return ok(this.objects.length > 0 ? "/registry/x\n\n" : "");
    if (text.startsWith("get /registry/secrets")) {
      const secrets = this.objects.filter(({ kind }) => kind === "Secret").map(({ metadata }) => metadata.name);
      if (!text.includes("--write-out fields")) throw new Error(`etcdctl ${text}`);
      return ok(
        secrets
          .map(
            (name) => `"Key" : "/registry/secrets/${name}"\n"Value" : "${this.storedSecrets[name] ?? "k8s\\x00"}x"\n`,
          )
          .join(""),
      );
    }
    if (text.startsWith("snapshot save")) {
      this.put(words[2]!, "snapshot\n");
      return ok("Snapshot saved\n");
    }
    if (text.startsWith("alarm")) return ok();
    throw new Error(`etcdctl ${text}`);
  }

  private etcdutl(args: string[]): Answer {
    const text = args.join(" ");
    if (text === "version") return ok("etcdutl version: 3.6.8\n");
    if (text.startsWith("snapshot status")) return ok('{"hash":1,"revision":7}\n');
    const folder = /--data-dir[ =](\S+)/.exec(text)?.[1];
    if (text.startsWith("snapshot restore") && folder !== undefined) {
      this.put(`${folder}/member/snap/db`, "restored\n");
      return ok();
    }
    throw new Error(`etcdutl ${text}`);
  }

  /** ID of a static pod's container: another one when the pod was restarted or its manifest is another one. */
  private containerId(component: string): string | undefined {
    const manifest = this.file(`/etc/kubernetes/manifests/${component}.yaml`);
    // Containers outlive their kubelet, which alone would start them again.
    const runs = this.units["kubelet.service"]?.active || (this.ownApi && !this.ended.has(component));
    if (manifest === undefined || !runs) return undefined;
    const hash = createHash("sha256").update(manifest).digest("hex").slice(0, 8);
    return `${component}-${this.generations[component] ?? 0}-${hash}`;
  }

  private ctr(args: string[]): Answer {
    const words = args[0] === "-n" ? args.slice(2) : args;
    const text = words.join(" ");
    const running = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"].flatMap(
      (name) => this.containerId(name) ?? [],
    );
    if (this.units["containerd.service"]?.active !== true)
      return no("ctr: cannot access socket /run/containerd/containerd.sock");
    if (words[0] === "version") return ok("Client:\n");
    if (text.startsWith("containers ls")) {
      const name = /name"?==([a-z-]+)/.exec(text)?.[1];
      return ok(
        running
          .filter((id) => name === undefined || id.replace(/-\d+-[0-9a-f]+$/, "") === name)
          .map((id) => `${id}\n`)
          .join(""),
      );
    }
    if (text.startsWith("tasks ls -q")) return ok(running.map((id) => `${id}\n`).join(""));
    if (text.startsWith("tasks ls")) return ok(`TASK PID STATUS\n${running.map((id) => `${id} 7 RUNNING\n`).join("")}`);
    if (text.startsWith("tasks kill")) {
      const component = words[words.length - 1]!.replace(/-\d+-[0-9a-f]+$/, "");
      this.generations[component] = (this.generations[component] ?? 0) + 1;
      if (!this.units["kubelet.service"]?.active) {
        this.ended.add(component);
        if (component === "kube-apiserver") this.ownApi = false;
      }
      return ok();
    }
    if (text.startsWith("tasks exec")) return this.etcd(words.slice(words.indexOf("--exec-id") + 3));
    if (text === "images ls -q") return ok(this.host.images.map((image) => `${image}\n`).join("")); // prettier-ignore
    if (text.startsWith("images ls")) return ok();
    if (text.startsWith("images import ")) {
      this.host.addImage(`registry.k8s.io/${words[2]!.replace(/^.*\/|\.tar$/g, "")}`);
      return ok();
    }
    if (text.startsWith("images rm ")) {
      for (const image of words.slice(2)) this.host.removeImage(image);
      return ok();
    }
    if (words[0] === "run")
      return this.etcd(words.slice(words.findIndex((word) => word === "etcdutl" || word === "etcdctl")));
    return ok();
  }

  private systemctl(args: string[]): Answer {
    const verb = args.find((word) => !word.startsWith("-"))!;
    const name = args[args.length - 1]!;
    const full = name.includes(".") ? name : `${name}.service`;
    if (/^(is-|show|status|cat|list-)/.test(verb)) {
      const { active, enabled } = this.units[full] ?? { active: false, enabled: false };
      if (args.includes("--quiet") && verb === "is-enabled") return enabled ? ok() : no();
      if (verb === "is-active") return active ? ok("active\n") : { ...no("", 3), stdout: "inactive\n" };
      if (verb === "is-enabled") return enabled ? ok("enabled\n") : { ...no("", 1), stdout: "disabled\n" };
      if (args.includes("--property=ActiveState")) return ok(active ? "active\n" : "inactive\n");
      return ok(args.includes("MainPID") || args.includes("NRestarts") ? "0\n" : "\n");
    }
    if (verb === "daemon-reload") {
      this.host.reloaded();
      return ok();
    }
    const unit = (this.units[full] ??= { enabled: false, active: false });
    const started = () => {
      unit.active = true;
      this.host.started(full);
      if (name.startsWith("kubelet")) this.ended.clear();
      if (
        name.startsWith("tailkube-endpoint") &&
        (this.ownApi || !existsSync(`${this.root}/var/lib/tailkube/joined`))
      ) {
        this.addresses.add(`${this.endpoint}/32 lo`);
      }
      if (name.startsWith("kubelet") && this.find("Node", this.node.name)) {
        merge(this.find("Node", this.node.name)!, {
          status: { nodeInfo: { kubeletVersion: `v${this.binaries.kubelet}` } },
        });
        if (this.file("/var/lib/kubelet/config.yaml")?.includes("serverTLSBootstrap: true")) {
          this.put("/var/lib/kubelet/pki/kubelet-server-current.pem", "certificate\n");
        }
      }
    };
    const stopped = () => {
      unit.active = false;
      this.host.stopped(full);
      if (name.startsWith("tailkube-endpoint")) this.addresses.delete(`${this.endpoint}/32 lo`);
    };
    switch (verb) {
      case "enable":
        unit.enabled = true;
        if (args.includes("--now")) started();
        return ok();
      case "disable":
        unit.enabled = false;
        if (args.includes("--now")) stopped();
        return ok();
      case "start":
      case "restart":
        started();
        return ok();
      case "try-restart":
        if (unit.active) started();
        return ok();
      case "reload":
        if (!unit.active) return ok();
        started();
        // An interface that it had to leave alone is its own from now on, and has no connection (1.52.1).
        if (full === "NetworkManager.service" && this.file("/etc/NetworkManager/conf.d/50-tailkube.conf") === undefined)
          this.addresses.delete(`${this.node.ip}/32 tailscale0`);
        return ok();
      case "stop":
        stopped();
        return ok();
      default:
        if (!name.includes(".")) delete this.units[`${name}.service`];
        return ok();
    }
  }

  /** Of a login without a key, which the server refuses once the host has shown its own. */
  private ssh(args: string[]): Answer {
    const address = args[args.length - 2]!;
    const known = this.file(/UserKnownHostsFile=(\S+)/.exec(args.join(" "))![1]!)!;
    const key = this.hostKeys[address];
    if (key === undefined) return no(`ssh: connect to host ${address}: Connection timed out`, 255);
    if (!known.includes(` ${key}\n`)) return no("Host key verification failed.", 255);
    return no(`tailkube@${address}: Permission denied (publickey).`, 255);
  }

  /** A request to the tailnet's API. */
  private tailnetApi(path: string): [number, string] {
    if (path === "/api/v2/oauth/token") return [200, '{"access_token":"tskey-token","token_type":"Bearer"}\n'];
    const device = path.replace("/api/v2/device/", "");
    if (!this.devices!.includes(device)) return [404, '{"message":"no such device"}\n'];
    this.devices = this.devices!.filter((other) => other !== device);
    return [200, ""];
  }

  private readyAt(host: string): boolean {
    if (host === "127.0.0.1" || host === this.node.ip) return this.ownApi;
    if (host === this.endpoint) return this.addresses.has(`${this.endpoint}/32 lo`) ? this.ownApi : this.apiUp();
    const node = this.objects.find(
      (object) => object.kind === "Node" && query(object, ".status.addresses[*].address").includes(host),
    );
    return this.otherApis && (node === undefined || !this.dead.has(node.metadata.name));
  }

  private curl(args: string[]): Answer {
    const url = new URL(args.find((word) => word.startsWith("https://") || word.startsWith("http://"))!);
    const method = args[args.indexOf("-X") + 1];
    const body = args[args.indexOf("--data-binary") + 1];
    const to = args.includes("-o") ? args[args.indexOf("-o") + 1]! : undefined;
    if (url.pathname.startsWith("/api/v2/")) {
      const [code, text] = this.tailnetApi(url.pathname);
      return ok(`${text}\nstatus ${code}\n`);
    }
    const answer = (code: number, text: string): Answer => {
      if (to !== undefined && to !== "/dev/null") this.put(to, text);
      const shown = to === undefined ? text : "";
      const format = args.includes("-w")
        ? args[args.indexOf("-w") + 1]!.replace("%{http_code}", String(code).padStart(3, "0")).replace(/\\n/g, "\n")
        : "";
      const said =
        code === 0 && args.includes("-sv") ? `* connect to ${url.hostname} failed: Connection refused\n` : "";
      return { status: code === 0 ? 7 : 0, stdout: shown + format, stderr: said };
    };
    // The kubelet's own health.
    if (url.port === "10248") return this.units["kubelet.service"]?.active ? answer(200, "ok") : answer(0, "");
    if (url.port === "" || url.hostname.includes("k8s.io")) return answer(200, "key\n");
    if (!this.readyAt(url.hostname)) {
      const why = args.some((word) => /^-[a-zA-Z]*v/.test(word))
        ? `* connect to ${url.host} failed: Connection refused`
        : "";
      return { ...answer(0, ""), stderr: why };
    }
    const path = url.pathname;
    if (/^\/(readyz|livez|healthz)/.test(path)) return answer(200, "ok");
    const node = /^\/api\/v1\/nodes\/([^/]+)$/.exec(path)?.[1];
    if (node !== undefined && this.find("Node", node)) {
      if (args.includes("-X") && method === "PATCH")
        merge(this.find("Node", node)!, JSON.parse(body!) as { [key: string]: Json });
      return answer(200, JSON.stringify(this.find("Node", node)));
    }
    const pod = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/eviction$/.exec(path);
    if (pod !== null) {
      const object = this.find("Pod", pod[2]!, pod[1]);
      if (!object) return answer(404, '{"message": "not found"}');
      this.evict(object);
      return answer(201, "{}");
    }
    return answer(404, '{"message": "the server could not find the requested resource"}');
  }

  private ip(args: string[]): Answer {
    const text = args.filter((word) => !/^-(o|4|6|d|br|json)$/.test(word)).join(" ");
    const to = / to (\S+)/.exec(text)?.[1];
    if (/^addr(ess)? (show|list)/.test(text)) {
      return ok(
        [...this.addresses]
          .filter((a) => to === undefined || a.startsWith(`${to.replace(/\/\d+$/, "")}/`))
          .map((a) => `1: ${a.split(" ")[1]} inet ${a.split(" ")[0]} scope global\n`)
          .join(""),
      );
    }
    if (/^addr(ess)? (del|add|replace)/.test(text)) {
      const address = `${args.find((word) => /^\d+\.\d+\.\d+\.\d+\/\d+$/.test(word))} ${args[args.indexOf("dev") + 1]}`;
      if (/ del /.test(text)) this.addresses.delete(address);
      else this.addresses.add(address);
      return ok();
    }
    if (/^link (show|list)/.test(text))
      return ok(this.links.map((link, i) => `${i + 1}: ${link}: <UP> mtu 1500\n`).join(""));
    if (/^link del/.test(text)) {
      this.links = this.links.filter((link) => link !== args[args.length - 1]);
      return ok();
    }
    if (/^route show table main$/.test(text) && !args.includes("-6")) return ok(this.routes.map((route) => `${route}\n`).join("")); // prettier-ignore
    const table = /^route (show|flush) table (\d+)$/.exec(text);
    if (table !== null) {
      const of = `${args.includes("-6") ? "-6" : "-4"} ${table[2]}`;
      if (this.routesOf[of] === undefined) return no("Error: ipv4: FIB table does not exist.\nDump terminated", 2);
      if (table[1] === "show") return ok(this.routesOf[of].map((route) => `${route}\n`).join("")); // prettier-ignore
      delete this.routesOf[of];
      return ok();
    }
    const shown = /^route show root (\d+\.\d+)\./.exec(text)?.[1];
    if (shown !== undefined)
      return ok(this.routes.filter((route) => route.startsWith(`${shown}.`)).map((route) => `${route}\n`).join("")); // prettier-ignore
    const flushed = /^route flush root (\d+\.\d+)\./.exec(text)?.[1];
    if (flushed !== undefined) {
      this.routes = this.routes.filter((route) => !route.startsWith(`${flushed}.`));
      return ok();
    }
    const rules = args.includes("-6") ? this.rules6 : this.rules;
    if (/^rule (show|list)/.test(text)) {
      const pref = / pref (\d+)/.exec(text)?.[1];
      const shown = rules
        .filter((rule) => pref === undefined || rule.startsWith(`${pref} `))
        .map((rule) =>
          args.includes("-d")
            ? `${rule.replace(" ", ":\t")} unicast`
            : rule.replace(" ", ":\t").replace(/ proto \w+$/, ""),
        );
      return ok(shown.map((line) => `${line}\n`).join(""));
    }
    const rule = /^rule (add|del) (?:pref (\d+) )?(?:from all )?(.*)$/.exec(text);
    if (rule !== null) {
      const [, verb, pref, what] = rule;
      if (verb === "add") {
        const made = `${pref ?? "100"} from all ${what!.replace("protocol", "proto")}`;
        if (rules.includes(made)) return no("RTNETLINK answers: File exists", 2);
        rules.push(made);
      } else {
        const at = rules.findIndex(
          (have) => (pref === undefined || have.startsWith(`${pref} `)) && have.includes(what!),
        );
        if (at < 0) return no("RTNETLINK answers: No such file or directory", 2);
        rules.splice(at, 1);
      }
      return ok();
    }
    return ok();
  }

  // kubeadm, whose work is files as much as objects.

  private manifest(component: string, version: string, more = ""): string {
    return `image: registry.k8s.io/${component}:v${version}\n${more}`;
  }
  /** A control plane's files, as kubeadm leaves them. */
  controlPlaneFiles(version = this.clusterVersion): void {
    for (const component of ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]) {
      this.put(`/etc/kubernetes/manifests/${component}.yaml`, this.manifest(component, version));
    }
    for (const name of [
      "ca.crt",
      "ca.key",
      "sa.pub",
      "sa.key",
      "etcd/ca.crt",
      "etcd/ca.key",
      "etcd/server.crt",
      "etcd/server.key",
    ]) {
      if (this.file(`/etc/kubernetes/pki/${name}`) === undefined) {
        this.put(
          `/etc/kubernetes/pki/${name}`,
          name === "ca.crt" ? "CA_CRT\n" : `${name}\n`,
          name === "ca.crt" ? 0o644 : 0o600,
        );
      }
    }
    this.put("/etc/kubernetes/admin.conf", "kind: Config\n");
    if (this.file("/var/lib/etcd/member/snap/db") === undefined) this.put("/var/lib/etcd/member/snap/db", "data\n");
    this.nodeFiles();
  }
  /** Any node's files, as kubeadm and the kubelet leave them. */
  nodeFiles(): void {
    this.put("/etc/kubernetes/kubelet.conf", `kind: Config\nserver: https://${this.node.ip}:6443\n`);
    if (this.file("/etc/kubernetes/pki/ca.crt") === undefined)
      this.put("/etc/kubernetes/pki/ca.crt", "CA_CRT\n", 0o644);
    this.put("/var/lib/kubelet/config.yaml", "serverTLSBootstrap: true\n");
    this.put("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\n");
    this.put("/var/lib/kubelet/pki/kubelet-client-current.pem", "client\n");
    this.put("/var/lib/kubelet/pki/kubelet-server-current.pem", "certificate\n");
    this.units["kubelet.service"] = { enabled: true, active: true };
  }

  private kubeadm(args: string[]): Answer {
    const text = args.filter((word) => !word.startsWith("-")).join(" ");
    const { name, ip, role } = this.node;
    if (text.startsWith("version")) return ok(`v${this.binaries.kubeadm}\n`);
    if (text.startsWith("certs check-expiration")) {
      return ok(
        '{"certificates":[{"name":"apiserver","expirationDate":"2099-01-01T00:00:00Z"}],"certificateAuthorities":[{"expirationDate":"2100-01-01T00:00:00Z"}]}\n',
      );
    }
    if (text.startsWith("certs renew")) {
      this.put("/etc/kubernetes/pki/renewed", "renewed\n");
      return ok();
    }
    if (text.startsWith("config images list")) return ok("registry.k8s.io/etcd:3.6.8-0\n");
    if (text.startsWith("config images pull")) return ok();
    if (text.startsWith("kubeconfig user")) return ok("kind: Config\n");
    if (text.startsWith("init phase upload-config") || text.startsWith("config validate")) return ok();
    if (text.startsWith("init phase etcd")) {
      this.put("/etc/kubernetes/manifests/etcd.yaml", this.manifest("etcd", this.clusterVersion, "secured: true\n"));
      return ok();
    }
    if (text.startsWith("init phase control-plane")) {
      const component = `kube-${args[3]}`;
      this.put(
        `/etc/kubernetes/manifests/${component}.yaml`,
        this.manifest(component, this.clusterVersion, "secured: true\n"),
      );
      return ok();
    }
    if (
      text.startsWith("upgrade node phase kubelet-config") ||
      text.startsWith("upgrade node") ||
      text.startsWith("upgrade apply")
    ) {
      this.put("/var/lib/kubelet/config.yaml", "serverTLSBootstrap: true\nsecured: true\n");
      if (text.includes("phase")) return ok();
      if (text.startsWith("upgrade apply")) {
        this.clusterVersion = this.binaries.kubeadm!;
        merge(this.find("ConfigMap", "kubeadm-config")!, {
          data: { ClusterConfiguration: `kubernetesVersion: v${this.clusterVersion}\n` },
        });
      }
      if (role === "control-plane") {
        for (const component of ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]) {
          this.put(`/etc/kubernetes/manifests/${component}.yaml`, this.manifest(component, this.clusterVersion));
        }
        this.put("/etc/kubernetes/tmp/kubeadm-backup-manifests-1/etcd.yaml", "copy\n");
      }
      return ok();
    }
    if (args[0] === "init") {
      if (
        this.entries("/var/lib/etcd").length > 0 &&
        !args.some((word) => /DirAvailable|^--skip-phases=preflight/.test(word))
      ) {
        return no("[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty");
      }
      this.clusterVersion = this.binaries.kubeadm!;
      // A cluster of its own, which knows nothing of another.
      this.objects = [];
      this.members = [];
      this.controlPlaneFiles();
      this.ownApi = true;
      this.seed();
      this.addNode(name, ip, "control-plane", undefined);
      this.objects.push({
        kind: "Secret",
        type: "bootstrap.kubernetes.io/token",
        metadata: { name: "bootstrap-token-123456", namespace: "kube-system" },
      });
      return ok();
    }
    if (args[0] === "join") {
      if (!this.apiUp()) return no("error: no API server answers");
      if (role === "control-plane") this.controlPlaneFiles();
      else this.nodeFiles();
      if (!this.find("Node", name)) this.addNode(name, ip, role, undefined);
      if (role === "control-plane") this.ownApi = true;
      return ok();
    }
    if (args[0] === "reset") {
      this.ownApi = false;
      for (const path of ["manifests", "admin.conf", "kubelet.conf", "pki"])
        rmSync(`${this.root}/etc/kubernetes/${path}`, { recursive: true, force: true });
      return ok();
    }
    throw new Error(`kubeadm ${args.join(" ")}`);
  }

  entries(path: string): string[] {
    return existsSync(this.root + path) ? readdirSync(this.root + path) : [];
  }

  /** What every cluster has. */
  seed(): void {
    mkdirSync(dirname(`${this.root}/x`), { recursive: true });
    this.objects.push({ kind: "Namespace", metadata: { name: "kube-system", annotations: {} } });
    for (const [kind, name] of [
      ["DaemonSet", "cilium"],
      ["Deployment", "cilium-operator"],
      ["Deployment", "coredns"],
    ] as const) {
      this.objects.push({ kind, metadata: { name, namespace: "kube-system" } });
    }
    this.objects.push({
      kind: "ConfigMap",
      metadata: { name: "kubeadm-config", namespace: "kube-system" },
      data: { ClusterConfiguration: `apiServer: {}\nkubernetesVersion: v${this.clusterVersion}\n` },
    });
  }
}
