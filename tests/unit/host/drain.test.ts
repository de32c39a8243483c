import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  bashOk,
  partsOf,
  removeTemporaryFolders,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";

afterEach(removeTemporaryFolders);

interface Cluster {
  /** "uid namespace name owned-by-a-DaemonSet owned-by-a-Node" lines, as kubectl prints a node's pods. */
  pods: string[];
  unschedulable?: boolean;
  /** Whether the node says that it was us who cordoned it. */
  ours?: boolean;
  /** Bash that answers an eviction of `$name`: sets `code` and `answer`; default: granted, and the pod is gone. */
  eviction?: string;
  /** Bash that runs with each listing of the pods, the `$n`th. */
  listing?: string;
  seconds?: string;
}

const names = {
  TK_NODE_NETWORK: "tailnet",
  TK_ENDPOINT: "10.200.0.1",
  TK_ENDPOINT_PORT: "6443",
  TK_API_PORT: "6443",
  TK_NODE_IP: "100.64.0.4",
  TK_ROLE: "worker",
  TK_POD_ROUTING: "native",
};

/** upgrade/drain.sh on a node of a cluster that lives in files; `stderr` holds the message of a failure. */
function node(cluster: Cluster, text: string) {
  const root = temporaryFolder();
  write(`${root}/pods`, cluster.pods.map((line) => `${line}\n`).join(""));
  write(`${root}/unschedulable`, cluster.unschedulable ? "true" : "");
  write(`${root}/ours`, cluster.ours ? "2026-11-21T12:00:00Z" : "");
  const script = withLibrary(
    root,
    [
      assignments({ ROOT: root, ...names, TK_DRAIN_SECONDS: cluster.seconds ?? "30" }),
      ...partsOf("lib/upgrade/drain.sh").map(scriptText),
      'mkdir -p "$TK_RUN"',
      'log() { echo "$*" >>"$ROOT/log"; }',
      "sleep() { SECONDS=$((SECONDS + 1)); }",
      `kubectl_node() {
        case "$*" in
        "get node node1 "*{.spec.unschedulable}) cat "$ROOT/unschedulable" ;;
        "get node node1 "*cordoned*) cat "$ROOT/ours" ;;
        "get pods -A --field-selector spec.nodeName=node1,"*)
            echo x >>"$ROOT/listings"
            local n; n=$(wc -l <"$ROOT/listings")
            ${cluster.listing ?? ":"}
            cat "$ROOT/pods" ;;
        *) log "kubectl $*"; return 1 ;;
        esac
      }`,
      // As the API answers curl, whose request is that of a node with its own certificate.
      `curl() {
        local all="$*" body='' out='' url="\${*: -1}" code=200 answer='{}' name
        while [ $# -gt 0 ]; do case $1 in --data-binary) body=$2 ;; -o) out=$2 ;; esac; shift; done
        [[ $all == *"--cert /var/lib/kubelet/pki/kubelet-client-current.pem"* && $all == *"--cacert /etc/kubernetes/pki/ca.crt"* ]] || return 1
        case $url in
        https://10.200.0.1:6443/api/v1/nodes/node1)
            log "patch $body"
            case $body in
            *'"unschedulable":true'*) printf true >"$ROOT/unschedulable"; printf now >"$ROOT/ours" ;;
            *) : >"$ROOT/unschedulable"; : >"$ROOT/ours" ;;
            esac ;;
        https://10.200.0.1:6443/api/v1/namespaces/*/pods/*/eviction)
            name=\${url%/eviction}; name=\${name##*/}
            log "evict $name $body"
            code=201
            ${cluster.eviction ?? ":"}
            [ "$code" != 201 ] || sed -i "/ $name /d" "$ROOT/pods" ;;
        *) code=404 ;;
        esac
        printf '%s' "$answer" >"$out"
        printf '%s' "$code"
      }`,
      text,
      "result",
    ].join("\n"),
    "upgrade",
  );
  const log = () =>
    existsSync(`${root}/log`) ? readFileSync(`${root}/log`, "utf8").trimEnd().split("\n").filter(Boolean) : [];
  return {
    ...bash(script),
    log,
    evicted: () => log().flatMap((line) => /^evict (\S+)/.exec(line)?.[1] ?? []),
    is: (file: "unschedulable" | "ours") => readFileSync(`${root}/${file}`, "utf8") !== "",
  };
}

const web = (i: number) => `u${i} default web-${i} <none> <none>`;
const changedBy = (stdout: string) => (JSON.parse(stdout) as { changed: string[] }).changed;

describe("cordon and uncordon", () => {
  it("says in the same request that it was us", () => {
    const done = node({ pods: [] }, "cordon");
    expect(done.log()).to.have.lengthOf(1);
    expect(done.log()[0]).to.match(
      /^patch \{"metadata":\{"annotations":\{"tailkube.dev\/cordoned":"20\d\d-[^"]*Z"\}\},"spec":\{"unschedulable":true\}\}$/,
    );
    expect(changedBy(done.stdout)).to.deep.equal(["cordoned the node"]);
  });

  it("leaves a node that the user has cordoned as it is, before and after", () => {
    const done = node({ pods: [], unschedulable: true }, "cordon\nuncordon");
    expect(done.log()).to.deep.equal([]);
    expect(changedBy(done.stdout)).to.deep.equal([]);
  });

  it("takes back what a killed run has done", () => {
    const done = node({ pods: [], unschedulable: true, ours: true }, "cordon\nuncordon");
    expect(done.log()).to.deep.equal([
      'patch {"metadata":{"annotations":{"tailkube.dev/cordoned":null}},"spec":{"unschedulable":null}}',
    ]);
  });
});

describe("a question that gets no answer", () => {
  /** kubectl's answers to questions about the node, of which the first `times` fail. */
  const mute = (times: number) => `eval "$(declare -f kubectl_node | sed '1s/kubectl_node/kubectl_answers/')"
    kubectl_node() {
      echo x >>"$ROOT/questions"
      [ "$(wc -l <"$ROOT/questions")" -gt ${times} ] || return 1
      kubectl_answers "$@"
    }`;

  it("does not leave a node cordoned while the run is green", () => {
    const once = node({ pods: [], unschedulable: true, ours: true }, `${mute(1)}\nuncordon`);
    expect({ status: once.status, cordoned: once.is("unschedulable") }).to.deep.equal({ status: 0, cordoned: false });
    const never = node({ pods: [], unschedulable: true, ours: true }, `${mute(9999)}\nuncordon`);
    expect(never.status).to.equal(1);
    expect(never.stderr).to.include("no answer after 60 s to the question whether this program has cordoned the node");
  });

  it("is no reason to cordon, nor to evict", () => {
    const never = node({ pods: [web(1)] }, `${mute(9999)}\ndrain`);
    expect({ status: never.status, log: never.log() }).to.deep.equal({ status: 1, log: [] });
    expect(never.stderr).to.include("no answer after 60 s to the question whether the node is cordoned");
  });

  it("is asked again after the node was given back", () => {
    const text = `node_patched() { log "patch, and nothing happens"; }\nuncordon`;
    const lost = node({ pods: [], unschedulable: true, ours: true }, text);
    expect(lost.status).to.equal(1);
    expect(lost.stderr).to.match(/the node is still cordoned, though the API took the request/);
  });
});

describe("drain", () => {
  it("evicts the node's pods, by their identity, and leaves those that belong to the node", () => {
    const done = node(
      {
        pods: [
          web(1),
          "u2 kube-system etcd-node1 <none> true",
          "u3 kube-system cilium-x true <none>",
          "u4 apps bare <none> <none>",
          "u5 apps db-0 <none> <none>",
        ],
      },
      "drain",
    );
    expect(done.stderr).to.equal("");
    expect(done.evicted()).to.deep.equal(["web-1", "bare", "db-0"]);
    expect(JSON.parse(/^evict web-1 (.*)$/.exec(done.log()[1]!)![1]!)).to.deep.equal({
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name: "web-1", namespace: "default" },
      deleteOptions: { preconditions: { uid: "u1" } },
    });
    expect(changedBy(done.stdout)).to.deep.equal(["cordoned the node", "drained the node"]);
    expect(done.is("unschedulable")).to.equal(true);
  });

  it("is done at once where there is nothing to evict", () => {
    const done = node({ pods: ["u3 kube-system cilium-x true <none>"] }, "drain");
    expect({ status: done.status, evicted: done.evicted() }).to.deep.equal({ status: 0, evicted: [] });
  });

  it("asks again for what a budget refuses, and once for what ends slowly", () => {
    const eviction = `case $name in
      web-1) if [ ! -e "$ROOT/refused" ]; then : >"$ROOT/refused"; code=429; fi ;;
      web-2) code=200 ;;
      esac`;
    // web-2 is evicted, and gone with the fourth listing.
    const done = node(
      { pods: [web(1), web(2)], eviction, listing: '[ $n -lt 4 ] || sed -i "/web-2/d" "$ROOT/pods"' },
      "drain",
    );
    expect(done.status).to.equal(0);
    expect(done.evicted()).to.deep.equal(["web-1", "web-2", "web-1"]);
  });

  it("does not chase a pod that comes back to this node", () => {
    const eviction = `sed -i "/ $name /d" "$ROOT/pods"; echo "u2 kube-system cilium-operator-b <none> <none>" >>"$ROOT/pods"; code=200`;
    const done = node({ pods: ["u1 kube-system cilium-operator-a <none> <none>"], eviction }, "drain");
    expect(done.status).to.equal(0);
    expect(done.evicted()).to.deep.equal(["cilium-operator-a"]);
  });

  it("goes on when the API does not answer for a while", () => {
    const done = node({ pods: [web(1), web(2)], listing: "[ $n != 1 ] && [ $n != 3 ] || return 1" }, "drain");
    expect(done.status).to.equal(0);
    expect(done.evicted()).to.deep.equal(["web-1", "web-2"]);
  });

  it("says after its time which pods are left and which budget holds them, and gives the node back", () => {
    // As the API prints it for curl.
    const answer = `{
  "kind": "Status",
  "message": "Cannot evict pod as it would violate the pod's disruption budget.",
  "details": {
    "causes": [
      {
        "reason": "DisruptionBudget",
        "message": "The disruption budget web needs 2 healthy pods and has 2 currently"
      }
    ]
  },
  "code": 429
}`;
    const eviction = `case $name in web-1) code=200 ;; web-2) code=429 answer=${JSON.stringify(answer).replaceAll("\\n", " ").replaceAll('\\"', '\\"')} ;; web-3) code=000 ;; esac`;
    const done = node({ pods: [web(1), web(2), web(3)], eviction, seconds: "1" }, "drain");
    expect(done.status).to.equal(1);
    expect(done.stdout).to.equal("");
    expect(done.stderr).to.equal(
      "tailkube: node1: upgrade: not drained within 1 s, and uncordoned again. Remaining pods: default/web-1 (evicted, but it has not ended), " +
        "default/web-2 (The disruption budget web needs 2 healthy pods and has 2 currently), default/web-3 (the API does not answer). " +
        "Give them more replicas, or room on other nodes, or delete them; tailkube:kubernetes.drainSeconds is the bound (0: no drain)\n",
    );
    expect({ unschedulable: done.is("unschedulable"), ours: done.is("ours") }).to.deep.equal({
      unschedulable: false,
      ours: false,
    });
  });

  it("with no time: pods stay, and the node stays open", () => {
    const done = node({ pods: [web(1)], seconds: "0" }, "drain");
    expect(done.log()).to.deep.equal([]);
    expect(done.status).to.equal(0);
  });
});

describe("answer_message", () => {
  it("is the last message, quotes and all", () => {
    const root = temporaryFolder();
    const answers = {
      '{"message": "This pod has more than one PodDisruptionBudget"}': "This pod has more than one PodDisruptionBudget",
      '{"message":"a","details":{"causes":[{"message":"pods \\"x\\" is held"}]},"code":429}': 'pods \\"x\\" is held',
      "": "",
      "not JSON": "",
    };
    for (const [answer, message] of Object.entries(answers)) {
      write(`${root}/run/tailkube/answer`, answer);
      const text = partsOf("lib/upgrade/drain.sh").map(scriptText).join("\n");
      expect(bashOk(withLibrary(root, `${assignments(names)}\n${text}\nanswer_message`)).trimEnd()).to.equal(message);
    }
  });
});
