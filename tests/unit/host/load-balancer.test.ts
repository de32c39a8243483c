/** The route to LoadBalancer services follows the node's health, and comes and goes with the option. */
import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { parse } from "yaml";
import { balancerWatchScript, scriptText } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  bashOk,
  logOf,
  partsOf,
  removeTemporaryFolders,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";

afterEach(removeTemporaryFolders);

const cidr = "10.201.0.0/24";

/** What is wrong at a look: nothing, a part, or two of them. */
type Illness = "" | "kubelet" | "kubelet-slow" | "kubelet-ill" | "agent";

interface Watched {
  /** Whether no other node takes the traffic. */
  alone?: boolean;
  /** Whether another node takes the route over once this one has withdrawn it. */
  taken?: boolean;
  /** Commands between two looks, by the number of the first. */
  meanwhile?: Record<number, string>;
  /** What `routes` does. */
  routes?: string;
  /** What `nft` does. */
  nft?: string;
}

describe("installed/load-balancer-watch.sh", () => {
  /** What `watch` does when the looks find this, one a second of the script's clock, until the service is stopped. */
  function watched(looks: readonly Illness[], options: Watched = {}) {
    const { alone = false, taken = true, meanwhile = {}, routes = "", nft = "" } = options;
    const root = temporaryFolder();
    write(
      `${root}/etc/tailkube/load-balancer.env`,
      `TAILKUBE_LOAD_BALANCER=${cidr}\nTAILKUBE_LOAD_BALANCER_ALONE=${alone ? "yes" : "no"}\nTAILKUBE_KUBELET_HEALTH=10248\nTAILKUBE_CILIUM_HEALTH=9879\n`,
    );
    write(
      `${root}/usr/local/lib/tailkube/routes`,
      `#!/bin/bash\ncd ${root}\n${routes}\necho "routes $*" >>log; case $1 in set) : >held ;; unset) rm -f held ;; esac\n`,
      0o755,
    );
    write(
      `${root}/bin/ip`,
      `#!/bin/bash\n[ "$*" = "-4 route show table 52 ${cidr}" ] || exit 9\n[ ${taken ? 1 : 0} = 0 ] || [ -e ${root}/held ] || echo "${cidr} dev tailscale0"\n`,
      0o755,
    );
    write(
      `${root}/bin/nft`,
      `#!/bin/bash
      cd ${root}
      ${nft}
      case $* in
      "list table inet tailkube_load_balancer") [ -e table ] ;;
      "-f -") cat >table; echo filter >>log ;;
      "delete table inet tailkube_load_balancer") rm table && echo "no filter" >>log ;;
      *) exit 9 ;;
      esac\n`,
      0o755,
    );
    // When a process started, in the form of /proc/PID/stat.
    const stat = (name: string, at: number) => `100 (${name}) S ${"9 ".repeat(18)}${at} 9 9\n`;
    write(`${root}/proc/100/stat`, stat("cilium-agent", 5000));
    write(`${root}/proc/200/stat`, stat("tail scaled", 4000));
    write(`${root}/tailscale0/ifindex`, "7\n");
    write(`${root}/restarted`, stat("tail scaled", 6000));
    write(`${root}/looks`, `${looks.map((one) => one || "well").join("\n")}\n`);
    write(
      `${root}/meanwhile`,
      Object.entries(meanwhile)
        .map(([look, command]) => `${look}) ${command} ;;\n`)
        .join(""),
    );
    // Functions of the script's own shell: hundreds of looks are too many for commands.
    const clock = `mapfile -t scene <${root}/looks
      turn=0
      curl() {
        case "\${scene[turn]} $*" in
        "kubelet "*//127.0.0.1:10248/healthz) return 7 ;;
        "kubelet-slow "*//127.0.0.1:10248/healthz) return 28 ;;
        "kubelet-ill "*//127.0.0.1:10248/healthz) printf 'healthz check failed' ;;
        *" -s --max-time 2 --noproxy * http://127.0.0.1:10248/healthz") printf ok ;;
        "agent "*//127.0.0.1:9879/healthz) return 22 ;;
        *" -sf --max-time 2 --noproxy * -o /dev/null -H brief: true -H require-k8s-connectivity: false http://127.0.0.1:9879/healthz") ;;
        *) echo "curl $*" >>${root}/log ;;
        esac
      }
      pgrep() { case $2 in cilium-agent) echo 100 ;; tailscaled) echo 200 ;; esac; }
      # The clock is the looks' alone.
      unset SECONDS
      SECONDS=0
      sleep() {
        SECONDS=$((SECONDS + 1))
        turn=$((turn + 1))
        cd ${root}
        eval "case $turn in $(<meanwhile) esac"
        echo . >>${root}/log
        [ "$turn" -lt "\${#scene[@]}" ] || kill -TERM $$
      }\n`;
    const text = balancerWatchScript()
      .replace(/^export PATH=(.*)$/m, `export PATH=${root}/bin:$1`)
      .replaceAll("/sys/class/net/", `${root}/`)
      .replaceAll('"/proc/', `"${root}/proc/`)
      .replace(/(^|[\s"])\/(etc|usr\/local\/lib)\/tailkube/gm, `$1${root}/$2/tailkube`)
      .replace("set -euo pipefail", () => `set -euo pipefail\n${clock}`);
    const finished = bash(text, "watch");
    const short: Record<string, string> = {
      [`routes set load-balancer ${cidr}`]: "+",
      "routes unset load-balancer": "-",
    };
    return {
      root,
      said: finished.stdout.trim().split("\n"),
      errors: finished.stderr,
      log: logOf(root),
      /** Looks as dots, the route as + and -, without the filter and the end. */
      course: logOf(root)
        .filter((line) => !line.includes("filter"))
        .map((line) => short[line] ?? line)
        .join("")
        .replace(/-$/, ""),
    };
  }
  const times = (n: number, one: Illness = ""): Illness[] => Array.from({ length: n }, () => one);

  it("advertises the addresses while kubelet and Cilium are well, and withdraws them when the service stops", () => {
    const { log, said, errors } = watched(times(3));
    expect(errors).to.equal("");
    expect(said).to.deep.equal(["load balancer up: kubelet and Cilium are healthy", "load balancer down: stopped"]);
    expect(log).to.deep.equal([
      "filter",
      `routes set load-balancer ${cidr}`,
      ...[".", ".", "."],
      "routes unset load-balancer",
      "no filter",
    ]);
  });

  it("drops what is for an address without a service, whoever sends it", () => {
    const { root } = watched(times(1), { meanwhile: { 1: "cp table kept" } });
    const text = readFileSync(`${root}/kept`, "utf8");
    for (const hook of ["output", "forward"]) {
      expect(text).to.match(
        new RegExp(
          `type filter hook ${hook} priority filter; policy accept;\\s+ip daddr 10\\.201\\.0\\.0/24 counter drop`,
        ),
      );
    }
    expect(existsSync(`${root}/table`), "the filter after the service's end").to.equal(false);
  });

  it("leaves a node whose kubelet is gone for three seconds, and comes back after three good looks", () => {
    const { course, said } = watched([...times(2), ...times(5, "kubelet"), ...times(4)]);
    expect(course).to.equal("+....-.....+..");
    expect(said).to.deep.equal([
      "load balancer up: kubelet and Cilium are healthy",
      "load balancer down: the kubelet is gone",
      "load balancer up: kubelet and Cilium have been healthy for 3 looks",
      "load balancer down: stopped",
    ]);
  });

  it("stays for a restart of the kubelet or of Cilium's agent, and leaves an agent that is ill for half a minute", () => {
    expect(watched([...times(2), ...times(2, "kubelet"), ...times(2)]).course).to.equal("+......");
    for (const ill of ["agent", "kubelet-slow", "kubelet-ill"] as const) {
      expect(watched([...times(2), ...times(28, ill), ...times(2)]).course, ill).to.equal(`+${".".repeat(32)}`);
      const { course } = watched([...times(2), ...times(31, ill)]);
      expect(course, ill).to.match(/^\+\.{31}-\.{2}$/);
    }
  });

  it("leaves a node at once whose tailscale0 is newer than Cilium's agent", () => {
    const { course, said } = watched(times(9), {
      meanwhile: {
        2: "echo 8 >tailscale0/ifindex; command cp restarted proc/200/stat",
        // The agent starts again.
        5: "sed 's/5000/7000/' proc/100/stat >new && mv new proc/100/stat",
      },
    });
    expect(course).to.equal("+...-....+..");
    expect(said[1]).to.equal("load balancer down: Cilium does not have this tailscale0 yet");
  });

  it("withdraws after a boot what is still advertised from before, until the node is well", () => {
    expect(watched([...times(3, "kubelet"), ...times(4)]).course).to.equal("-.....+..");
  });

  it("never leaves the only node that takes the traffic, however ill it is", () => {
    const { course, said } = watched([...times(2), ...times(40, "kubelet"), ...times(2)], { alone: true });
    expect(course).to.equal(`+${".".repeat(44)}`);
    expect(said[1]).to.equal("load balancer kept: the kubelet is gone, but no other node takes over");
  });

  it("comes back where no other node has taken the route, and does not try that again for ten minutes", () => {
    const { course, said } = watched([...times(2), ...times(60, "kubelet")], { taken: false });
    expect(course).to.equal(`+....-.....+${".".repeat(53)}`);
    expect(said.slice(1, 4)).to.deep.equal([
      "load balancer down: the kubelet is gone",
      "load balancer up: no other node has taken the route",
      "load balancer kept: the kubelet is gone, but no other node takes over",
    ]);
  });

  it("a node that comes and goes has the route ever more seldom", () => {
    const ups = (n: number) => {
      const flapping = Array.from({ length: n }, () => [...times(4, "kubelet"), ...times(30)]).flat();
      return [...watched([...times(2), ...flapping]).course.matchAll(/-(\.+)\+/g)].map(([, dots]) => dots!.length);
    };
    const waits = ups(4);
    expect(waits).to.deep.equal([4, 7, 13, 25]);
  });

  it("tries with each look what could not be done, and says so once", () => {
    const { log, said } = watched([...times(1), ...times(8, "kubelet")], {
      routes: "[ ! -e broken ] || { echo tried >>log; exit 1; }",
      meanwhile: { 1: "touch broken", 6: "rm broken" },
    });
    expect(log.filter((line) => line === "tried").length).to.be.at.least(2);
    expect(said.slice(1, 3)).to.deep.equal([
      "load balancer down: the kubelet is gone; but it could not be done, trying on",
      "load balancer down: the kubelet is gone",
    ]);
  });

  it("puts a filter back that somebody has taken away, and says once that nft refuses it", () => {
    expect(
      watched(times(22), { meanwhile: { 3: "rm table" } }).log.filter((line) => line === "filter"),
    ).to.have.lengthOf(2);
    const { said, course } = watched(times(45), { nft: "exit 1" });
    expect(said.filter((line) => line.includes("nft"))).to.have.lengthOf(2);
    expect(course).to.equal(`+${".".repeat(45)}`);
  });

  it("refuses anything else", () => {
    const text = balancerWatchScript().replace(". /etc/tailkube/load-balancer.env", ":");
    const { status, stderr } = bash(text, "start");
    expect({ status, stderr }).to.deep.equal({ status: 2, stderr: "usage: load-balancer watch|up|down\n" });
  });
});

describe("set_load_balancer", () => {
  const on = {
    TK_LOAD_BALANCER: cidr,
    TK_LOAD_BALANCER_ALONE: "no",
    TK_HOST_LOAD_BALANCER: "#!/bin/bash",
    TK_KUBELET_HEALTH: "10248",
    TK_CILIUM_HEALTH: "9879",
  };
  const files = [
    "usr/local/lib/tailkube/load-balancer",
    "etc/tailkube/load-balancer.env",
    "etc/systemd/system/tailkube-load-balancer.service",
  ];

  /** A host with the stage tailnet's files, on which the option is switched. */
  function host() {
    const root = temporaryFolder();
    write(
      `${root}/usr/local/lib/tailkube/routes`,
      `#!/bin/bash\necho "routes $*" >>${root}/log\n[ ! -e ${root}/stuck ]\n`,
      0o755,
    );
    const fakes = `
      SECONDS=0; sleep() { SECONDS=$((SECONDS + 10)); }
      log() { echo "$*" >>"$ROOT/log"; }
      nft_tables() { [ ! -e "$ROOT/table" ] || echo "table inet tailkube_load_balancer"; }
      nft() { log "nft $*"; rm -f "$ROOT/table"; }
      reload_units() { :; }
      unit_start() { log "start $1"; : >"$ROOT/table"; }
      unit_stop() { log "stop $1"; }`;
    const run = (variables: Record<string, string>, text = "set_load_balancer") => {
      const parts = partsOf("lib/network/tailnet-units.sh").map(scriptText).join("\n");
      const script = `${assignments({ ROOT: root, ...variables })}\n${parts}\n${fakes}\n`;
      return bash(
        withLibrary(
          root,
          `${script.replaceAll("/etc/systemd", `${root}/etc/systemd`)}\nmkdir -p "$TK_RUN"\n${text.replaceAll("/etc/systemd", `${root}/etc/systemd`)}\nresult`,
          "tailnet",
        ),
      );
    };
    return { root, run, log: () => logOf(root), has: () => files.filter((file) => existsSync(`${root}/${file}`)) };
  }

  it("does nothing on a host that never had it", () => {
    const { run, log, has } = host();
    expect(run({})).to.deep.equal({ status: 0, stderr: "", stdout: '{"changed":[]}\n' });
    expect([...log(), ...has()]).to.deep.equal([]);
  });

  it("follows the node's health where it is on, and is the same the second time", () => {
    const { root, run, log, has } = host();
    expect(run(on).stderr).to.equal("");
    expect(has()).to.deep.equal(files);
    expect(log()).to.deep.equal(["start tailkube-load-balancer.service"]);
    expect(readFileSync(`${root}/etc/tailkube/load-balancer.env`, "utf8")).to.equal(
      `TAILKUBE_LOAD_BALANCER=${cidr}\nTAILKUBE_LOAD_BALANCER_ALONE=no\nTAILKUBE_KUBELET_HEALTH=10248\nTAILKUBE_CILIUM_HEALTH=9879\n`,
    );
    expect(run(on).stdout).to.equal('{"changed":[]}\n');
  });

  it("leaves nothing when it is switched off again, not even the route of a watch that could not withdraw it", () => {
    const { run, log, has } = host();
    run(on);
    const { status, stdout } = run({});
    expect(status).to.equal(0);
    expect(stdout).to.equal('{"changed":["stopped advertising the addresses of LoadBalancer services"]}\n');
    expect(has()).to.deep.equal([]);
    expect(log().slice(1)).to.deep.equal([
      "stop tailkube-load-balancer.service",
      "routes unset load-balancer",
      "nft delete table inet tailkube_load_balancer",
    ]);
    expect(run({}).stdout).to.equal('{"changed":[]}\n');
  });

  it("fails, and is finished by the next run, where tailscale keeps the route", () => {
    const { root, run, has } = host();
    run(on);
    write(`${root}/stuck`, "");
    const { status, stderr } = run({});
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /^tailkube: node1: tailnet: tailscale does not take the withdrawal of the route to LoadBalancer services/,
    );
    expect(has()).to.deep.equal(files);
    bashOk(`rm ${root}/stuck`);
    expect(run({}).status).to.equal(0);
    expect(has()).to.deep.equal([]);
  });

  it("has the filter of the new network alone when that changes", () => {
    const { run, log } = host();
    run(on);
    run({ ...on, TK_LOAD_BALANCER: "10.202.0.0/24" });
    expect(log().slice(1)).to.deep.equal([
      "stop tailkube-load-balancer.service",
      "nft delete table inet tailkube_load_balancer",
      "start tailkube-load-balancer.service",
    ]);
  });
});

describe("set_balancer_objects", () => {
  interface Cluster {
    /** The pool tailkube as the API prints what is asked: `label|CIDR First`. */
    pool?: string;
    /** The policy: `label|spec`. */
    policy?: string;
    /** Objects of ours, by name of kind and object. */
    ours?: string[];
    /** Whether Cilium's own configuration announces. */
    announces?: boolean;
    /** Whether the API has Cilium's kinds. */
    kinds?: boolean;
    /** Devices of the tailnet: their address and route. */
    devices?: [address: string, route: string][];
    /** Questions that get no answer: patterns of bash. */
    silent?: string;
  }

  function run(variables: Record<string, string>, cluster: Cluster) {
    const { pool = "", policy = "", ours = [], announces = false, kinds = true, devices = [], silent = "-" } = cluster;
    const root = temporaryFolder();
    const peers = devices.map(([address, route], i) => [
      `key${i}`,
      { DNSName: `d${i}.example.ts.net.`, TailscaleIPs: [address], AllowedIPs: [`${address}/32`, route], Online: true },
    ]);
    write(
      `${root}/status`,
      `${JSON.stringify({ BackendState: "Running", Self: {}, Peer: Object.fromEntries(peers) as object }, undefined, 2)}\n`,
    );
    const fakes = `
      SECONDS=0; sleep() { SECONDS=$((SECONDS + 10)); }
      timeout() { shift; "$@"; }
      tailscale() { command cat "$ROOT/status"; }
      kubectl_admin() {
        case "$*" in
        ${silent}) return 1 ;;
        "get crd ciliumloadbalancerippools.cilium.io ciliuml2announcementpolicies.cilium.io --ignore-not-found -o name")
            ${kinds ? "printf 'crd/a\\ncrd/b\\n'" : ":"} ;;
        "get ciliumloadbalancerippools.cilium.io tailkube "*) printf %s ${JSON.stringify(pool)} ;;
        "get ciliuml2announcementpolicies.cilium.io tailkube "*) printf %s '${policy}' ;;
        "get nodes "*) printf '100.64.0.1 100.64.0.11' ;;
        *"-l app.kubernetes.io/managed-by=tailkube -o name") printf '%s\\n' ${ours.join(" ")} ;;
        *"get configmap cilium-config "*) ${announces ? "printf true" : ":"} ;;
        *"get leases -o name") printf 'lease/cilium-l2announce-web-shop\\nlease/cilium-operator-resource-lock\\n' ;;
        "apply -f -") echo apply >>"$ROOT/log"; command cat >"$ROOT/applied" ;;
        *) echo "$*" >>"$ROOT/log" ;;
        esac
      }`;
    const parts = partsOf("lib/network/load-balancer-pool.sh").map(scriptText).join("\n");
    const done = bash(
      withLibrary(
        root,
        `${assignments({ ROOT: root, TK_ENDPOINT: "10.200.0.1", TK_NODE_NETWORK: "tailnet", ...variables })}\n${parts}\n${fakes}\nmkdir -p "$TK_RUN"\nset_balancer_objects\nresult`,
        "finalize",
      ),
    );
    const applied = existsSync(`${root}/applied`)
      ? (parse(readFileSync(`${root}/applied`, "utf8")) as object)
      : undefined;
    return { ...done, log: logOf(root), applied };
  }
  const on = { TK_LOAD_BALANCER: cidr, TK_LOAD_BALANCER_NODES: "workers" };
  const lan = { ...on, TK_NODE_NETWORK: "lan", TK_LOAD_BALANCER_DEVICES: '["^eth1$","^enp.*"]' };
  const metadata = { name: "tailkube", labels: { "app.kubernetes.io/managed-by": "tailkube" } };
  const spec = {
    interfaces: ["^eth1$", "^enp.*"],
    loadBalancerIPs: true,
    nodeSelector: { matchExpressions: [{ key: "node-role.kubernetes.io/control-plane", operator: "DoesNotExist" }] },
  };

  it("makes the pool, once", () => {
    const { status, applied, log, stdout } = run(on, {});
    expect(status).to.equal(0);
    expect(log).to.deep.equal(["apply"]);
    expect(stdout).to.equal('{"changed":["LoadBalancer services get addresses of 10.201.0.0/24"]}\n');
    expect(applied).to.deep.equal({
      apiVersion: "cilium.io/v2",
      kind: "CiliumLoadBalancerIPPool",
      metadata,
      spec: { blocks: [{ cidr }], allowFirstLastIPs: "No" },
    });
    expect(run(on, { pool: `tailkube|${cidr} No` })).to.include({ status: 0, stdout: '{"changed":[]}\n' });
    expect(run(on, { pool: "tailkube|10.202.0.0/24 No" }).log).to.deep.equal(["apply"]);
  });

  it("has the nodes announce in a lan, on their interfaces, and does so once", () => {
    const { applied, log } = run(lan, { pool: `tailkube|${cidr} No` });
    expect(log).to.deep.equal(["apply"]);
    expect(applied).to.deep.equal({
      apiVersion: "cilium.io/v2alpha1",
      kind: "CiliumL2AnnouncementPolicy",
      metadata,
      spec,
    });
    const there = { pool: `tailkube|${cidr} No`, policy: `tailkube|${JSON.stringify(spec)}` };
    expect(run(lan, there).stdout).to.equal('{"changed":[]}\n');
    const everywhere = run({ ...lan, TK_LOAD_BALANCER_NODES: "all" }, there).applied;
    expect(everywhere).to.have.property("spec").that.does.not.have.property("nodeSelector");
  });

  it("leaves an object of that name alone that is not the program's", () => {
    for (const [variables, cluster, kind] of [
      [on, { pool: `|${cidr} No` }, "CiliumLoadBalancerIPPool"],
      [lan, { pool: `tailkube|${cidr} No`, policy: "helm|{}" }, "CiliumL2AnnouncementPolicy"],
    ] as const) {
      const { status, stderr, log } = run(variables, cluster);
      expect({ status, log }).to.deep.equal({ status: 1, log: [] });
      expect(stderr).to.include(`there is a ${kind} tailkube that this program did not make`);
    }
  });

  it("gives no service an address that another device of the tailnet advertises, and knows its own nodes", () => {
    const { status, stderr, log } = run(on, {
      devices: [
        ["100.64.0.11", cidr],
        ["100.64.0.77", "10.201.0.128/25"],
        ["100.64.0.78", "10.201.0.0/16"],
      ],
    });
    expect({ status, log }).to.deep.equal({ status: 1, log: [] });
    expect(stderr).to.include(
      "has a route to the addresses of LoadBalancer services: d1 (100.64.0.77) has 10.201.0.128/25, which is in loadBalancer.cidr " +
        "10.201.0.0/24 of this stack. No service was given any.",
    );
    expect(run(on, { devices: [["100.64.0.11", cidr]] }).status).to.equal(0);
  });

  it("leaves nothing of the program's when it is switched off, and all of the user's", () => {
    const ours = ["ciliuml2announcementpolicy.cilium.io/tailkube", "ciliumloadbalancerippool.cilium.io/tailkube"];
    expect(run({}, { ours }).log).to.deep.equal([
      "-n kube-system delete lease/cilium-l2announce-web-shop --ignore-not-found",
      `delete ${ours[0]} --ignore-not-found`,
      `delete ${ours[1]} --ignore-not-found`,
    ]);
    // Where the user's own values have Cilium announce, the leases are in use.
    expect(run({}, { ours, announces: true }).log).to.deep.equal(ours.map((one) => `delete ${one} --ignore-not-found`));
    expect(run({}, {}).log).to.deep.equal([]);
    expect(run({}, { kinds: false, ours }).log).to.deep.equal([]);
  });

  it("takes no silence for an answer", () => {
    const ours = ["ciliuml2announcementpolicy.cilium.io/tailkube"];
    for (const [variables, silent] of [
      [on, '"get ciliumloadbalancerippools.cilium.io tailkube "*'],
      [on, '"get nodes "*'],
      [{}, '"get crd "*'],
      [{}, "*managed-by=tailkube*"],
      [{}, '*"get configmap cilium-config "*'],
      [{}, '*"get leases "*'],
    ] as [Record<string, string>, string][]) {
      const { status, stderr, log } = run(variables, { silent, ours });
      expect({ status, log }, silent).to.deep.equal({ status: 1, log: [] });
      expect(stderr, silent).to.match(/^tailkube: node1: finalize: no answer after 60 s to the question wh/);
    }
  });
});

describe("check_load_balancer", () => {
  interface Found {
    probes?: string[];
    address?: string;
    /** What a probe gets at the address. */
    answer?: string;
    route?: string;
    primary?: string;
    holder?: string;
  }

  function check(found: Found = {}, variables: Record<string, string> = {}) {
    const { probes = ["cp1", "w1"], address = "10.201.0.1", answer = "w1" } = found;
    const root = temporaryFolder();
    const self = { PrimaryRoutes: found.primary === undefined ? [] : [found.primary] };
    write(`${root}/status`, `${JSON.stringify({ Self: self }, undefined, 2)}\n`);
    const fakes = `
      SECONDS=0; sleep() { SECONDS=$((SECONDS + 10)); }
      NAMESPACE=tailkube-checks PATHS=0 FAILURES=() RUNNING="${probes.join(" ")}"
      failed() { FAILURES+=("$*"); }
      timeout() { shift; "$@"; }
      tailscale() { command cat "$ROOT/status"; }
      ip() { [ "$*" != "-4 route show table 52 ${cidr}" ] || printf %s '${found.route ?? ""}'; }
      kubectl_checks() { kubectl_admin -n "$NAMESPACE" "$@"; }
      kubectl_admin() {
        case "$*" in
        "apply -f -") command cat >"$ROOT/applied" ;;
        *"get service "*) printf %s '${address}' ;;
        *"get ciliumloadbalancerippools.cilium.io tailkube "*) printf 'cilium.io/PoolConflict: taken; ' ;;
        *" exec "*) echo "$4" >>"$ROOT/log"; echo '${answer}' ;;
        *"get lease cilium-l2announce-tailkube-checks-load-balancer "*) printf %s '${found.holder ?? ""}' ;;
        *) return 1 ;;
        esac
      }`;
    const parts = partsOf("lib/checks/load-balancer.sh").map(scriptText).join("\n");
    const given = { ROOT: root, TK_NODE_NETWORK: "tailnet", TK_LOAD_BALANCER: cidr, TK_LOAD_BALANCER_SERVING: "w1" };
    const text = bashOk(
      withLibrary(
        root,
        `${assignments({ ...given, ...variables })}\n${parts}\n${fakes}\nmkdir -p "$TK_RUN"\ncheck_load_balancer\nprintf '%s\\n' "$PATHS" "\${FAILURES[@]}"`,
        "check-cluster",
      ),
    );
    const [paths, ...failures] = text.trimEnd().split("\n");
    const applied = existsSync(`${root}/applied`)
      ? (parse(readFileSync(`${root}/applied`, "utf8")) as object)
      : undefined;
    return { paths: Number(paths), failures: failures.filter(Boolean), applied, asked: logOf(root) };
  }

  it("checks nothing without load balancers, nor where no probe runs", () => {
    expect(check({}, { TK_LOAD_BALANCER: "" })).to.deep.include({ paths: 0, failures: [], applied: undefined });
    expect(check({ probes: [] })).to.deep.include({ paths: 0, failures: [], applied: undefined });
  });

  it("has a service answer from every node by the pod on one that takes traffic, and finds the route", () => {
    const { paths, failures, applied, asked } = check({ route: `${cidr} dev tailscale0` });
    expect({ paths, failures, asked }).to.deep.equal({ paths: 2, failures: [], asked: ["cp1", "w1"] });
    expect(applied).to.deep.equal({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "load-balancer", namespace: "tailkube-checks" },
      spec: { type: "LoadBalancer", selector: { probe: "w1" }, ports: [{ port: 80, targetPort: 8080 }] },
    });
    // This host may have the route itself.
    expect(check({ primary: cidr }).failures).to.deep.equal([]);
    expect(check({ primary: "10.50.0.0/24" }).failures).to.have.lengthOf(1);
  });

  it("asks a dozen nodes at the most", () => {
    const probes = Array.from({ length: 40 }, (_, i) => `w${i + 10}`);
    expect(check({ probes, answer: "w49", route: "x" }).paths).to.equal(12);
  });

  it("says what is wrong: no address, no answer, no route, no node that announces", () => {
    const [pool] = check({ address: "" }).failures;
    expect(pool).to.match(
      /^load balancer: a Service got no address of 10\.201\.0\.0\/24 within 30 s: cilium\.io\/PoolConflict: taken; +see/,
    );
    const silent = check({ answer: "other", route: "x" }).failures;
    expect(silent).to.have.lengthOf(2);
    expect(silent[0]).to.match(
      /^load balancer from cp1: no answer of the pod on w1 at 10\.201\.0\.1; 'cilium-dbg service list'/,
    );
    expect(check().failures[0]).to.match(
      /^load balancer: no node's route to 10\.201\.0\.0\/24 is active in the tailnet/,
    );
    const lan = { TK_NODE_NETWORK: "lan" };
    expect(check({}, lan).failures[0]).to.match(/^load balancer: no node announces 10\.201\.0\.1 in the lan/);
    expect(check({ holder: "w1" }, lan).failures).to.deep.equal([]);
  });
});
