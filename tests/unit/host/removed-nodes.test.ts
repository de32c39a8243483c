import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import type { Stage } from "../../../components/hosts/stages";
import { assignments, bash, partsOf, removeTemporaryFolders, temporaryFolder, withLibrary } from "./bash";
import { isThorough, placesTried, someOf } from "../samples";

afterEach(removeTemporaryFolders);

const variables = {
  TK_NODE: "cp1",
  TK_NODE_NETWORK: "tailnet",
  TK_ENDPOINT: "10.200.0.1",
  TK_ENDPOINT_PORT: "6443",
  TK_API_PORT: "6443",
  TK_NODE_IP: "100.64.0.1",
  TK_POD_ROUTING: "native",
  TK_NODES: "cp1 cp2 w1",
  TK_DRAIN_SECONDS: "30",
  TK_READY_SECONDS: "30",
};

interface Node {
  address: string;
  mark?: string;
  ready?: boolean;
  plane?: boolean;
}

interface Member {
  id: bigint;
  /** None: it has not started. */
  name?: string;
  address: string;
  learner?: boolean;
  healthy?: boolean;
}

interface Cluster {
  nodes: Record<string, Node>;
  members: Member[];
  /** What the ConfigMap tailkube-nodes holds. */
  recorded: Record<string, string>;
  /** The call, counted from 1, that fails, and how often. */
  fault?: { at: number; times: number };
}

const threeAndOne = (): Cluster => ({
  nodes: {
    cp1: { address: "100.64.0.1", mark: "m1", plane: true },
    cp2: { address: "100.64.0.2", mark: "m2", plane: true },
    cp3: { address: "100.64.0.3", mark: "m3", plane: true },
    w1: { address: "100.64.0.11", mark: "m4" },
  },
  members: [
    { id: 1n, name: "cp1", address: "100.64.0.1" },
    { id: 2n, name: "cp2", address: "100.64.0.2" },
    { id: 10501334649042878790n, name: "cp3", address: "100.64.0.3" },
  ].map((member) => ({ ...member, healthy: true })),
  recorded: { cp1: "100.64.0.1", cp2: "100.64.0.2", cp3: "100.64.0.3", w1: "100.64.0.11" },
});

/** The changes that kubectl was asked for; everything else is a question. */
const changing = /^(drain|delete|patch|label|taint|annotate|apply|create|exec etcd-\S+ .*member remove)/;

/** Runs bash with a stage's files on cp1 of a cluster whose state is in files: what kubectl is asked to change, changes. */
function run(cluster: Cluster, text: string, name: Stage = "finalize") {
  const root = temporaryFolder();
  for (const folder of ["nodes", "members", "recorded"]) mkdirSync(`${root}/${folder}`);
  const files: string[] = [];
  for (const [node, { address, mark = "", ready = true, plane = false }] of Object.entries(cluster.nodes)) {
    files.push(
      `mkdir ${root}/nodes/${node}; cd ${root}/nodes/${node}; echo ${address} >address; printf '%s' '${mark}' >mark; printf ${ready ? "True" : "Unknown"} >ready`,
    );
    files.push(
      `printf '%s' '${plane ? '{"node-role.kubernetes.io/control-plane":""}' : "{}"}' >labels; : >cordoned; : >unschedulable; cd /`,
    );
  }
  cluster.members.forEach(({ id, name: member = "", address, learner = false, healthy = false }, i) => {
    const client = member && `"ClientURL" : "https://${address}:2379"`;
    files.push(
      `printf '%s\\n' '"ID" : ${id}' '"Name" : "${member}"' '"PeerURL" : "https://${address}:2380"' ${client ? `'${client}'` : ""} '"IsLearner" : ${learner}' '' >${root}/members/${i}.${id.toString(16)}`,
    );
    if (member) {
      files.push(
        `printf '%s\\n' '"Endpoint" : "https://${address}:2379"' '"Health" : ${healthy}' '"Took" : 2ms' '"Error" : ' '' >${root}/health.${id.toString(16)}`,
      );
    }
  });
  for (const [node, address] of Object.entries(cluster.recorded))
    files.push(`echo ${address} >${root}/recorded/${node}`);
  const script = withLibrary(
    root,
    [
      assignments({ ROOT: root, ...variables }),
      partsOf(name)
        .map(scriptText)
        .join("\n")
        .replace(/\/etc\/kubernetes/g, `${root}/etc/kubernetes`),
      ...files,
      'mkdir -p "$TK_RUN"',
      "sleep() { SECONDS=$((SECONDS + 15)); }",
      `kubectl() {
        while [[ $1 == --* || $1 == -n ]]; do case $1 in --kubeconfig | -n) shift 2 ;; *) shift ;; esac; done
        local all="$*" n name entry
        echo "$all" >>"$ROOT/calls"
        n=$(wc -l <"$ROOT/calls")
        if [ "$n" -ge ${cluster.fault?.at ?? 0} ] && [ "$n" -lt ${(cluster.fault?.at ?? 0) + (cluster.fault?.times ?? 0)} ]; then
            echo "etcdserver: request timed out" >&2
            return 1
        fi
        name=\${3:-}
        case $all in
        "get nodes -l "*) grep -l control-plane "$ROOT"/nodes/*/labels | sed 's,/labels,,; s,.*/,,' | tr '\\n' ' ' ;;
        "get nodes "*) ls "$ROOT/nodes" | tr '\\n' ' ' ;;
        "get node "*) [ -d "$ROOT/nodes/$name" ] || return 0
            case $all in
            *joined*) cat "$ROOT/nodes/$name/mark" ;;
            *InternalIP*) cat "$ROOT/nodes/$name/address" ;;
            *Ready*) cat "$ROOT/nodes/$name/ready" ;;
            *labels*) cat "$ROOT/nodes/$name/labels" ;;
            *cordoned*) cat "$ROOT/nodes/$name/cordoned" ;;
            *unschedulable*) cat "$ROOT/nodes/$name/unschedulable" ;;
            *"-o name") echo "node/$name" ;;
            *) return 1 ;;
            esac ;;
        "get pods -l component=etcd "*) for entry in $(ls "$ROOT/nodes"); do printf '%s=etcd-%s ' "$entry" "$entry"; done ;;
        "get configmap tailkube-nodes "*) for entry in $(ls "$ROOT/recorded"); do printf '%s=%s ' "$entry" "$(cat "$ROOT/recorded/$entry")"; done ;;
        "exec etcd-"*" member list") cat "$ROOT"/members/* ;;
        "exec etcd-"*" endpoint health --cluster") cat "$ROOT"/health.*; ! grep -q false "$ROOT"/health.* ;;
        "exec etcd-"*" member remove "*) rm "$ROOT"/members/*."\${all##* }"; rm -f "$ROOT/health.\${all##* }" ;;
        "patch node "*removal*) printf removal >"$ROOT/nodes/$name/cordoned"; printf true >"$ROOT/nodes/$name/unschedulable" ;;
        "patch node "*) : >"$ROOT/nodes/$name/cordoned"; : >"$ROOT/nodes/$name/unschedulable" ;;
        "drain "*) ;;
        "delete node "*) rm -rf "$ROOT/nodes/$name" ;;
        "delete pods "*) ;;
        "patch configmap tailkube-nodes "*) name=\${all#*data\\":\\{\\"}; rm -f "$ROOT/recorded/\${name%%\\"*}" ;;
        *) return 1 ;;
        esac
      }`,
      text,
    ].join("\n"),
    name,
  ).replace("TK_NODE='node1'", "TK_NODE='cp1'");
  const finished = bash(script);
  const calls = existsSync(`${root}/calls`) ? readFileSync(`${root}/calls`, "utf8").trimEnd().split("\n") : [];
  return { ...finished, calls, changes: calls.filter((call) => changing.test(call)).map(short) };
}

/** A change without the options that are always the same. */
function short(call: string): string {
  const [verb, what, name = ""] = call.split(" ");
  if (verb === "exec") return call.replace(/^exec (\S+) .* (member remove \S+)$/, "$1: $2");
  if (verb === "drain") return `drain ${what}`;
  if (what === "pods") return `delete pods of ${/spec\.nodeName=(\S+)/.exec(call)![1]}`;
  if (what === "configmap") return `forget ${/"([^"]+)":null/.exec(call)![1]}`;
  return [verb, what, name, ...(/removal|null/.exec(call) ?? [])].join(" ");
}

const takeAllOut = 'find_removed_nodes; for node in $ANSWER; do remove_node "$node"; done; result';
const removal = (node: string, id?: string) => [
  `patch node ${node} removal`,
  `drain ${node}`,
  ...(id ? [`etcd-cp1: member remove ${id}`] : []),
  `delete node ${node}`,
  `delete pods of ${node}`,
  `forget ${node}`,
];

describe("removed nodes", () => {
  it("leave in an order in which each step is found by the next run", () => {
    const { status, stderr, changes } = run(threeAndOne(), takeAllOut);
    expect(status, stderr).to.equal(0);
    expect(changes).to.deep.equal(removal("cp3", "91bc3c398fb3c146"));
  });

  it("are taken out completely, whatever a killed removal or join has left of them", () => {
    const left: [string, (cluster: Cluster) => void, string[]][] = [
      ["it left etcd", (c) => c.members.pop(), removal("cp3")],
      ["its Node is gone, too", (c) => (c.members.pop(), delete c.nodes.cp3), ["delete pods of cp3", "forget cp3"]],
      [
        "its Node is gone, but not its member",
        (c) => delete c.nodes.cp3,
        ["etcd-cp1: member remove 91bc3c398fb3c146", "delete pods of cp3", "forget cp3"],
      ],
      ["its join never marked the Node", (c) => (c.nodes.cp3!.mark = ""), removal("cp3", "91bc3c398fb3c146")],
      [
        "its member never started",
        (c) => (c.members[2] = { id: 10501334649042878790n, address: "100.64.0.3", learner: true }),
        removal("cp3", "91bc3c398fb3c146"),
      ],
    ];
    for (const [what, change, expected] of left) {
      const cluster = threeAndOne();
      change(cluster);
      const { status, stderr, changes } = run(cluster, takeAllOut);
      expect(status, `${what}: ${stderr}`).to.equal(0);
      expect(changes, what).to.deep.equal(expected);
    }
  });

  it("leave also while an API server takes minutes to boot after a power cut", () => {
    const cluster = { ...threeAndOne(), fault: { at: 1, times: 20 } };
    const text = 'SECONDS=0; sleep() { SECONDS=$((SECONDS + 10)); }\nfind_removed_nodes; echo "$ANSWER"';
    expect(run(cluster, text)).to.include({ status: 0, stdout: " cp3 \n" });
  });

  it("are only those that this program made", () => {
    const cluster = threeAndOne();
    cluster.nodes = {
      ...cluster.nodes,
      theirs: { address: "100.64.0.77" },
    };
    // A member without any record.
    cluster.members.push({ id: 4n, name: "stranger", address: "100.64.0.79", healthy: true });
    expect(run(cluster, takeAllOut).changes).to.deep.equal(removal("cp3", "91bc3c398fb3c146"));
  });

  it("cannot stay by what they write about themselves", () => {
    // A node may remove its mark, and report another address.
    const cluster = threeAndOne();
    cluster.nodes.w2 = { address: "100.64.0.99" };
    cluster.recorded.w2 = "100.64.0.12";
    const { status, stderr, changes } = run(cluster, takeAllOut);
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /Node w2 is no longer declared, and is recorded with the address 100\.64\.0\.12, but reports 100\.64\.0\.99 .*kubectl delete node w2.*tailkube-nodes/,
    );
    expect(changes).to.deep.equal([]);
  });

  it("take no other member out of etcd by an address that they report", () => {
    const cluster = threeAndOne();
    // It joins at the moment: etcd has no name for it yet.
    cluster.members.push({ id: 5n, address: "100.64.0.4", learner: true });
    cluster.nodes.w2 = { address: "100.64.0.4", mark: "m5" };
    cluster.recorded = { ...cluster.recorded, w2: "100.64.0.12", cp4: "100.64.0.4" };
    const { status, stderr, changes } = run(cluster, "remove_node w2; result");
    expect(status, stderr).to.equal(0);
    expect(changes).to.deep.equal(removal("w2"));
    cluster.nodes.w2.ready = false;
    const early = run(cluster, 'TK_NODES="$TK_NODES cp4"; apply', "dead-members");
    expect(early.changes, early.stderr).to.deep.equal([]);
  });

  it("do not take etcd's majority with them", () => {
    const cluster = threeAndOne();
    cluster.members[1]!.healthy = false;
    const { status, stderr, changes } = run(cluster, takeAllOut);
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /without the member cp3 etcd would have 1 healthy of 2 voting members, which is not a majority.*nothing was removed/,
    );
    expect(changes).to.deep.equal([]);
    // The dead one itself may go.
    const dead = threeAndOne();
    dead.members[2]!.healthy = false;
    dead.nodes.cp3!.ready = false;
    expect(run(dead, takeAllOut).changes).to.deep.equal(removal("cp3", "91bc3c398fb3c146").slice(2));
  });

  it("leave in the stage dead-members only if they are dead control planes", () => {
    const dead = threeAndOne();
    dead.members[2]!.healthy = false;
    dead.nodes.cp3!.ready = false;
    dead.nodes.w9 = { address: "100.64.0.19", mark: "m9", ready: false };
    expect(run(dead, "apply", "dead-members").changes).to.deep.equal(removal("cp3", "91bc3c398fb3c146").slice(2));
    expect(run(threeAndOne(), "apply", "dead-members").changes).to.deep.equal([]);
  });

  it("are not asked of a worker that calls a pod of its own etcd", () => {
    const { calls } = run(threeAndOne(), takeAllOut);
    expect(calls.filter((call) => call.startsWith("exec etcd-w1"))).to.deep.equal([]);
  });

  describe("when a request gets no answer", () => {
    const whole = run(threeAndOne(), takeAllOut);
    removeTemporaryFolders();
    const calls = someOf(whole.calls.length, 15);

    it(`once, whichever: the removal ends as without the fault (${placesTried})`, () => {
      for (const at of calls) {
        const { status, stderr, changes } = run({ ...threeAndOne(), fault: { at, times: 1 } }, takeAllOut);
        const what = `call ${at}, ${whole.calls[at - 1]}`;
        expect(status, `${what}: ${stderr}`).to.equal(0);
        // A change whose answer was lost may be asked for twice, and another member of etcd be asked.
        expect([...new Set(changes.map((change) => change.replace("etcd-cp2:", "etcd-cp1:")))], what).to.deep.equal(
          whole.changes,
        );
      }
    }).timeout(isThorough ? 600_000 : 120_000);

    it(`from then on, whichever: the stage fails with what it asked, and has changed nothing that it would not have (${placesTried})`, () => {
      for (const at of calls) {
        const { status, stderr, changes } = run({ ...threeAndOne(), fault: { at, times: 9999 } }, takeAllOut);
        const what = `call ${at}, ${whole.calls[at - 1]}`;
        expect(status, what).to.equal(1);
        expect(stderr, what).to.match(
          /no answer after (60|240) s to the question \S+|cannot (cordon|remove|uncordon)|is cordoned and cannot be uncordoned|etcd would not remove|no other control plane's etcd answers/,
        );
        const allowed = [...whole.changes, "patch node cp3 null"];
        for (const change of changes) expect(allowed, what).to.include(change);
        const before = whole.calls
          .slice(0, at)
          .filter((call) => changing.test(call))
          .map(short);
        const after = [...new Set(changes)].filter((change) => change !== "patch node cp3 null");
        expect(after, what).to.deep.equal(before);
      }
    }).timeout(isThorough ? 900_000 : 120_000);
  });
});
