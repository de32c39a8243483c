/** The checks as a whole, as a stage and as a command, against a cluster of any size whose API and network are stand-ins. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { checksCommand } from "../../../components/hosts/checks-command";
import { scriptText, shellQuote } from "../../../components/hosts/script-text";
import { renderStdin } from "../../../components/hosts/stages";
import { expectGolden } from "../../golden/golden";
import { assignments, bash, bashOk, removeTemporaryFolders, temporaryFolder } from "./bash";
import { type Device, tailnetStatus } from "./tailnet-status";

afterEach(removeTemporaryFolders);

const upTo = (nodes: number) => Array.from({ length: nodes }, (_, i) => i + 1);
const namesOf = (nodes: number) => upTo(nodes).map((i) => `n${i}`);

/** What goes wrong in the cluster. */
interface Faults {
  /** Nodes that the API takes for Ready, but that answer nothing. */
  dead?: string[];
  /** Nodes that the API knows to be dead. */
  unready?: string[];
  /** "FROM>TO": pods of FROM get no answer from pods of TO, though the nodes reach each other. */
  cut?: string[];
  /** "FROM>TO": a packet of full size is lost. */
  small?: string[];
  /** The other devices of the tailnet. */
  devices?: Device[];
  /** After how many looks at the tailnet the routes of devices are gone; by default they stay. */
  goneAfter?: number;
}

/** The host's commands, in front of a script: node n7 has the addresses 192.0.2.7, 10.50.7.9 (pod) and 10.96.1.7 (service). */
const world = (
  root: string,
  nodes: number,
  { dead = [], unready = [], cut = [], small = [], devices = [], goneAfter = 1_000 }: Faults,
) => `
ROOT=${root} NODES_OF_WORLD="${namesOf(nodes).join(" ")}" DEAD=" ${dead.join(" ")} " UNREADY=" ${unready.join(" ")} "
export ROOT
id() { echo 0; }
flock() { :; }
logger() { :; }
sleep() { SECONDS=$((SECONDS + $1)); }
timeout() { shift; "$@"; }
each() { local n; for n in $NODES_OF_WORLD; do "$@" "$n" "\${n#n}"; done; }
node_line() { local ready=True; [[ $UNREADY != *" $1 "* ]] || ready=Unknown; echo "$1|192.0.2.$2|$ready|amd64|10.50.$2.0/24"; }
pod_line() { [[ $UNREADY == *" $1 "* ]] || echo "$1 Running true <none> True"; }
pod_address() { [[ $UNREADY == *" $1 "* ]] || printf '%s ' "$1=10.50.$2.9"; }
service_address() { printf '%s ' "$1=10.96.1.$2"; }
tailscale() {
    echo "$*" >>"$ROOT/tailscale"
    if [ "$(wc -l <"$ROOT/tailscale")" -gt ${goneAfter} ]; then echo ${shellQuote(tailnetStatus([]))}; else echo ${shellQuote(tailnetStatus(devices))}; fi
}
kubectl() {
    case "$*" in
    *"patch configmap tailkube-checks"*) printf '%b' "\${!#}" | sed 's/^.*"values":"//; s/"}}$//' >"$ROOT/values" ;;
    *"create configmap"*) : ;;
    *"get configmap tailkube-checks"*) [ ! -e "$ROOT/values" ] || cat "$ROOT/values" ;;
    *"get nodes -o jsonpath"*) each node_line ;;
    *"get --raw /readyz"*) printf ok ;;
    *"get endpointslices"*) printf 192.0.2.1 ;;
    *"exec etcd-n1 "*"member list"*) printf '"ID" : 26\\n"Name" : "n1"\\n"PeerURL" : "https://192.0.2.1:2380"\\n"ClientURL" : "x"\\n"IsLearner" : false\\n\\n' ;;
    *"delete namespace"*) echo "$*" >>"$ROOT/deleted" ;;
    *"apply -f -"*) cat >"$ROOT/manifest" ;;
    *"get pods --no-headers -o custom"*) each pod_line ;;
    *"get pods -o jsonpath"*) each pod_address ;;
    *"get services -o jsonpath"*) each service_address ;;
    *"k8s-app=kube-dns"*) printf 'n1=10.50.1.2= n2=10.50.2.2= ' ;;
    *" exec -i "*)
        set -- "\${@:7}"
        [[ $DEAD != *" $1 "* ]] || { echo "no route to host" >&2; return 1; }
        shift 2
        { cat <<'END'
${probeWorld(dead, cut, small)}
END
          cat; } | "$@" ;;
    *) echo "no stand-in for: $*" >&2; return 1 ;;
    esac
}
`;

/** What a probe's commands answer; what time they take is written down, for each target by itself and for the wait before them. */
const probeWorld = (dead: string[], cut: string[], small: string[]) => `
DEAD=" ${dead.join(" ")} " CUT=" ${cut.join(" ")} " SMALL=" ${small.join(" ")} "
spend() {
    local what=wait
    [[ " \${FUNCNAME[*]} " != *" check_target "* ]] || what=$name
    [[ " \${FUNCNAME[*]} " != *" answers_dns "* ]] || what=coredns.$server
    echo "$what $1" >>"$ROOT/time.$self"
}
spent_waiting() { awk '$1 == "wait" {sum += $2} END {print sum + 0}' "$ROOT/time.$self"; }
sleep() {
    spend "$1"
    [[ " \${FUNCNAME[*]} " == *" attempt "* ]] || SECONDS=$(spent_waiting)
}
timeout() {
    local seconds=$1 all="$*" address index
    case $all in
    *dev/tcp/10.50.*) address=\${all#*dev/tcp/10.50.} index=\${address%%.*} ;;
    *dev/tcp/10.96.1.*) address=\${all#*dev/tcp/10.96.1.} index=\${address%%/*} ;;
    *getent*) address=\${4%%.*}; echo "10.96.1.\${address#n} STREAM"; return ;;
    *dev/udp*)
        # The first label of the name behind a header of twelve bytes.
        address=\${!#} address=\${address:48} address=\${address:4:16#\${address:2:2}}
        [[ $address == n* ]] || address=n10
        echo " 54 4b 85 80 0a 60 01 $(printf %02x "\${address#n}")"
        return ;;
    esac
    if [[ $DEAD == *" n$index "* || $CUT == *" $self>n$index "* ]]; then spend "$seconds"; else echo "n$index"; fi
}
ping() {
    local address=\${!#} all="$*" index size
    [[ $* != *127.0.0.1* ]] || return 0
    case $address in 10.50.*) index=\${address#10.50.} index=\${index%.9} ;; *) index=\${address##*.} ;; esac
    size=\${all#*-s } size=\${size%% *}
    if [[ $DEAD == *" n$index "* ]]; then spend 3; return 1; fi
    [ "$size" -le 1252 ] || return 1
    if [[ $SMALL == *" $self>n$index "* ]] && [ "$size" -gt 1000 ]; then spend 3; return 1; fi
}`;

const declared = (nodes: number) => {
  const values = {
    TK_NODE_NETWORK: "tailnet",
    TK_POD_ROUTING: "native",
    TK_ENDPOINT: "10.200.0.1",
    TK_ENDPOINT_PORT: "6443",
    TK_API_PORT: "6443",
    TK_NODES: namesOf(nodes)
      .map((name, i) => `${name}=192.0.2.${i + 1}`)
      .join(" "),
    TK_CONTROL_PLANES: "n1",
    TK_PAUSE_IMAGE: "registry.k8s.io/pause:3.10.2",
    TK_POD_MTU: "1280",
    TK_UNDERLAY_MTU: "1280",
    TK_TUNNEL_PORT: "8472",
    TK_READY_SECONDS: "600",
  };
  return { ...values, TK_CHECK_VALUES: Object.keys(values).join(" "), TK_PROBE: scriptText("installed/probe.sh") };
};

/** Runs a script on a host whose folders are below `root`. */
function run(root: string, text: string, args: string[]) {
  mkdirSync(`${root}/run/tailkube`, { recursive: true });
  const moved = text
    .replaceAll("=/run/tailkube", `=${root}/run/tailkube`)
    .replaceAll("=/var/lib/tailkube", `=${root}/var/lib/tailkube`);
  const { stdout, stderr, status } = spawnSync("bash", ["-s", "--", ...args], {
    input: moved,
    encoding: "utf8",
    timeout: 300_000,
  });
  return { stdout, stderr, status };
}

/** The stage, as `up` runs it. */
function stage(nodes: number, faults: Faults = {}, root = temporaryFolder()) {
  const text = renderStdin({ node: "n1", stage: "check-cluster", variables: declared(nodes), timeoutSeconds: 2000 });
  return { root, ...run(root, world(root, nodes, faults) + text, ["apply"]) };
}

/** The command, on a control plane of a cluster whose last `up` has run in `root`. */
function command(root: string, nodes: number, faults: Faults, ...args: string[]) {
  const [shebang, ...lines] = checksCommand().split("\n");
  return run(root, [shebang, "TK_NODE='n1'", world(root, nodes, faults), ...lines].join("\n"), args);
}

/** How long each probe took, in seconds: its wait, and its slowest target. */
function secondsOfProbes(root: string): Record<string, number> {
  const files = readdirSync(root).filter((file) => file.startsWith("time."));
  return Object.fromEntries(
    files.map((file) => {
      const sums = new Map<string, number>();
      for (const line of readFileSync(`${root}/${file}`, "utf8").trim().split("\n")) {
        const [what, seconds] = line.split(" ") as [string, string];
        sums.set(what, (sums.get(what) ?? 0) + Number(seconds));
      }
      const targets = [...sums].filter(([what]) => what !== "wait").map(([, seconds]) => seconds);
      return [file.slice("time.".length), (sums.get("wait") ?? 0) + Math.max(0, ...targets)];
    }),
  );
}

describe("which nodes probe which", () => {
  const pairs = (seed: string, names: string[], all = "") =>
    bashOk(`${scriptText("lib/checks/pairs.sh")}\npairs ${seed} "${all}" ${names.join(" ")}`)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(" ") as [string, string]);
  const each = 8;

  it("up to twelve nodes: all others", () => {
    for (const nodes of [1, 2, 4, 12]) {
      const found = pairs("s", namesOf(nodes));
      expect(new Set(found.map(String)).size).to.equal(nodes * (nodes - 1));
    }
  });

  it("above: each probes eight others, is probed by eight, and all hang together; the seed alone decides", function () {
    this.timeout(120_000);
    fc.assert(
      fc.property(fc.integer({ min: 13, max: 60 }), fc.stringMatching(/^[a-z0-9]{1,8}$/), (nodes, seed) => {
        const names = namesOf(nodes);
        const found = pairs(seed, names);
        expect(new Set(found.map(String)).size).to.equal(nodes * each);
        for (const name of names) {
          expect(found.filter(([from]) => from === name).length).to.equal(each);
          expect(found.filter(([, to]) => to === name).length).to.equal(each);
          expect(found.some(([from, to]) => from === name && to === name)).to.equal(false);
        }
        const reached = new Set(["n1"]);
        for (const at of reached) for (const [from, to] of found) if (from === at) reached.add(to);
        expect(reached.size).to.equal(nodes);
        expect(pairs(seed, [...names].reverse())).to.deep.equal(found);
      }),
      { numRuns: 6 },
    );
    expect(pairs("a", namesOf(20))).to.not.deep.equal(pairs("b", namesOf(20)));
    expect(pairs("a", namesOf(20), "1").length).to.equal(20 * 19);
  });

  it("ask at most that many pods of CoreDNS each, and leave none of them out", () => {
    const slice = (index: number, servers: string[]) =>
      bashOk(`${scriptText("lib/checks/pairs.sh")}\nslice ${index} ${servers.join(" ")}`)
        .trim()
        .split(" ");
    expect(slice(5, ["a", "b"])).to.deep.equal(["a", "b"]);
    const servers = namesOf(20);
    const asked = [0, 8, 16].map((index) => slice(index, servers));
    expect(asked.map((some) => some.length)).to.deep.equal([each, each, each]);
    expect(new Set(asked.flat()).size).to.equal(20);
  });
});

describe("the checks of a whole cluster", function () {
  this.timeout(330_000);

  /** Of one node: its own name and service, two pods of CoreDNS, and five paths to each other node that it probes. */
  const paths = (nodes: number, each: number) => nodes * (2 + 2 + 5 * each);
  for (const [nodes, each] of [
    [4, 3],
    [12, 11],
    [13, 8],
    [100, 8],
  ] as const) {
    it(`${nodes} nodes: ${paths(nodes, each)} paths`, () => {
      const { stdout, stderr, root } = stage(nodes);
      expect(stderr).to.equal("");
      expect(JSON.parse(stdout)).to.include({
        nodes: `${nodes}`,
        pairs: `${nodes * each}`,
        paths: `${paths(nodes, each)}`,
      });
      expect(secondsOfProbes(root), "no probe waits").to.deep.equal({});
      expect(readdirSync(`${root}/run/tailkube`).filter((file) => file.startsWith("probe"))).to.deep.equal([]);
      expect(readFileSync(`${root}/deleted`, "utf8")).to.include("delete namespace tailkube-checks-n1 ");
    });
  }

  it("a node that answers nothing costs each that probes it one wait, and the others nothing; its failures are one line", () => {
    const { stderr, status, root } = stage(13, { dead: ["n9"] });
    expect(status).to.equal(1);
    const seconds = secondsOfProbes(root);
    expect(Object.keys(seconds).length).to.equal(8);
    // The one wait for services, and the three attempts.
    for (const [name, spent] of Object.entries(seconds)) expect(spent, name).to.be.within(90, 125);
    const lines = stderr.trim().split("\n");
    expect(lines[0]).to.match(/2 of the checks failed \(13 nodes, 96 of 156 pairs \(seed [0-9a-f]{8}\), \d+ paths\):$/);
    expect(lines[1]).to.equal("  - n9: the probe could not be run there through the kubelet: no route to host");
    expect(lines[2]).to.match(
      /^ {2}- pod from n\d+, n\d+, n\d+, n\d+, n\d+ and 3 more to n9 \(all 8 tried\): no answer from the pod at 10\.50\.9\.9; is n9's pod CIDR approved/,
    );
    const seed = /seed ([0-9a-f]{8})/.exec(stderr)![1]!;
    expect(lines[3]).to.match(
      new RegExp(
        `^ {2}'/usr/local/lib/tailkube/checks --seed ${seed}', as root on n1, runs the same checks again and shows all$`,
      ),
    );
    expect(lines.length).to.equal(4);
  });

  it("three of them at once cost as little time as one", () => {
    const { stderr, root } = stage(13, { dead: ["n3", "n9", "n11"] });
    for (const [name, spent] of Object.entries(secondsOfProbes(root))) expect(spent, name).to.be.at.most(125);
    for (const name of ["n3", "n9", "n11"]) {
      expect(stderr).to.match(new RegExp(`- pod from .* to ${name} \\(all [5-8] tried\\): `));
    }
    expect(stderr).to.match(/^tailkube: n1: check-cluster: 6 of the checks failed/);
  });

  it("a node that the API knows to be dead costs nothing, and hides nothing of the others", () => {
    const { stderr, root } = stage(4, { unready: ["n3"], cut: ["n1>n2"] });
    expect(stderr.trim().split("\n").slice(0, 3)).to.deep.equal([
      "tailkube: n1: check-cluster: 2 of the checks failed (4 nodes, 6 of 12 pairs, 39 paths):",
      "  - n3: not Ready; try 'kubectl describe node n3' and 'journalctl -u kubelet' on it",
      "  - pod from n1 to n2: no answer from the pod at 10.50.2.9, though n2 itself answers at 192.0.2.2; is n2's pod CIDR approved as a route in the tailnet, and does the policy let the pod CIDR through? 'tailscale status' and 'ip route show table 52' on n1 show what it accepts",
    ]);
    expect(Object.keys(secondsOfProbes(root))).to.deep.equal(["n1"]);
    expect(readFileSync(`${root}/manifest`, "utf8")).to.not.include("nodeName: n3");
  });

  it("the error shows as much as is readable, and how many are left out", () => {
    // A ring of single failures: no two of them share a source or a target.
    const small = upTo(40).map((i) => `n${i}>n${(i % 40) + 1}`);
    const findings = small.map((pair) => `failed mtu ${pair.replace(">", " ")} a packet is lost`).join("\n");
    const root = temporaryFolder();
    const text = bashOk(`
      ${assignments({ TK_NODE: "n1", TK_LIB: "/lib", TK_NODES: declared(40).TK_NODES, TK_NODE_NETWORK: "tailnet", TK_POD_ROUTING: "native" })}
      FINDINGS=${root}/findings PAIRS=320 PROBED=320 NODES=40 SEED=s FAILURES=()
      ${["lib/messages.sh", "lib/checks/flows.sh", "lib/checks/report.sh"].map(scriptText).join("\n")}
      printf '%s' '${findings}' >"$FINDINGS"
      mapfile -t FAILURES < <(path_failures)
      count_paths
      error_text`);
    const lines = text.split("\n");
    expect(lines[0]).to.equal("40 of the checks failed (40 nodes, 320 of 1560 pairs (seed s), 40 paths):");
    expect(lines.length).to.equal(15);
    expect(lines[13]).to.equal("  - and 28 more");
  });
});

describe("the command checks", function () {
  this.timeout(330_000);

  it("repeats what `up` has checked, by the values that it noted, prints a matrix and says by its exit status how it went", () => {
    const { root } = stage(4);
    const well = command(root, 4, {});
    expect(well.status, well.stderr).to.equal(0);
    expectGolden("checks-4.txt", well.stdout);
    const broken = command(root, 4, { cut: ["n1>n2", "n4>n2"], small: ["n3>n1"], unready: ["n4"] });
    expect(broken.status, broken.stderr).to.equal(1);
    expectGolden("checks-4-broken.txt", broken.stdout);
    expect(existsSync(`${root}/run/tailkube/failed`)).to.equal(false);
  });

  it("shows of a hundred nodes only those with failures", () => {
    const root = temporaryFolder();
    stage(4, {}, root);
    const values = readFileSync(`${root}/values`, "utf8").replace(
      /^TK_NODES=.*$/m,
      `TK_NODES=${declared(100).TK_NODES}`,
    );
    expect(bash(`cat >${root}/values <<'END'\n${values}\nEND`).status).to.equal(0);
    const faults = { dead: ["n17"], unready: ["n40", "n41"], small: ["n5>n17"] };
    const { stdout, status, stderr } = command(root, 100, faults, "--seed", "golden");
    expect(status, stderr).to.equal(1);
    expectGolden("checks-100-broken.txt", stdout);
  });

  it("takes a seed, single nodes and all pairs, and speaks JSON", () => {
    const { root } = stage(13);
    const json = (...args: string[]) => {
      const { stdout, stderr } = command(root, 13, {}, "--json", ...args);
      expect(stderr).to.match(/^checks: probing from every node/);
      return JSON.parse(stdout) as { nodes: string; pairs: string; seed: string; failures: string[] };
    };
    expect(json("--seed", "other")).to.include({ nodes: "13", pairs: "104", seed: "other" });
    expect(json("--nodes", "n3,n12")).to.include({ nodes: "2", pairs: "2" });
    expect(json("--all")).to.include({ pairs: "156" });
  });

  it("rejects wrong options and nodes, without a probe", () => {
    const { root } = stage(4);
    for (const [args, line] of [
      [["--sed"], "checks: --sed is no option"],
      [["--seed", "a b"], "checks: --seed: 'a b' is invalid. Allowed: up to 40 letters, digits, '.', '_' or '-'"],
      [["--nodes"], "checks: --nodes: '' is invalid. Allowed: names of nodes with commas between them"],
    ] as const) {
      const { status, stderr } = command(root, 4, {}, ...args);
      expect([status, stderr.split("\n")[0]]).to.deep.equal([2, line]);
    }
    const { status, stderr } = command(root, 4, {}, "--nodes", "n1,n9");
    expect(status).to.equal(1);
    expect(stderr).to.include("--nodes: n9 is no node of the cluster. Allowed: n1, n2, n3, n4");
  });

  it("takes no value from the cluster that is not one of the checks'", () => {
    const { root } = stage(4);
    const values = readFileSync(`${root}/values`, "utf8");
    for (const line of ["TK_RUN=/etc", "TK_NODE=n2", "PATH=/tmp", "TK_POD_MTU=1280; id", 'TK_PAUSE_IMAGE=x"y']) {
      expect(bash(`cat >${root}/values <<'END'\n${values.trim()}\n${line}\nEND`).status).to.equal(0);
      const { status, stderr } = command(root, 4, {});
      expect(status, line).to.equal(1);
      expect(stderr, line).to.include("has a line that is no value of the checks");
    }
    expect(bash(`rm ${root}/values`).status).to.equal(0);
    expect(command(root, 4, {}).stderr).to.include("the ConfigMap kube-system/tailkube-checks has no values");
  });
});

describe("the checks of the tailnet's routes", () => {
  const node = (i: number, ...routes: string[]): Device => ({
    DNSName: `n${i}.example.ts.net.`,
    TailscaleIPs: [`192.0.2.${i}`],
    routes,
  });
  const stranger = (...routes: string[]): Device => ({ DNSName: "stranger.example.ts.net.", routes });
  const advice =
    "Take the route from that device, and let the tailnet's policy approve it only for this cluster's nodes (docs/reference/security.md)";
  const own = [node(2, "10.50.2.0/24"), node(3, "10.50.3.0/24")];
  const failures = (faults: Faults) => {
    const { status, stderr } = stage(3, faults);
    const lines = stderr.split("\n").filter((line) => line.startsWith("  - "));
    expect(status, stderr).to.equal(lines.length > 0 ? 1 : 0);
    return lines.map((line) => line.slice(4));
  };

  it("name the device that gets the traffic for a node's pods, or for a part of them", () => {
    for (const route of ["10.50.3.0/24", "10.50.3.128/25", "10.50.3.9/32"]) {
      expect(failures({ devices: [node(2, "10.50.2.0/24"), node(3), stranger(route)] })).to.deep.equal([
        `n3: the tailnet sends what is for its pods (10.50.3.0/24) to another device: stranger (100.64.1.3) has ${route}. ${advice}`,
      ]);
    }
  });

  it("name another node of the cluster that does", () => {
    expect(failures({ devices: [node(2, "10.50.2.0/24", "10.50.3.0/24"), node(3)] })).to.deep.equal([
      `n3: the tailnet sends what is for its pods (10.50.3.0/24) to another device: n2 (192.0.2.2) has 10.50.3.0/24. ${advice}`,
    ]);
    expect(failures({ devices: [node(2, "10.50.1.0/25"), node(3)] })[0]).to.match(/^n1: .* n2 \(192\.0\.2\.2\) has/);
  });

  it("name a device with the endpoint that is no control plane", () => {
    for (const device of [stranger("10.200.0.1/32"), node(2, "10.200.0.1/32")]) {
      expect(failures({ devices: [device] }).join("\n")).to.match(
        /^the tailnet sends what is for the endpoint to a device that is no control plane: \S+ \([\d.]+\) has 10\.200\.0\.1\/32\. Take .*$/,
      );
    }
    expect(failures({ devices: [node(1, "10.200.0.1/32"), ...own] })).to.deep.equal([]);
  });

  it("find nothing in wider routes, others' networks, and devices that are offline", () => {
    const others = [
      stranger("0.0.0.0/0", "10.50.0.0/16", "10.50.9.0/24", "192.168.1.0/24", "10.200.0.2/32"),
      { ...stranger("10.50.3.0/24", "10.200.0.1/32"), Online: false, LastSeen: "2026-11-20T10:00:00Z" },
      { ...stranger("10.50.3.0/24"), Expired: true },
    ];
    expect(failures({ devices: [...own, ...others] })).to.deep.equal([]);
  });

  it("wait for a route that is about to move, and not for an answer that never comes", () => {
    expect(failures({ devices: [...own, stranger("10.50.3.0/24")], goneAfter: 3 })).to.deep.equal([]);
    const root = temporaryFolder();
    const text = renderStdin({ node: "n1", stage: "check-cluster", variables: declared(3), timeoutSeconds: 2000 });
    const silent = `${world(root, 3, {})}\ntailscale() { return 1; }\n`;
    const { status, stderr } = run(root, silent + text, ["apply"]);
    expect(status).to.equal(1);
    expect(stderr).to.match(/no answer after 60 s to the question which routes other devices of the tailnet have/);
  });
});
