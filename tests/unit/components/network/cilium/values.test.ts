import { expect } from "chai";
import { stringify } from "yaml";
import { emptyHostProfile } from "../../../../../model/config";
import {
  ciliumValues,
  pinnedValueConflicts as problems,
  podMtu,
} from "../../../../../components/network/cilium/values";
import { problemLine } from "../../../../../model/problem";
import { bypasses as problemsAround } from "../../../../../components/network/cilium/user-values";
import { merge } from "../../../../../model/merge";
import { expectGolden } from "../../../../golden/golden";
import { configOf } from "../../../config/fixtures";

const sorted = (values: object) => stringify(values, { sortMapEntries: true });

type Config = Parameters<typeof problems>[0];
const contradictions = (config: Config, values: Record<string, unknown>) =>
  problems(config, { values, path: ["cilium", "values"] }).map(problemLine);
const bypasses = (config: Config, values: Record<string, unknown>, key = "cilium.values") =>
  problemsAround(config, { values, path: [key] }).map(problemLine);

describe("Cilium's values", () => {
  it("with pods routed over the tailnet", () => {
    expectGolden("cilium-native.yaml", sorted(ciliumValues({ config: configOf(), nodeCount: 4 })));
  });

  it("with pods tunnelled, from a bundle", () => {
    const config = configOf({
      network: { podRouting: "vxlan", tunnelPort: 8223 },
      bundle: "/opt/bundle",
      endpoint: { port: 8443 },
    });
    expectGolden("cilium-vxlan-bundle.yaml", sorted(ciliumValues({ config, nodeCount: 4 })));
  });

  it("announce the addresses of load balancers in a lan, and change nothing in a tailnet", () => {
    const balanced = { loadBalancer: { cidr: "10.201.0.0/24" } };
    expect(ciliumValues({ config: configOf(balanced), nodeCount: 4 })).to.deep.equal(
      ciliumValues({ config: configOf(), nodeCount: 4 }),
    );
    const lan = {
      nodeNetwork: "lan",
      lan: { cidr: "172.31.77.0/24" },
      endpoint: { address: "172.31.77.11" },
      tailnetAuthKey: undefined,
    };
    const config = configOf({ ...lan, loadBalancer: { cidr: "172.31.77.240/28" } });
    const of = (one: typeof config) =>
      ciliumValues({ config: one, nodeCount: 4, underlay: { devices: ["eth1"], mtu: 1500 } });
    expectGolden("cilium-lan-load-balancer.yaml", sorted(of(config)));
    const { l2announcements, k8sClientRateLimit, ...others } = of(config);
    expect(others).to.deep.equal(of(configOf(lan)));
    expect([l2announcements, k8sClientRateLimit]).to.not.include(undefined);
    expect(contradictions(config, { l2announcements: { enabled: false } })).to.deep.equal([
      "cilium.values.l2announcements.enabled: false conflicts with l2announcements.enabled, which the cluster's network depends on. Allowed: true. Remove it.",
    ]);
    expect(bypasses(config, { extraConfig: { "enable-l2-announcements": "false" } })).to.have.lengthOf(1);
    // The user's own times win.
    const slower = { ...config, cilium: { ...config.cilium, values: { l2announcements: { leaseDuration: "15s" } } } };
    expect(of(slower).l2announcements).to.deep.include({ enabled: true, leaseDuration: "15s" });
  });

  it("run Hubble's relay and UI, with certificates as long as their authority; without the option nothing of it is set", () => {
    const of = (changes: Record<string, unknown>) => ciliumValues({ config: configOf(changes), nodeCount: 4 });
    expect(of({ hubble: { relay: false } })).to.deep.equal(of({}));
    const tls = { auto: { certValidityDuration: 1095 } };
    const on = { enabled: true, rollOutPods: true };
    const { hubble, ...others } = of({ hubble: { relay: true } });
    expect(hubble).to.deep.equal({ enabled: true, relay: on, tls });
    expect(others).to.deep.equal(of({}));
    const both = { hubble: { relay: true, ui: true } };
    expect(of(both).hubble).to.deep.equal({ enabled: true, relay: on, ui: on, tls });
    const image = { image: { useDigest: false } };
    expect(of({ ...both, bundle: "/opt/bundle" }).hubble).to.deep.equal({
      enabled: true,
      relay: { ...on, ...image },
      ui: { ...on, backend: image, frontend: image },
      tls,
    });
    expect(of({ bundle: "/opt/bundle" })).to.not.have.property("hubble");
    const own = { relay: { replicas: 2, image: { repository: "registry.example.com/relay" } } };
    expect(of({ ...both, cilium: { values: { hubble: own } } }).hubble).to.deep.include({
      relay: { ...on, ...own.relay },
    });
    expect(contradictions(configOf(both), { hubble: { enabled: true, relay: { enabled: "true" } } })).to.deep.equal([]);
    expect(contradictions(configOf(both), { hubble: { ui: { enabled: false } } })[0]).to.match(
      /conflicts with hubble\.ui\.enabled, which hubble\.ui depends on\. .* Change hubble\.ui instead\.$/,
    );
    expect(contradictions(configOf(), { hubble: { enabled: false, relay: { enabled: true } } })).to.deep.equal([]);
  });

  it("start one operator on one node", () => {
    expect(ciliumValues({ config: configOf(), nodeCount: 1 }).operator).to.deep.include({ replicas: 1 });
  });

  it("take effect in the run that changes them, one node at a time, in a tailnet as in a lan", () => {
    const lan = {
      nodeNetwork: "lan",
      lan: { cidr: "172.31.77.0/24" },
      endpoint: { address: "172.31.77.11" },
      tailnetAuthKey: undefined,
    };
    const underlay = { devices: ["eth1"], mtu: 1500 };
    for (const values of [
      ciliumValues({ config: configOf(), nodeCount: 3 }),
      ciliumValues({ config: configOf(lan), nodeCount: 3, underlay }),
    ]) {
      const oneNode = { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } };
      expect(values).to.deep.include({ rollOutCiliumPods: true, updateStrategy: oneNode });
      expect(values.envoy).to.deep.equal({ rollOutPods: true, updateStrategy: oneNode });
      expect(values.operator).to.deep.include({ rollOutPods: true });
    }
    expect(contradictions(configOf(), { rollOutCiliumPods: false })).to.have.lengthOf(1);
  });

  it("merge the host profile's under the user's", () => {
    const config = {
      ...configOf({ cilium: { values: { hubble: { enabled: true }, bpf: { mapDynamicSizeRatio: 0.01 } } } }),
      hostProfile: { ...emptyHostProfile, ciliumValues: { hubble: { enabled: false, relay: { enabled: false } } } },
    };
    const values = ciliumValues({ config, nodeCount: 3 });
    expect(values.hubble).to.deep.equal({ enabled: true, relay: { enabled: false } });
    expect(values.bpf).to.deep.equal({ masquerade: false, mapDynamicSizeRatio: 0.01 });
  });

  it("leave pods the whole MTU of the tailnet, or what a tunnel leaves of it", () => {
    expect(podMtu(configOf())).to.equal(1280);
    expect(podMtu(configOf({ network: { podRouting: "vxlan" }, tailnet: { mtu: 1400 } }))).to.equal(1350);
  });

  it("leave the config as it was", () => {
    const config = configOf({ cilium: { values: { bpf: { a: 1 } } } });
    const before = structuredClone(config);
    ciliumValues({ config, nodeCount: 3 });
    expect(config).to.deep.equal(before);
  });
});

describe("contradictions", () => {
  const config = configOf();

  it("are none in values that say the same or something else", () => {
    expect(contradictions(config, {})).to.deep.equal([]);
    expect(
      contradictions(config, {
        devices: ["tailscale0"],
        MTU: 1280,
        k8sServicePort: "6443",
        operator: { replicas: 1 },
        nodePort: { range: "30000,31000" },
      }),
    ).to.deep.equal([]);
  });

  const cases: [string, Record<string, unknown>, RegExp][] = [
    [
      "another device",
      { devices: "eth+" },
      /^cilium\.values\.devices: "eth\+" conflicts with devices, .* Allowed: "tailscale0"\. Remove it\./,
    ],
    [
      "two devices",
      { devices: ["tailscale0", "eth0"] },
      /^cilium\.values\.devices: \["tailscale0","eth0"\] conflicts with devices/,
    ],
    ["another MTU", { MTU: 1500 }, /Change tailnet\.mtu instead\.$/],
    ["a tunnel", { routingMode: "tunnel" }, /Change network\.podRouting instead\.$/],
    ["kube-proxy", { kubeProxyReplacement: false }, /^cilium\.values\.kubeProxyReplacement: false/],
    [
      "no ipam at all",
      { ipam: null },
      /^cilium\.values\.ipam: null conflicts with ipam\.mode, which the cluster's network depends on\. Allowed: "kubernetes"/,
    ],
    ["masquerading in BPF", { bpf: { masquerade: true } }, /^cilium\.values\.bpf\.masquerade: true/],
    ["another endpoint", { k8sServiceHost: "localhost" }, /Change endpoint\.address instead\.$/],
  ];
  for (const [what, values, line] of cases) {
    it(`are found in ${what}`, () => {
      const found = contradictions(config, values);
      expect(found).to.have.lengthOf(1);
      expect(found[0]).to.match(line);
    });
  }

  it("depend on the routing: the tunnel's port is free where there is no tunnel", () => {
    expect(contradictions(config, { tunnelPort: 1 })).to.deep.equal([]);
    expect(contradictions(configOf({ network: { podRouting: "vxlan" } }), { tunnelPort: 1 })).to.have.lengthOf(1);
  });
});

describe("merge", () => {
  it("merges objects and replaces all else, lists too", () => {
    expect(merge({ a: { b: 1, c: [1, 2] }, d: 1 }, { a: { c: [3] }, d: { e: 1 } })).to.deep.equal({
      a: { b: 1, c: [3] },
      d: { e: 1 },
    });
    expect(merge({ a: { b: 1 } }, { a: null })).to.deep.equal({ a: null });
  });
});

describe("bypasses", () => {
  it("are none in values that set something else", () => {
    const values = {
      extraConfig: { "bpf-lb-acceleration": "disabled" },
      extraArgs: ["--debug-verbose=flow"],
      extraEnv: [
        { name: "GODEBUG", value: "x" },
        { name: "CILIUM_DEBUG", value: "true" },
      ],
      devices: "tailscale0",
    };
    expect(bypasses(configOf(), values)).to.deep.equal([]);
    expect(bypasses(configOf(), {})).to.deep.equal([]);
    expect(bypasses(configOf(), { extraConfig: null, extraArgs: {}, extraEnv: "x" })).to.deep.equal([]);
  });

  it("are named with what to change instead, whichever way they take", () => {
    const values = {
      extraConfig: { mtu: "1500", ipam: "cluster-pool", "enable-ipv6": "true" },
      extraArgs: ["--devices=eth0", "-debug", "--auto-direct-node-routes"],
      extraEnv: [{ name: "CILIUM_ROUTING_MODE", value: "tunnel" }],
    };
    expect(bypasses(configOf(), values, "values")).to.deep.equal([
      "values.extraConfig.mtu: mtu bypasses MTU, which the cluster's network depends on. Change tailnet.mtu instead.",
      "values.extraConfig.ipam: ipam bypasses ipam.mode, which the cluster's network depends on. Remove it.",
      "values.extraConfig.enable-ipv6: enable-ipv6 is not allowed here, because the cluster is IPv4 only (docs/install/dual-stack.md). Remove it.",
      "values.extraArgs[0]: devices bypasses devices, which the cluster's network depends on. Remove it.",
      "values.extraArgs[2]: auto-direct-node-routes bypasses autoDirectNodeRoutes, which the cluster's network depends on. Remove it.",
      "values.extraEnv[0]: routing-mode bypasses routingMode, which the cluster's network depends on. Change network.podRouting instead.",
    ]);
  });

  it("cover every pinned value but the chart's own", () => {
    const names = [
      ...["devices", "direct-routing-device", "mtu", "kube-proxy-replacement", "k8s-api-server", "ipam"],
      ...["enable-bpf-masquerade", "routing-mode", "tunnel"],
    ];
    const native = [...names, "ipv4-native-routing-cidr", "auto-direct-node-routes"];
    const vxlan = [...names, "tunnel-protocol", "tunnel-port"];
    for (const [podRouting, all] of [
      ["native", native],
      ["vxlan", vxlan],
    ] as const) {
      const extraConfig = Object.fromEntries(all.map((name) => [name, "x"]));
      expect(bypasses(configOf({ network: { podRouting } }), { extraConfig }), podRouting).to.have.lengthOf(all.length);
    }
  });
});
