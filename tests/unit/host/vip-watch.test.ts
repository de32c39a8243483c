/** The watch of the endpoint's address in a lan, with everything that it asks and changes faked. endpoint-lease.test.ts has its rule. */
import { readFileSync, statSync } from "node:fs";
import { expect } from "chai";
import { vipWatchScript } from "../../../components/hosts/script-text";
import { bash, removeTemporaryFolders, temporaryFolder, write } from "./bash";
import { lines, relocated } from "./installed-script";

afterEach(removeTemporaryFolders);

/**
 * What this host's API server says at a look: `ok` and the lease can be written; `sick`, it is not ready, but has etcd; `slow`, no answer
 * to /readyz, but the lease can be written; `cut`, nothing in time, neither of it nor of the lease; `gone`, nothing listens.
 */
type Look = "ok" | "sick" | "slow" | "cut" | "gone";

interface World {
  /** Who holds the lease at first; absent: there is none. */
  holder?: string;
  joined?: boolean;
  founding?: boolean;
  /** Whether cp2's API server answers, and whether this host knows of it. */
  other?: boolean;
  known?: boolean;
  /** Commands between two looks, by the number of the first. */
  meanwhile?: Record<number, string>;
  /** A part of the script to replace. */
  change?: [RegExp, string];
}

const own = "cp1_0123";

function prepared({ holder, joined = true, founding = false, known = true, other = true, meanwhile = {} }: World) {
  const root = temporaryFolder();
  write(
    `${root}/etc/tailkube/endpoint.env`,
    "TAILKUBE_ENDPOINT=172.31.77.10\nTAILKUBE_ENDPOINT_PORT=6443\nTAILKUBE_NODE=cp1\nTAILKUBE_ADDRESS=172.31.77.11\n",
  );
  const secret = (text: string) => Buffer.from(text).toString("base64");
  write(
    `${root}/etc/kubernetes/admin.conf`,
    `users:\n- user:\n    client-certificate-data: ${secret("the certificate")}\n    client-key-data: ${secret("the key")}\n`,
  );
  write(`${root}/run/tailkube/endpoint-holder`, `${own}\n`);
  write(`${root}/sys/class/net/eth1/address`, "52:54:00:4d:1f:0b\n");
  write(`${root}/clock`, "100000.00 1\n");
  if (joined) write(`${root}/var/lib/tailkube/joined`, "");
  if (founding) write(`${root}/run/tailkube/founding`, "");
  if (known) write(`${root}/run/tailkube/api-servers`, "172.31.77.11\n172.31.77.12\n");
  if (other) write(`${root}/other`, "");
  if (holder !== undefined) write(`${root}/lease`, `7 ${holder}\n`);
  write(`${root}/frames`, "");
  write(
    `${root}/meanwhile`,
    Object.entries(meanwhile)
      .map(([look, command]) => `${look}) ${command} ;;\n`)
      .join(""),
  );
  return root;
}

/** Functions of the script's own shell; what has to outlast a subshell is in files. Each look takes half a second of its clock. */
const fakes = (root: string, looks: readonly Look[]) => `
  looks=(${looks.join(" ")}) look=0
  hold() { echo "$1 $2" >${root}/lease; }
  clock() { local text; read -r text _ <${root}/clock; echo $((10#\${text/./} * 10)); }
  answer_lease() {
    local version holder
    read -r version holder <${root}/lease
    printf '{"kind":"Lease","metadata":{"name":"tailkube-endpoint","uid":"u1","resourceVersion":"%s","managedFields":[{"fieldsV1":{"f:spec":{"f:holderIdentity":{}}}}]},"spec":{"holderIdentity":"%s","leaseTransitions":3}}\\n%s' "$version" "$holder" "$1"
  }
  lease_request() {
    local body version holder wanted
    body=$(cat)
    [ -z "$body" ] || echo "$1 $(sed 's/.*"holderIdentity":"\\([^"]*\\)".*/\\1/' <<<"$body")" >>${root}/log
    case $2 in
    GET) if [ -e ${root}/lease ]; then answer_lease 200; else printf '{}\\n404'; fi ;;
    POST) if [ -e ${root}/lease ]; then printf '{}\\n409'; else hold 1 -; answer_lease 201; fi ;;
    PUT)
      wanted=$(sed -n 's/.*"uid":"u1","resourceVersion":"\\([0-9]*\\)".*/\\1/p' <<<"$body")
      read -r version holder <${root}/lease
      if [ "$wanted" != "$version" ]; then printf '{}\\n409'; return; fi
      hold $((version + 1)) "$(sed 's/.*"holderIdentity":"\\([^"]*\\)".*/\\1/' <<<"$body")"
      answer_lease 200 ;;
    esac
  }
  curl() {
    local here=\${looks[look]:-\${looks[-1]}} method
    echo "$*" >>${root}/curl
    method=$(sed -n 's/.* -X \\([A-Z]*\\) .*/\\1/p' <<<"$*")
    case $* in
    *//127.0.0.1:6443/readyz) case $here in ok) printf ok ;; sick) printf '[-]etcd failed' ;; gone) return 7 ;; *) pass 100; return 28 ;; esac ;;
    *//172.31.77.12:6443/readyz) if [ -e ${root}/other ]; then printf ok; else return 28; fi ;;
    *//172.31.77.11:6443/apis/coordination*) case $here in gone) return 7 ;; cut) pass 100; return 28 ;; *) lease_request own "$method" ;; esac ;;
    *//172.31.77.12:6443/apis/coordination*) if [ -e ${root}/other ]; then lease_request other "$method"; else return 28; fi ;;
    *) return 3 ;;
    esac
  }
  has_vip() { [ -e ${root}/vip ] && [ "$(clock)" -lt "$(<${root}/vip)" ]; }
  ip() {
    case $* in
    "-o -4 address show to 172.31.77.10/32") ! has_vip || echo "2: eth1    inet 172.31.77.10/32" ;;
    "-o -4 address show to 172.31.77.11/32") echo "2: eth1    inet 172.31.77.11/24" ;;
    "-o -4 address show dev eth1") cat ${root}/order 2>/dev/null || echo "2: eth1    inet 172.31.77.11/24" ;;
    "address replace 172.31.77.10/32 dev eth1 valid_lft "*" preferred_lft 0") has_vip || echo "+ $7" >>${root}/log; echo $(($(clock) + $7 * 1000)) >${root}/vip ;;
    "address del 172.31.77.10/32 dev eth1") echo - >>${root}/log; rm ${root}/vip ;;
    "-o -4 address show to "*) ;;
    *) echo "ip $*" >>${root}/log ;;
    esac
  }
  timeout() { shift; "$@"; }
  ss() { :; }
  kubectl() { return 1; }
  socat() { [ "$*" = "-u STDIN INTERFACE:eth1" ] && cat >>${root}/frames; }
  pass() {
    local text
    read -r text _ <${root}/clock
    text=$((10#\${text/./} + $1))
    echo "\${text%??}.\${text: -2} 1" >${root}/clock
  }
  sleep() {
    pass $((10#\${1/./}0))
    SECONDS=$((SECONDS + 1))
    look=$((look + 1))
    cd ${root}
    eval "case $look in $(<meanwhile) esac"
    echo . >>${root}/log
    [ "$look" -lt "\${#looks[@]}" ] || kill -TERM $$
  }
`;

function watched(looks: readonly Look[], world: World = {}) {
  const root = prepared(world);
  const text = relocated(vipWatchScript(), root)
    .replaceAll("/etc/kubernetes/", `${root}/etc/kubernetes/`)
    .replaceAll("/sys/class/net/", `${root}/sys/class/net/`)
    .replace("</proc/uptime", `<${root}/clock`)
    .replace(...(world.change ?? [/$^/, ""]))
    .replace("set -euo pipefail", () => `set -euo pipefail\n${fakes(root, looks)}`);
  const finished = bash(text, "watch");
  const [version = "", holder = ""] = (lines(`${root}/lease`)[0] ?? "").split(" ");
  return {
    root,
    said: finished.stdout.trim().split("\n"),
    errors: finished.stderr,
    /** What was done: `.` for each look, `+ SECONDS` and `-` for the address, and the holder that is written into the lease, with the API server that wrote it. */
    log: lines(`${root}/log`).join(" "),
    lease: { version: Number(version), holder },
    frames: readFileSync(`${root}/frames`),
  };
}

const times = <T>(n: number, one: T): T[] => Array.from({ length: n }, () => one);

describe("installed/vip-watch.sh", () => {
  const free = { holder: "" };

  it("takes a lease that is free at the third good look, and then has the address, for 3 s at a time", () => {
    const { said, log, errors, lease } = watched(times(8, "ok"), free);
    expect(errors).to.equal("");
    expect(said).to.deep.equal([
      "endpoint down: the lease is not this control plane's yet",
      "endpoint up: the API server is ready",
      "endpoint down: stopped",
    ]);
    expect(log).to.match(new RegExp(`^\\. \\. own ${own} \\+ 3 \\. \\. own ${own} `));
    // Each second, and given back at the end, when the address is gone.
    expect(log.split(`own ${own}`)).to.have.lengthOf(4);
    expect(log).to.match(/ - own $/);
    expect(lease.holder).to.equal("");
  });

  it("makes a lease without a holder where there is none, and waits until it has run out", () => {
    const { log, lease } = watched(times(16, "ok"));
    expect(log).to.match(new RegExp(`^own - (\\. ){10}own ${own} \\+ 3 `));
    expect(lease.version).to.be.greaterThan(2);
  });

  it("leaves a lease to its holder while that renews it, and takes it 5 s after it does not any more", () => {
    const renewals = Object.fromEntries(times(20, 0).map((_, i) => [i, `hold ${20 + i} cp2_1`]));
    const { log } = watched(times(40, "ok"), { holder: "cp2_1", meanwhile: renewals });
    // The last renewal is seen at the 19th look.
    expect(log).to.match(new RegExp(`^(\\. ){29}own ${own} \\+ 3 `));
  });

  it("takes a lease that its holder has given back at the next look", () => {
    const { log } = watched(times(12, "ok"), { holder: "cp2_1", meanwhile: { 8: "hold 8 ''" } });
    expect(log).to.match(new RegExp(`^(\\. ){8}own ${own} \\+ 3 `));
  });

  it("the slower of two that ask for it gets an error from the API, and logs nothing", () => {
    // Between its question and its write.
    const change: [RegExp, string] = [/^take\(\) \{$/m, "take() {\n    hold 8 cp2_1"];
    const { said, log } = watched(times(6, "ok"), { ...free, change });
    expect(log).to.include(`own ${own}`);
    expect(log).to.not.include("+");
    expect(said).to.deep.equal(["endpoint down: the lease is not this control plane's yet", "endpoint down: stopped"]);
  });

  it("without its API server it takes the address away at the second look, and gives the lease back by another one", () => {
    const { said, log, lease } = watched([...times(6, "ok" as const), ...times(4, "gone" as const)], free);
    expect(said).to.include("endpoint down: the API server is gone");
    // The address first.
    expect(log).to.match(/\. - other {2}\. \. \. $|\. - other {2}\. \./);
    expect(lease.holder).to.equal("");
    const alone = watched([...times(6, "ok" as const), ...times(4, "gone" as const)], { ...free, known: false });
    expect(alone.log).to.include(" - ");
    expect(alone.log).to.not.include("other");
    expect(alone.lease.holder).to.equal(own);
  });

  it("cut off from etcd it has the address for 3.2 s after its last renewal, and no longer", () => {
    const { said, log } = watched([...times(6, "ok" as const), ...times(12, "cut" as const)], {
      ...free,
      other: false,
    });
    expect(said).to.include("endpoint down: the lease could not be renewed in time");
    // The kernel has taken it away by then.
    expect(log.slice(log.lastIndexOf(`own ${own}`))).to.not.match(/[+-]/);
  });

  it("another holder, written by any host: the address goes at once", () => {
    const { said, log, lease } = watched(times(12, "ok"), { ...free, meanwhile: { 8: "hold 90 cp3_9" } });
    expect(said).to.include("endpoint down: another control plane holds the lease: cp3_9");
    expect(log).to.match(/ - (\. )+\.$/);
    expect(lease).to.deep.equal({ version: 90, holder: "cp3_9" });
  });

  it("a slow API server, or one that is not ready, keeps it only while no other one answers", () => {
    for (const look of ["slow", "sick"] as const) {
      const looks: Look[] = [...times(6, "ok" as const), ...times(8, look)];
      const kept = watched(looks, { ...free, other: false });
      expect(kept.said.filter((line) => line.startsWith("endpoint down: the API server"))).to.deep.equal([]);
      expect(watched(looks, free).said).to.include(
        `endpoint down: the API server is ${look === "sick" ? "not ready" : look}`,
      );
    }
  });

  it("a slow API server takes a lease only if no other control plane wants it for 3 s", () => {
    const { log, said } = watched(times(12, "slow"), free);
    // Each of its answers takes a second.
    expect(log).to.match(new RegExp(`^(\\. ){2}own ${own} \\+ 3 `));
    expect(said).to.include("endpoint up: the API server is slow, but no other control plane takes the lease");
    expect(watched(times(12, "gone"), free).log).to.not.include("+");
  });

  it("of a first init it has the address before there is an API server, until there is a lease of its own", () => {
    const looks: Look[] = [...times(4, "gone" as const), ...times(16, "ok" as const)];
    const { log, root, lease } = watched(looks, { joined: false, founding: true });
    expect(log).to.match(/^\+ 5 (\. ){4}own - (\. )+own cp1_0123 /);
    // It never goes in between.
    expect(log.replace("own -", "").match(/[+-]/g)).to.deep.equal(["+", "-"]);
    expect(lines(`${root}/run/tailkube/founding`)).to.deep.equal([]);
    expect(lease.version).to.be.greaterThan(2);
  });

  it("of a first init it gives the address up when it sees another holder renew", () => {
    const meanwhile = { 4: "hold 50 cp2_1", 8: "hold 51 cp2_1" };
    const { said, log } = watched(times(12, "ok"), { holder: "cp2_1", joined: false, founding: true, meanwhile });
    expect(said).to.include("endpoint down: another control plane holds the lease: cp2_1");
    expect(log).to.match(/^\+ 5 [. ]+ - [. ]+$/);
  });

  it("after a reboot in the middle of an init it has nothing, and waits for the next run", () => {
    expect(watched(times(6, "gone"), { joined: false }).log).to.not.include("+");
  });

  it("announces the address three times in the first seconds, each with a question and an answer", () => {
    const { frames } = watched(times(9, "ok"), free);
    const mac = "5254004d1f0b";
    const frame = (operation: string) =>
      `ffffffffffff${mac}0806` + `00010800060400${operation}${mac}ac1f4d0affffffffffffac1f4d0a` + "00".repeat(18);
    expect(frames.toString("hex")).to.equal((frame("01") + frame("02")).repeat(3));
    expect(frame("01")).to.have.lengthOf(120);
  });

  it("puts the address behind the node's own where a network manager has set that again", () => {
    const order = "printf '2: eth1    inet 172.31.77.10/32\\n2: eth1    inet 172.31.77.11/24\\n' >order";
    const { log } = watched(times(9, "ok"), { ...free, meanwhile: { 3: order } });
    expect(log).to.include("- + ");
  });

  it("has the administrator's key in a file of its own that only root can read, and in no command line", () => {
    const { root } = watched(times(4, "ok"), free);
    const file = `${root}/run/tailkube/endpoint-client`;
    expect([readFileSync(`${file}.certificate`, "utf8"), readFileSync(`${file}.key`, "utf8")]).to.deep.equal([
      "the certificate",
      "the key",
    ]);
    expect(statSync(`${file}.key`).mode & 0o077).to.equal(0);
    expect(lines(`${root}/curl`).join("\n")).to.not.include("the key");
  });

  it("refuses anything else", () => {
    const root = prepared({});
    expect(bash(relocated(vipWatchScript(), root), "restart").status).to.equal(2);
  });
});
