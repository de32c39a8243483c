/**
 * What a host has besides its files and its part in a cluster: packages, tables of nftables, a login to a tailnet, images, and
 * what the services that run have read when they started. The commands are answered as the real ones do.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { write } from "./bash";
import type { Answer } from "./fake-cluster";

const ok = (stdout = ""): Answer => ({ status: 0, stdout, stderr: "" });
const no = (stderr = "", status = 1): Answer => ({ status, stdout: "", stderr });

export const stub = (name: string) => `#!/bin/bash\ntk_fake ${name} "$@"\n`;

/** Packages that bring commands which can be missing, each with its repository's list (none: the distribution's) and its units. */
const packages: Readonly<Record<string, { commands: string[]; list?: string; units?: string[]; starts?: boolean }>> = {
  tailscale: { commands: ["tailscale", "tailscaled"], list: "tailscale", units: ["tailscaled"], starts: true },
  "containerd.io": { commands: ["containerd", "ctr"], list: "docker", units: ["containerd"], starts: true },
  containerd: { commands: ["containerd", "ctr"], units: ["containerd"], starts: true },
  kubelet: { commands: ["kubelet"], list: "kubernetes", units: ["kubelet"] },
  kubeadm: { commands: ["kubeadm"], list: "kubernetes" },
  kubectl: { commands: ["kubectl"], list: "kubernetes" },
  nftables: { commands: ["nft"] },
  ethtool: { commands: ["ethtool"] },
};

/** Files that a service reads when it starts, besides its unit's own. */
const reads: Readonly<Record<string, readonly string[]>> = {
  "containerd.service": ["/etc/containerd/config.toml"],
  "systemd-networkd.service": ["/etc/systemd/networkd.conf.d/50-tailkube.conf"],
  "NetworkManager.service": ["/etc/NetworkManager/conf.d/50-tailkube.conf"],
};
const looksAt = (unit: string) => unit in reads || /^(tailscaled\.service|tailkube-(?!guard).*)$/.test(unit);

/** What `ping -q -c 50` of iputils says at its end. */
export const answeredPing = (address: string, average = "0.321", received = 50) =>
  `PING ${address} (${address}) 56(84) bytes of data.\n\n--- ${address} ping statistics ---\n50 packets transmitted, ${received} received, ${100 - 2 * received}% packet loss, time 4912ms\n${
    received === 0 ? "" : `rtt min/avg/max/mdev = 0.045/${average}/900.080/0.010 ms\n`
  }`;

interface Host {
  readonly root: string;
  readonly node: { name: string; ip: string };
  units: Record<string, { enabled: boolean; active: boolean }>;
  addresses: Set<string>;
  binaries: Record<string, string>;
}

/** As a login that nobody has changed has them. */
export const untouchedPrefs: Readonly<Record<string, string | number | boolean>> = {
  ControlURL: "https://login.example.com",
  RouteAll: false,
  CorpDNS: true,
  Hostname: "",
  NoSNAT: false,
  NetfilterMode: 2,
  ShieldsUp: false,
  WantRunning: false,
};

export class FakeHost {
  packages: Record<string, string> = {};
  holds = new Set<string>();
  /** Lists of repositories that apt has fetched. */
  private lists = new Set<string>();
  /** Commands that this host has not got. */
  missing = new Set<string>();
  tables: Record<string, string> = {};
  tailscale = {
    state: "Running",
    key: true,
    tags: ["tag:k8s"],
    keyExpiry: "",
    routes: [] as string[],
    prefs: { ...untouchedPrefs } as Record<string, string | number | boolean>,
  };
  /** Text of a unit's files, as systemd has read them; and what a running service has read. */
  private loaded: Record<string, string> = {};
  private running: Record<string, Record<string, string>> = {};

  constructor(private readonly host: Host) {}

  private read(path: string): string | undefined {
    return existsSync(this.host.root + path) ? readFileSync(this.host.root + path, "utf8") : undefined;
  }

  // Images are files, which go with containerd's folder.

  private readonly imageFolder = "/var/lib/containerd/images";
  get images(): string[] {
    const folder = this.host.root + this.imageFolder;
    return existsSync(folder) ? readdirSync(folder).map(decodeURIComponent).sort() : [];
  }
  addImage(name: string): void {
    write(`${this.host.root}${this.imageFolder}/${encodeURIComponent(name)}`, "");
  }
  removeImage(name: string): void {
    rmSync(`${this.host.root}${this.imageFolder}/${encodeURIComponent(name)}`, { force: true });
  }

  // Commands that come and go.

  /** This host has not got these commands. */
  without(...commands: string[]): void {
    for (const name of commands) {
      this.missing.add(name);
      rmSync(`${this.host.root}/usr/local/sbin/${name}`, { force: true });
    }
  }
  /** Whether a shell finds it. */
  has(command: string): boolean {
    return ["sbin", "bin"].some((folder) => existsSync(`${this.host.root}/usr/local/${folder}/${command}`));
  }
  /** The installed package that has a file of that name. */
  private packageOf(command: string): string | undefined {
    return Object.keys(this.packages).find((name) => packages[name]?.commands.includes(command));
  }

  // systemd.

  private unitText(unit: string): string {
    const folder = `${this.host.root}/etc/systemd/system/${unit}.d`;
    const more = existsSync(folder) ? readdirSync(folder).sort() : [];
    return [
      this.read(`/etc/systemd/system/${unit}`) ?? this.read(`/run/systemd/system/${unit}`) ?? "",
      ...more.map((file) => this.read(`/etc/systemd/system/${unit}.d/${file}`)!),
    ].join("");
  }
  reloaded(): void {
    for (const unit of Object.keys(this.loaded)) this.loaded[unit] = this.unitText(unit);
  }
  started(unit: string): void {
    if (!looksAt(unit)) return;
    const text = (this.loaded[unit] ??= this.unitText(unit));
    const files = [
      ...(reads[unit] ?? []),
      ...[...text.matchAll(/\/usr\/local\/(?:lib\/tailkube|s?bin)\/[\w-]+/g)].map(([path]) => path),
      ...(unit.startsWith("tailkube-")
        ? ["/etc/tailkube/node.env", "/etc/tailkube/endpoint.env", "/etc/tailkube/load-balancer.env"]
        : []),
    ];
    const digest = (of: string) => createHash("sha256").update(of).digest("hex").slice(0, 8);
    this.running[unit] = { unit: digest(text) };
    for (const file of files) {
      const content = this.read(file);
      if (content !== undefined) this.running[unit][file] = digest(content);
    }
    if (unit === "tailkube-network.service") this.tables["inet tailkube"] = "chain pods {}\n";
    if (unit === "tailkube-load-balancer.service") this.tables["inet tailkube_load_balancer"] = "chain output {}\n";
  }
  stopped(unit: string): void {
    delete this.running[unit];
    if (unit === "tailkube-network.service") delete this.tables["inet tailkube"];
  }
  /** All that runs has read what is there. */
  booted(): void {
    for (const [unit, { active }] of Object.entries(this.host.units)) if (active) this.started(unit);
  }

  state(): Record<string, unknown> {
    const stale = Object.keys(this.loaded).filter((unit) => this.loaded[unit] !== this.unitText(unit));
    const { prefs, routes, ...login } = this.tailscale;
    return {
      packages: Object.fromEntries(Object.entries(this.packages).sort()),
      holds: [...this.holds].sort(),
      tables: Object.fromEntries(Object.entries(this.tables).sort()),
      tailscale: login,
      // Of no account without a login.
      "tailscale prefs": login.key ? prefs : {},
      "tailscale routes": login.key ? [...routes].sort() : [],
      running: Object.fromEntries(Object.entries(this.running).sort()),
      stale: stale.sort(),
    };
  }

  // The commands.

  readonly commands: Record<string, (args: string[]) => Answer> = {
    "apt-get": (args) => this.aptGet(args),
    "apt-cache": (args) => ok(`${args[1]} | 9.9.9 | x\n`),
    "apt-mark": (args) => {
      if (args[0] === "showhold") return ok([...this.holds].sort().map((name) => `${name}\n`).join("")); // prettier-ignore
      for (const name of args.slice(1)) {
        if (args[0] === "hold") this.holds.add(name);
        else this.holds.delete(name);
      }
      return ok();
    },
    "dpkg-query": (args) => {
      const last = args[args.length - 1]!;
      if (args.includes("-S")) {
        const name = this.packageOf(last.split("/").pop()!);
        return name === undefined ? no(`dpkg-query: no path found matching pattern ${last}`) : ok(`${name}: ${last}\n`);
      }
      const version = this.packages[last];
      return version === undefined
        ? no(`dpkg-query: no packages found matching ${last}`)
        : ok(`installed ${version}-1.1`);
    },
    dpkg: (args) =>
      args[0] === "-S" || args[0] === "--search" ? no("dpkg-query: no path found matching pattern x") : ok(),
    nft: (args) => this.nft(args.join(" ")),
    tailscale: (args) => this.tailscaleCommand(args),
    ping: (args) => ok(answeredPing(args[args.length - 1]!)),
    tailscaled: (args) => (args[0] === "--version" ? ok("1.102.5\n") : ok()),
    containerd: (args) =>
      args.includes("dump")
        ? ok(this.read(args[args.indexOf("--config") + 1]!) ?? "")
        : ok(`containerd github.com/containerd/containerd v${this.host.binaries.containerd}~ds1 x\n`),
  };

  /** Whether apt has this repository's list: now, or when a package of it was installed. */
  private knows(list: string): boolean {
    return this.lists.has(list) || Object.keys(this.packages).some((name) => packages[name]?.list === list);
  }

  private aptGet(args: string[]): Answer {
    if (args.includes("update")) {
      const folder = `${this.host.root}/etc/apt/sources.list.d`;
      this.lists = new Set(existsSync(folder) ? readdirSync(folder).map((file) => file.replace(/\.list$/, "")) : []);
      return ok();
    }
    if (!args.includes("install") || args.includes("--simulate")) return ok();
    const wanted = args.slice(args.indexOf("install") + 1).flatMap((word) => {
      const found = /^([a-z][a-z0-9.-]*)(?:=(\d+\.\d+\.\d+).*)?$/.exec(word);
      return found === null ? [] : [{ name: found[1]!, version: found[2] }];
    });
    for (const { name, version } of wanted) {
      const list = packages[name]?.list;
      if (list !== undefined && !this.knows(list)) return no(`E: Unable to locate package ${name}`, 100);
      if (this.holds.has(name) && this.packages[name] !== version && !args.includes("--allow-change-held-packages"))
        return no("E: Held packages were changed and -y was used without --allow-change-held-packages.", 100);
    }
    if (args.includes("--download-only")) return ok();
    for (const { name, version } of wanted) {
      const before = this.packages[name];
      this.packages[name] = version ?? before ?? (name.startsWith("containerd") ? "1.7.24" : "1.0.0");
      if (this.host.binaries[name] !== undefined) this.host.binaries[name] = this.packages[name];
      for (const command of packages[name]?.commands ?? []) {
        if (!this.missing.delete(command)) continue;
        write(`${this.host.root}/usr/local/sbin/${command}`, stub(command), 0o755);
      }
      for (const unit of before === undefined ? (packages[name]?.units ?? []) : []) {
        write(`${this.host.root}/run/systemd/system/${unit}.service`, "[Unit]\n");
        const starts = packages[name]!.starts === true;
        this.host.units[`${unit}.service`] ??= { enabled: starts, active: starts };
        if (starts) this.started(`${unit}.service`);
      }
      if (name === "containerd.io" && this.read("/etc/containerd/config.toml") === undefined)
        write(`${this.host.root}/etc/containerd/config.toml`, 'disabled_plugins = ["cri"]\n');
    }
    return ok();
  }

  private nft(text: string): Answer {
    const shown = (name: string) => `table ${name} {\n${this.tables[name]}}\n`;
    if (text === "list tables") return ok(Object.keys(this.tables).map((name) => `table ${name}\n`).join("")); // prettier-ignore
    if (text === "list chains") return ok(Object.keys(this.tables).map(shown).join(""));
    const [, what, name, chain] = /^(?:list|delete) (table|chain) (\S+ \S+)(?: (\S+))?$/.exec(text) ?? [];
    if (name !== undefined) {
      const table = this.tables[name];
      const part = new RegExp(`^\\tchain ${chain} \\{\\n(.*\\n)*?\\t\\}\\n`, "m");
      const found = what === "table" ? (table && shown(name)) : part.exec(table ?? "")?.[0]; // prettier-ignore
      if (found === undefined) return no("Error: No such file or directory");
      if (text.startsWith("list")) return ok(found);
      if (what === "table") delete this.tables[name];
      else this.tables[name] = table!.replace(part, "");
      return ok();
    }
    const file = /^-f (\S+)$/.exec(text)?.[1];
    if (file === undefined) throw new Error(`nft ${text}`);
    for (const [, made, body] of (this.read(file) ?? "").matchAll(/^table (\S+ \S+) \{\n((?:.*\n)*?)\}$/gm))
      this.tables[made!] = body!;
    return ok();
  }

  private tailscaleCommand(args: string[]): Answer {
    const { tailscale: t, host } = this;
    if (args[0] === "--version" || args[0] === "version") return ok("1.102.5\n");
    if (host.units["tailscaled.service"]?.active !== true)
      return no("failed to connect to local tailscaled; it doesn't appear to be running");
    const address = `${host.node.ip}/32 tailscale0`;
    switch (args[0]) {
      case "status": {
        const self: Record<string, unknown> = {
          ID: "n1",
          DNSName: `${host.node.name}.example.ts.net.`,
          ...(t.key ? { Tags: t.tags } : {}),
          ...(t.keyExpiry === "" ? {} : { KeyExpiry: t.keyExpiry }),
        };
        const more = t.key ? { HaveNodeKey: true } : {};
        return ok(`${JSON.stringify({ BackendState: t.state, ...more, Self: self }, undefined, 2)}\n`);
      }
      case "ip":
        return t.state === "Running" ? ok(`${host.node.ip}\n`) : no("no current Tailscale IPs; state: NeedsLogin");
      case "debug": {
        const routes = t.routes.length > 0 ? t.routes : null;
        const config = t.key ? { Config: { NodeID: "n1" } } : {};
        return ok(`${JSON.stringify({ ...t.prefs, AdvertiseRoutes: routes, ...config }, undefined, "\t")}\n`);
      }
      case "set":
      case "up":
        for (const word of args.slice(1)) {
          const [, name, value] = /^--([a-z-]+)=?(.*)$/.exec(word) ?? [];
          if (name === "advertise-routes") t.routes = value!.split(",").filter(Boolean);
          if (name === "login-server") t.prefs.ControlURL = value!;
          if (name === "hostname") t.prefs.Hostname = value!;
          if (name === "accept-dns") t.prefs.CorpDNS = value === "true";
          if (name === "accept-routes") t.prefs.RouteAll = value === "true";
          if (name === "snat-subnet-routes") t.prefs.NoSNAT = value !== "true";
        }
        if (args[0] === "up") {
          Object.assign(t, { state: "Running", key: true });
          t.prefs.WantRunning = true;
          host.addresses.add(address);
        }
        return ok();
      case "ping":
        return ok(`pong from other (${args[args.length - 1]}) via 192.0.2.99:41641 in 1ms\n`);
      case "logout":
        Object.assign(t, { state: "NeedsLogin", key: false });
        t.prefs.WantRunning = false;
        host.addresses.delete(address);
        return ok();
      default:
        return ok();
    }
  }
}
