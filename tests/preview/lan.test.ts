/** The whole program with nodeNetwork lan: nothing of a tailnet is left, and everything follows the hosts' own network. */
import { expect } from "chai";
import { scriptText, vipWatchScript } from "../../components/hosts/script-text";
import { before as prepare } from "mocha";
import { parse, parseAllDocuments } from "yaml";
import type { HostFacts } from "../../components/hosts/facts";
import { bash } from "../unit/host/bash";
import { minimal } from "../unit/config/fixtures";
import { isScript, type Registered, type Run, runProgram, unknown, variablesOf } from "./program";

const nodes = minimal.nodes as { name: string }[];
const names = nodes.map(({ name }) => name);
const last = [11, 12, 13, 21];
const addressOf = (i: number) => `172.31.77.${last[i]}`;

const machine = (i: number, eth1 = 1500): Partial<HostFacts> => ({
  interfaces: [
    { name: "eth0", addresses: ["10.0.2.15/24"], mtu: 9000 },
    { name: "eth1", addresses: [`${addressOf(i)}/24`], mtu: eth1 },
  ],
});
const facts = Object.fromEntries(names.map((name, i) => [name, machine(i)]));
const config = {
  nodeNetwork: "lan",
  lan: { cidr: "172.31.77.0/24" },
  endpoint: { address: "172.31.77.11" },
  tailnetAuthKey: undefined,
  nodes: [...nodes.slice(0, 3), { ...nodes[3]!, checksumOffload: false }],
};

const custom = ({ resources }: Run) => resources.filter((r) => r.custom);
const scripts = ({ resources }: Run) => resources.filter(isScript);
const stdinOf = ({ inputs }: Registered) => inputs.stdin as string;
const find = (run: Run, name: string) => custom(run).find((r) => r.name === name)!;
const variables = (run: Run, name: string) => variablesOf(stdinOf(find(run, name)));
const values = (run: Run) => find(run, "cilium-release").inputs.values as Record<string, unknown>;

describe("a cluster in a lan", () => {
  let run: Run;
  prepare(async () => {
    run = await runProgram({ config, facts });
    expect(run.errors).to.deep.equal([]);
  });

  it("has no resource, no secret and no command of a tailnet", () => {
    const kinds = run.resources.map(({ type, name }) => `${type} ${name}`);
    expect(kinds.filter((kind) => /tailnet|tailscale/.test(kind))).to.deep.equal([]);
    for (const name of names) {
      expect(kinds).to.include.members([`command:local:Command ${name}-lan`]);
    }
    for (const { name, inputs } of scripts(run)) {
      if (name.endsWith("-upgrade")) continue;
      // The scripts that all stages share speak of it, and do it in a tailnet alone; so does the undo.
      // The guard gives back what it finds on a host of the user's.
      expect(
        (inputs.stdin as string).replaceAll(scriptText("installed/guard.sh").replaceAll("'", "'\\''"), ""),
        name,
      ).to.not.match(/tailscale (up|set|logout)/);
    }
  });

  it("declares each node's own address everywhere, though the NAT's comes first", () => {
    names.forEach((name, i) => {
      expect(variables(run, `${name}-lan`).TK_ADDRESS).to.equal(addressOf(i));
      const script = i < 3 ? `${name}-control-plane` : `${name}-join`;
      expect(variables(run, script)).to.include({ TK_NODE_IP: addressOf(i), TK_NODE_NETWORK: "lan" });
      for (const variable of i < 3 ? ["TK_INIT_DOCUMENT", "TK_JOIN_DOCUMENT"] : ["TK_KUBEADM_DOCUMENT"]) {
        const [first] = parseAllDocuments(variables(run, script)[variable]!).map(
          (document) => document.toJS() as { nodeRegistration: { kubeletExtraArgs: object[] } },
        );
        expect(first!.nodeRegistration.kubeletExtraArgs).to.deep.include({ name: "node-ip", value: addressOf(i) });
      }
    });
    expect(variables(run, "cluster-checks").TK_NODES).to.equal(names.map((n, i) => `${n}=${addressOf(i)}`).join(" "));
    const output = run.outputs.nodes as { address: string; deviceId: string }[];
    expect(output.map(({ address, deviceId }) => [address, deviceId])).to.deep.equal(
      names.map((_, i) => [addressOf(i), ""]),
    );
  });

  it("pins Cilium to the interfaces, with their MTU and a tunnel", () => {
    expect(values(run)).to.deep.include({
      devices: "eth1",
      MTU: 1500,
      routingMode: "tunnel",
      tunnelPort: 8472,
      k8sServiceHost: "172.31.77.11",
      rollOutCiliumPods: true,
    });
    expect(values(run).nodePort).to.deep.equal({ directRoutingDevice: "eth1" });
    expect(variables(run, "cluster-checks")).to.include({
      TK_POD_MTU: "1450",
      TK_UNDERLAY_MTU: "1500",
      TK_TUNNEL_PORT: "8472",
    });
  });

  it("turns the checksum offload off where it is wanted, and nowhere else", () => {
    const offload = names.map((name) => variables(run, `${name}-lan`).TK_CHECKSUM_OFFLOAD);
    expect(offload).to.deep.equal(["on", "on", "on", "off"]);
  });

  it("looks at all hosts before it changes one, and has the undo before that", () => {
    for (const name of names) {
      const { dependencies } = find(run, `${name}-lan`);
      expect(
        dependencies.some((urn) => urn.endsWith(`::${name}-cleanup`)),
        name,
      ).to.equal(true);
      expect(
        dependencies.some((urn) => /-facts$/.test(urn)),
        name,
      ).to.equal(true);
      expect(
        find(run, `${name}-runtime`).dependencies.some((urn) => urn.endsWith(`::${name}-lan`)),
        name,
      ).to.equal(true);
    }
  });

  it("gives each script, which is bash, every variable that it reads", () => {
    // Those of load balancers: tests/preview/load-balancer.test.ts.
    const balancer = ["", "_ALONE", "_NODES", "_DEVICES", "_SERVING"].map((name) => `TK_LOAD_BALANCER${name}`);
    // Those of other options: proxy.test.ts, hubble.test.ts.
    const vip = ["TK_ENDPOINT_KIND", "TK_VIP"];
    const options = ["TK_PROXY", "TK_PROXY_OPEN", "TK_PROXY_AUTHORIZATION", "TK_HUBBLE", ...vip];
    const never = [...options, "TK_LOCK_SECONDS", "TK_ENDPOINT", ...balancer, "TK_HOST_LOAD_BALANCER", "TK_RESTORE"];
    // Of functions that other stages call.
    const shared = ["TK_KUBEADM_DOCUMENT", "TK_MARK", "TK_API_PORT", "TK_ENDPOINT_PORT"];
    const ofTailnet = [
      "LOGIN_SERVER",
      "AUTH_KEY",
      "TAGS",
      "HOST_ROUTES",
      "HOST_WAIT_ADDRESS",
      "HOST_NETWORK",
      "HOST_CILIUM",
      "POD_CIDR",
      "HOST_GUARD",
      "HOST_ENDPOINT",
    ];
    for (const script of scripts(run)) {
      const text = stdinOf(script);
      const code = text.slice(text.indexOf("\n# shellcheck shell=bash\n")).replace(/^\s*#.*$/gm, "");
      const read = new Set([...code.matchAll(/\$\{?(TK_[A-Z0-9_]+)/g)].map((match) => match[1]!));
      const unused = script.name.endsWith("-upgrade") ? ofTailnet.map((name) => `TK_${name}`) : [];
      // Its question about other devices' routes is one of the control planes, too.
      if (/-(finalize|checks)$/.test(script.name)) unused.push("TK_POD_CIDR");
      const set = [...text.matchAll(/^(TK_[A-Z0-9_]+)=/gm)].map((match) => match[1]!);
      const given = [...set, ...never, ...shared, ...unused];
      expect(
        [...read].filter((name) => !given.includes(name)),
        script.name,
      ).to.deep.equal([]);
      const { status, stderr } = bash(`set -n\n${text}`, "apply");
      expect({ status, stderr }, script.name).to.deep.equal({ status: 0, stderr: "" });
    }
  });
});

describe("other lans", () => {
  it("a balancer: its address and port for all who ask, the API servers' own port behind it", async () => {
    const run = await runProgram({
      config: { ...config, endpoint: { address: "k8s.example.com", port: 443, apiServerPort: 6443 } },
      facts,
    });
    expect(run.errors).to.deep.equal([]);
    const [init, cluster] = parseAllDocuments(variables(run, "cp2-control-plane").TK_INIT_DOCUMENT!).map(
      (document) => document.toJS() as Record<string, unknown>,
    );
    expect(init!.localAPIEndpoint).to.deep.equal({ advertiseAddress: "172.31.77.12", bindPort: 6443 });
    expect(cluster!.controlPlaneEndpoint).to.equal("k8s.example.com:443");
    expect(cluster!.apiServer).to.deep.include({ certSANs: ["k8s.example.com", "192.0.2.12"] });
    expect(values(run)).to.include({ k8sServiceHost: "k8s.example.com", k8sServicePort: 443 });
    expect(variables(run, "w1-join")).to.include({
      TK_ENDPOINT: "k8s.example.com",
      TK_ENDPOINT_PORT: "443",
      TK_API_PORT: "6443",
    });
    const { clusters } = parse(find(run, "cilium-kubernetes").inputs.kubeconfig as string) as {
      clusters: { cluster: { server: string } }[];
    };
    expect(clusters[0]!.cluster.server).to.equal("https://192.0.2.11:6443");
  });

  it("a virtual IP: the control planes have its watch, the guard and the facts know of it, and all ask at it", async () => {
    const address = "172.31.77.10";
    const run = await runProgram({ config: { ...config, endpoint: { address, kind: "vip", port: 7443 } }, facts });
    expect(run.errors).to.deep.equal([]);
    for (const name of ["cp1", "cp2", "cp3"]) {
      const given = variables(run, `${name}-control-plane`);
      expect(given).to.include({
        TK_ENDPOINT: address,
        TK_ENDPOINT_KIND: "vip",
        TK_ENDPOINT_PORT: "7443",
        TK_API_PORT: "7443",
      });
      expect(given.TK_HOST_ENDPOINT).to.equal(vipWatchScript());
    }
    expect(variables(run, "w1-join")).to.include({ TK_ENDPOINT: address, TK_ENDPOINT_PORT: "7443" });
    for (const name of names) {
      expect(variables(run, `${name}-lan`).TK_ENDPOINT).to.equal(address);
      expect(variables(run, `${name}-facts`).TK_VIP).to.equal(address);
    }
    const checks = variables(run, "cluster-checks");
    expect(checks.TK_ENDPOINT_KIND).to.equal("vip");
    expect(checks.TK_CHECK_VALUES!.split(" ")).to.include("TK_ENDPOINT_KIND");
    expect(values(run)).to.include({ k8sServiceHost: address, k8sServicePort: 7443 });
    const access = run.outputs.access as { endpoint: object } | undefined;
    if (access !== undefined) expect(access.endpoint).to.deep.equal({ address, port: 7443, kind: "vip" });
  });

  it("no virtual IP: nothing of one in any script's variables", async () => {
    const run = await runProgram({ config, facts });
    for (const { name } of scripts(run)) {
      expect(Object.keys(variables(run, name)), name).to.not.include.members(["TK_ENDPOINT_KIND"]);
      expect(Object.keys(variables(run, name)), name).to.not.include.members(["TK_VIP"]);
    }
  });

  it("a device that has the virtual IP already: an error with its MAC address, and nothing is changed", async () => {
    const seen = { macs: ["52:54:00:4d:1f:0b"], endpointMac: "02:00:00:00:00:99" };
    const run = await runProgram({
      config: { ...config, endpoint: { address: "172.31.77.10", kind: "vip" } },
      facts: { ...facts, cp2: { ...facts.cp2, ...seen } },
    });
    expect(run.errors).to.have.lengthOf(1);
    expect(run.errors[0]!.message).to.match(
      /already belongs to another device on the network of cp2, with the MAC address 02:/,
    );
    expect(custom(run).some(({ name }) => name.endsWith("-lan"))).to.equal(false);
  });

  it("interfaces of other names and MTUs: all by name, and the smallest MTU", async () => {
    const odd = { interfaces: [{ name: "enp3s0", addresses: ["172.31.77.21/24"], mtu: 1400 }] };
    const run = await runProgram({
      config: { ...config, network: { tunnelPort: 8473 } },
      facts: { ...facts, w1: odd },
    });
    expect(values(run)).to.deep.include({ devices: ["enp3s0", "eth1"], MTU: 1400, tunnelPort: 8473 });
    expect(values(run)).to.not.have.property("nodePort");
    expect(variables(run, "cluster-checks")).to.include({ TK_POD_MTU: "1350", TK_TUNNEL_PORT: "8473" });
  });

  it("routed pods: Cilium itself sets the routes between neighbours", async () => {
    const run = await runProgram({ config: { ...config, network: { podRouting: "native" } }, facts });
    expect(values(run)).to.deep.include({ routingMode: "native", autoDirectNodeRoutes: true });
    expect(variables(run, "cluster-checks").TK_POD_MTU).to.equal("1500");
  });

  it("hosts that do not fit it: one error that names them, and nothing is changed", async () => {
    const run = await runProgram({ config: { ...config, lan: { cidr: "172.31.78.0/24" } }, facts });
    expect(run.errors).to.have.lengthOf(1);
    expect(run.errors[0]!.message).to.match(
      /^The config does not match the hosts\. .*\n {2}- cp1: none of its addresses is in lan\.cidr 172\.31\.78\.0\/24; it has 10\.0\.2\.15 on eth0, 172\.31\.77\.11 on eth1\./,
    );
    expect(custom(run).map(({ name }) => name)).to.have.members(
      names.flatMap((name) => [`${name}-host-key`, `${name}-facts`, `${name}-cleanup`]),
    );
  });

  it("a preview with no host in reach: the same resources, and what only hosts can say is not known yet", async () => {
    const outline = (run: Run) =>
      custom(run)
        .map(({ type, name }) => `${type} ${name}`)
        .sort();
    const preview = await runProgram({ config, preview: true });
    expect(preview.errors).to.deep.equal([]);
    expect(outline(preview)).to.deep.equal(outline(await runProgram({ config, facts })));
    expect(JSON.stringify(find(preview, "cilium-release").inputs)).to.include(unknown);
  });

  it("a further node of the same kind: nothing changes on the hosts that are there", async () => {
    const w2 = { ...nodes[3]!, name: "w2", host: { address: "192.0.2.22" } };
    const grown = { interfaces: [{ name: "eth1", addresses: ["172.31.77.22/24"], mtu: 1500 }] };
    const [old, more] = [
      await runProgram({ config, facts }),
      await runProgram({ config: { ...config, nodes: [...config.nodes, w2] }, facts: { ...facts, w2: grown } }),
    ];
    const changed = custom(old)
      .filter(({ name, inputs }) => JSON.stringify(find(more, name).inputs) !== JSON.stringify(inputs))
      .map(({ name }) => name);
    expect(changed).to.have.members([
      ...["workers-admission", "cluster-dead-members", "cluster-finalize", "cluster-checks"],
      // It runs nothing before a destroy.
      "cluster-online",
    ]);
  });
});
