/** Hubble in the checks: its relay, its UI and its certificates, and the dropped packets behind a failed path. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import {
  assignments,
  bashOk,
  logOf,
  partsOf,
  removeTemporaryFolders,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";

afterEach(removeTemporaryFolders);

const namespace = "tailkube-checks-n1";

/** What the agents and the API answer. */
interface World {
  /** Nodes that run a probe. */
  running?: string[];
  /** The output of `hubble observe` for dropped flows, by node; a node without one gives no answer. */
  drops?: Record<string, string[]>;
  /** The nodes of which the relay has flows. */
  relayed?: string[];
  relayPort?: number;
  /** Deployments that are not ready, and what the kubelet says of their pods. */
  unready?: Record<string, string>;
  /** Secrets and how many days their certificates are still valid. */
  certificates?: Record<string, number>;
  variables?: Record<string, string>;
}

/** A certificate as it stands in a Secret. */
function certificate(days: number): string {
  const folder = temporaryFolder();
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${folder}/key`];
  // A day more is the time that the test takes.
  execFileSync(
    "openssl",
    ["req", "-x509", ...key, "-subj", "/CN=Cilium CA", "-days", `${days}`, "-out", `${folder}/crt`],
    {
      stdio: "ignore",
    },
  );
  return readFileSync(`${folder}/crt`).toString("base64");
}

/** Runs bash with the checks' parts in such a cluster; what it prints, and what was asked. */
function runs(script: string, world: World = {}) {
  const { running = ["n1", "n2", "n3"], drops = {}, relayed = running, relayPort = 80, unready = {} } = world;
  const root = temporaryFolder();
  for (const [node, lines] of Object.entries(drops))
    write(`${root}/drops.${node}`, lines.map((one) => `${one}\n`).join(""));
  for (const [name, state] of Object.entries(unready))
    write(`${root}/unready.hubble-${name}`, `hubble-${name}-5d 0/1 ${state} 0 1m\n`);
  const secrets = Object.entries(world.certificates ?? {}).map(
    ([name, days]) => `${name} ${certificate(days)}\n${name} ${certificate(4000)}\n`,
  );
  write(`${root}/secrets`, secrets.join(""));
  // As protojson writes it; the relay's own messages name it as their node.
  const flow = (node: string) =>
    `{"flow":{"node_name":"default/${node}","verdict":"FORWARDED"},"node_name":"default/${node}"}\n`;
  write(
    `${root}/flows`,
    `${relayed.map(flow).join("")}{"node_status":{"state_change":"NODE_UNAVAILABLE","node_names":["default/n3"]},"node_name":"default/n3"}\n`,
  );
  // Once unset, SECONDS does not run by itself.
  const fakes = `
    unset SECONDS; SECONDS=0; sleep() { SECONDS=$((SECONDS + \${1%.*})); }
    NAMESPACE=${namespace} PATHS=0 FAILURES=() RUNNING="${running.map((name) => `${name} `).join("")}" FLOW='' FINDINGS=$ROOT/findings AS_COMMAND=\${AS_COMMAND:-}
    declare -A PEER=([n1]="n1=10.50.1.9=10.96.1.1=192.0.2.1" [n2]="n2=10.50.2.9=10.96.1.2=192.0.2.2" [n3]="n3=10.50.3.9=10.96.1.3=192.0.2.3")
    failed() { FAILURES+=("$*"); }
    timeout() { echo "timeout $1" >>"$ROOT/bounds"; shift; "$@"; }
    kubectl_admin() { kubectl "$@"; }
    kubectl() {
      case "$*" in
      *"get pods -l k8s-app=cilium -o"*) [ ! -e "$ROOT/no-api" ] || return 1; printf 'n1=cilium-a n2=cilium-b n3=cilium-c ' ;;
      *"rollout status deployment/"*) set -- "\${5#*/}"; [ ! -e "$ROOT/unready.$1" ] ;;
      *"get pods -l k8s-app=hubble-"*) set -- "\${6#*=}"; command cat "$ROOT/unready.$1" ;;
      *"get service hubble-relay"*) printf 10.96.7.7:${relayPort} ;;
      *"get secrets hubble-server-certs hubble-relay-client-certs "*) command cat "$ROOT/secrets" ;;
      *" exec cilium-"*" -c cilium-agent -- hubble observe "*)
        echo "$6: \${*:12}" >>"$ROOT/log"
        case "$6" in cilium-a) set -- n1 "$@" ;; cilium-b) set -- n2 "$@" ;; *) set -- n3 "$@" ;; esac
        case "$*" in
        *" --server 10.96.7.7:"*) command cat "$ROOT/flows" ;;
        *) [ -e "$ROOT/drops.$1" ] || return 1; command cat "$ROOT/drops.$1" ;;
        esac ;;
      *) echo "no stand-in for: $*" >&2; return 1 ;;
      esac
    }`;
  const parts = partsOf("lib/checks/hubble.sh", "lib/checks/paths.sh", "lib/checks/report.sh")
    .map(scriptText)
    .join("\n");
  const given = {
    ROOT: root,
    TK_HUBBLE: "relay",
    TK_READY_SECONDS: "600",
    TK_NODE: "n1",
    TK_NODE_NETWORK: "tailnet",
    TK_POD_ROUTING: "native",
    ...world.variables,
  };
  const text = `${assignments(given)}\n${parts}\n${fakes}\nmkdir -p "$TK_RUN"\n${script}\nprintf '%s\\n' "$PATHS" "$SECONDS" "\${FAILURES[@]}"`;
  const [paths, seconds, ...failures] = bashOk(withLibrary(root, text, "check-cluster"))
    .trimEnd()
    .split("\n");
  return {
    paths: Number(paths),
    seconds: Number(seconds),
    failures: failures.filter(Boolean),
    asked: logOf(root),
    root,
  };
}

describe("check_hubble", () => {
  const check = (world: World = {}) => runs("check_hubble", world);

  it("checks and asks nothing without the option, nor where no probe runs", () => {
    for (const world of [{ variables: { TK_HUBBLE: "" } }, { running: [] }]) {
      const { paths, failures, asked } = check({ relayed: [], ...world });
      expect({ paths, failures, asked }).to.deep.equal({ paths: 0, failures: [], asked: [] });
    }
  });

  it("finds a flow of every node by one question to the relay", () => {
    const { paths, failures, asked, seconds } = check({ certificates: { "hubble-server-certs": 365 } });
    expect({ paths, failures, seconds }).to.deep.equal({ paths: 3, failures: [], seconds: 0 });
    expect(asked).to.deep.equal(["cilium-a: --server 10.96.7.7:80 --last 1 -o jsonpb"]);
    // The user's own TLS at the relay, and a first control plane that runs no probe.
    expect(check({ relayPort: 443, running: ["n2", "n3"] }).asked).to.deep.equal([
      "cilium-b: --server 10.96.7.7:443 --tls --tls-allow-insecure --last 1 -o jsonpb",
    ]);
  });

  it("names the nodes of which the relay has no flows, after the time that the relay takes to try them again", () => {
    const { failures, paths, seconds } = check({ relayed: ["n1", "n33"] });
    expect(paths).to.equal(0);
    expect(seconds).to.be.within(90, 100);
    expect(failures).to.deep.equal([
      "hubble-relay: asked from n1 at 10.96.7.7:80, it has no flows of n2, n3 (2 of 3 nodes); is TCP 4244 open between the nodes? " +
        "'kubectl -n kube-system logs deployment/hubble-relay' says why it cannot reach them",
    ]);
  });

  it("waits for a relay that starts, but not for an image that cannot be had, and as a command for nothing", () => {
    const slow = check({ unready: { relay: "ContainerCreating" } });
    expect(slow.failures).to.have.lengthOf(1);
    expect(slow.failures[0]).to.match(
      /^hubble-relay: not ready: hubble-relay-5d is ContainerCreating \(0\/1 ready, 0 restarts\); see /,
    );
    expect(slow.seconds).to.be.within(600, 605);
    expect(slow.asked).to.deep.equal([]);
    expect(check({ unready: { relay: "ImagePullBackOff" } }).seconds).to.be.within(180, 182);
    const command = { variables: { AS_COMMAND: "matrix" } };
    expect(check({ unready: { relay: "ContainerCreating" }, ...command }).seconds).to.be.within(30, 32);
  });

  it("checks the UI beside the relay, if there is one", () => {
    const { failures, paths } = check({ unready: { ui: "CrashLoopBackOff" }, variables: { TK_HUBBLE: "relay ui" } });
    expect(paths).to.equal(3);
    expect(failures).to.have.lengthOf(1);
    expect(failures[0]).to.match(/^hubble-ui: not ready: hubble-ui-5d is CrashLoopBackOff/);
    expect(check({ unready: { ui: "CrashLoopBackOff" } }).failures).to.deep.equal([]);
  });

  it("says which certificates end within thirty days, those after 2049 not among them", () => {
    const certificates = { "hubble-server-certs": 29, "hubble-relay-client-certs": 31 };
    const { failures } = check({ certificates });
    const end = new Date(Date.now() + 29 * 86_400_000).toISOString().slice(0, 10);
    expect(failures).to.deep.equal([
      `hubble: a certificate in the Secret kube-system/hubble-server-certs ends on ${end}, and Cilium's chart does not renew it; docs/operate/hubble.md#certificates says how to`,
    ]);
    expect(check({ certificates: { "hubble-server-certs": 36_500 } }).failures).to.deep.equal([]);
    const broken = runs("hubble_certificates() { echo 'hubble-server-certs bm8='; }; check_hubble");
    expect(broken.failures).to.deep.equal([
      "hubble: the Secret kube-system/hubble-server-certs has no certificate that can be read",
    ]);
  });
});

describe("the flow of a failed check", () => {
  const time = "Nov 29 07:50:25.123: ";
  const pod = (name: string, port: number) => `${namespace}/${name}:${port}`;
  const drop = (from: string, to: string, reason: string) => `${time}${from} (ID:4711) <> ${to} (ID:4712) ${reason}`;
  const denied = "Policy denied DROPPED (TCP Flags: SYN)";
  const flows = (findings: string[], world: World) =>
    runs(
      `printf '%s\\n' "${findings.join('" "')}" >"$FINDINGS"; learn_agents; while IFS= read -r line; do failed "$line"; done < <(path_failures)`,
      world,
    );
  const broken = "failed pod n1 n2 no answer from the pod at 10.50.2.9";

  it("is what Cilium dropped of it on either node, each once and with its reason", () => {
    const { failures, asked, root } = flows([broken], {
      drops: {
        n1: [],
        n2: [
          drop(pod("n1", 44_012), pod("n2", 8080), denied),
          drop(pod("n1", 44_013), pod("n2", 8080), denied),
          `${time}${pod("n1", 44_012)} (ID:4711) -> ${pod("n2", 8080)} (ID:4712) policy-verdict:none INGRESS DENIED (TCP Flags: SYN)`,
        ],
      },
    });
    expect(failures).to.have.lengthOf(1);
    const [, words] = failures[0]!.split(" what it accepts");
    expect(words).to.equal(
      `; Hubble on n2: ${namespace}/n1 (ID:4711) <> ${namespace}/n2:8080 (ID:4712) ${denied}` +
        `; Hubble on n2: ${namespace}/n1 (ID:4711) -> ${namespace}/n2:8080 (ID:4712) policy-verdict:none INGRESS DENIED (TCP Flags: SYN)`,
    );
    const question = `--verdict DROPPED --since 15m --last 200 --pod ${namespace}/n1 --pod ${namespace}/n2 -o compact --color never`;
    expect([...asked].sort()).to.deep.equal([`cilium-a: ${question}`, `cilium-b: ${question}`]);
    expect(new Set(readFileSync(`${root}/bounds`, "utf8").trim().split("\n"))).to.deep.equal(new Set(["timeout 15"]));
  });

  it("is also the answer that is dropped, a name that stays an address, and CoreDNS; of other paths nothing", () => {
    const reply = `${time}${pod("n2", 8080)} (ID:2) <- 10.50.1.9:40000 (world) Stale or unroutable IP DROPPED ()`;
    expect(flows([broken], { drops: { n1: [], n2: [reply] } }).failures[0]).to.match(
      /; Hubble on n2: tailkube-checks-n1\/n2:8080 \(ID:2\) <- 10\.50\.1\.9 \(world\) Stale or unroutable IP DROPPED$/,
    );
    const dns = drop(pod("n1", 44_012), "kube-system/coredns-5d-x:53", "Policy denied DROPPED (UDP)");
    const failed = "failed dns n1 n2 the service's name does not resolve to 10.96.1.2";
    expect(flows([failed], { drops: { n1: [dns], n2: [] } }).failures[0]).to.match(
      /coredns-5d-x:53 \(ID:4712\) Policy denied/,
    );
    const others = [
      drop(pod("n1", 44_012), pod("n22", 8080), denied),
      drop(pod("n3", 44_012), pod("n2", 8080), denied),
      dns,
      "no flow at all",
    ];
    expect(flows([broken], { drops: { n1: others, n2: [] } }).failures[0]).to.match(
      /; Hubble saw Cilium drop no packet of it on n1 and n2$/,
    );
  });

  it("is bounded in lines and in failures, and cleans what a packet may have put into it", () => {
    const reasons = Array.from({ length: 9 }, (_, i) =>
      drop(pod("n1", 40_000), pod("n2", 8080), `Reason ${i} \u001b[31mDROPPED ()`),
    );
    const { failures } = flows([broken], {
      drops: { n1: [], n2: [...reasons, drop(pod("n1", 1), pod("n2", 8080), "x".repeat(900))] },
    });
    expect(failures[0]!.match(/Hubble on n2/g)).to.have.lengthOf(3);
    expect(failures[0]).to.not.match(/[^ -~]/);
    const kinds = ["pod", "mtu", "larger", "coredns", "dns", "service"];
    const many = kinds.flatMap((kind) => [`failed ${kind} n1 n2 x`, `failed ${kind} n2 n3 y`]);
    const all = flows(many, { drops: { n1: [], n2: [], n3: [] } });
    expect(all.failures.length).to.be.greaterThan(6);
    expect(all.failures.filter((line) => line.includes("Hubble saw"))).to.have.lengthOf(6);
  });

  it("never takes no answer for no drop", () => {
    expect(flows([broken], { drops: { n2: [] } }).failures[0]).to.match(
      /; Hubble saw Cilium drop no packet of it on n2; Hubble on n1 gave no answer$/,
    );
    expect(flows([broken], { drops: {} }).failures[0]).to.match(/what it accepts; Hubble on n1 and n2 gave no answer$/);
    // A node that is not Ready is not asked.
    expect(flows([broken], { running: ["n1"], drops: { n1: [] } }).failures[0]).to.match(/no packet of it on n1$/);
    const silent = runs(
      `: >"$ROOT/no-api"; printf '%s\\n' "${broken}" >"$FINDINGS"; learn_agents; while IFS= read -r line; do failed "$line"; done < <(path_failures)`,
    );
    expect(silent.failures[0]).to.match(/what it accepts; Hubble on n1 and n2 gave no answer$/);
  });

  it("is not asked for without the option", () => {
    const { failures, asked } = flows([broken], { drops: { n1: [], n2: [] }, variables: { TK_HUBBLE: "" } });
    expect(failures[0]).to.match(/what it accepts$/);
    expect(asked).to.deep.equal([]);
  });
});
