/** A virtual IP on a host apart from its watch (vip-watch.test.ts): how it comes there and goes, and what asks who has it. */
import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import { bash, bashOk, logOf, partsOf, removeTemporaryFolders, temporaryFolder, withLibrary, write } from "./bash";

afterEach(removeTemporaryFolders);

const assigned = (variables: Record<string, string>) =>
  Object.entries(variables)
    .map(([name, value]) => `${name}='${value}'`)
    .join("\n");

const given = {
  TK_NODE_NETWORK: "lan",
  TK_ENDPOINT: "172.31.77.10",
  TK_ENDPOINT_PORT: "6443",
  TK_API_PORT: "6443",
  TK_NODE: "cp1",
  TK_NODE_IP: "172.31.77.11",
  TK_HOST_ENDPOINT: "#!/bin/bash",
};

describe("lib/control-plane/endpoint.sh in a lan", () => {
  /** Runs a function of it on a host on which `kind` is the endpoint's; `answers` says whether an API server answers there. */
  function run(
    call: string,
    { kind = "vip", answers = true, device = "", joined = false, root = temporaryFolder() } = {},
  ) {
    if (joined) write(`${root}/var/lib/tailkube/joined`, "m1\n");
    if (device !== "") write(`${root}/device`, `${device}\n`);
    const text = withLibrary(
      root,
      [
        ...partsOf("lib/control-plane/endpoint.sh").map(scriptText),
        assigned({ ...given, ...(kind !== "" && { TK_ENDPOINT_KIND: kind }), ROOT: root }),
        `mkdir -p "$TK_RUN"
        install_text() { mkdir -p "$ROOT$(dirname "\${1#"$ROOT"}")"; printf '%s\\n' "$3" >"$ROOT\${1#"$ROOT"}"; }
        unit_start() { echo "start $1 $([ ! -e "$TK_RUN/founding" ] || echo founding)" >>"$ROOT/log"; }
        unit_stop() { echo "stop $1" >>"$ROOT/log"; }
        unit_runs() { [ "$1" = tailkube-endpoint.service ]; }
        endpoint_ready() { echo asked >>"$ROOT/log"; ${answers}; }
        sleep() { SECONDS=$((SECONDS + 30)); }
        ip() { case $* in
          "-o -4 address show to 172.31.77.10/32") [ ! -e "$ROOT/device" ] || echo "2: $(<"$ROOT/device")    inet 172.31.77.10/32" ;;
          "address del 172.31.77.10/32 dev eth1") rm "$ROOT/device"; echo deleted >>"$ROOT/log" ;;
          *) echo "ip $*" >>"$ROOT/log" ;;
        esac; }`,
        call,
      ].join("\n"),
      "control-plane",
    );
    return { root, finished: bash(text), log: logOf(root) };
  }
  const founding = (root: string) => existsSync(`${root}/run/tailkube/founding`);

  it("leaves an endpoint alone that the user provides", () => {
    for (const call of ["install_endpoint", "withdraw_endpoint"]) expect(run(call, { kind: "" }).log).to.deep.equal([]);
  });

  it("before the first init the host has the address without a lease, and is waited for itself", () => {
    const { root, finished, log } = run("install_endpoint", { device: "eth1", answers: false });
    expect(finished).to.include({ status: 0, stderr: "" });
    expect(log).to.deep.equal(["start tailkube-endpoint.service founding"]);
    expect(founding(root)).to.equal(true);
    expect(readFileSync(`${root}/etc/tailkube/endpoint.env`, "utf8")).to.equal(
      "TAILKUBE_ENDPOINT=172.31.77.10\nTAILKUBE_ENDPOINT_PORT=6443\nTAILKUBE_NODE=cp1\nTAILKUBE_ADDRESS=172.31.77.11\n",
    );
    const unit = readFileSync(`${root}/etc/systemd/system/tailkube-endpoint.service`, "utf8");
    expect(unit)
      .to.match(/^After=tailkube-address\.service /m)
      .and.not.include("tailscaled");
    const failed = run("install_endpoint", { answers: false });
    expect(failed.finished.status).to.equal(1);
    expect(failed.finished.stderr).to.include(
      "172.31.77.10 does not appear on a control plane (journalctl -u tailkube-endpoint)",
    );
  });

  it("a control plane of a running cluster gets only a lease, and any of them may have the address", () => {
    const { root, finished, log } = run("install_endpoint", { joined: true });
    expect(finished).to.include({ status: 0, stderr: "" });
    expect(log).to.deep.equal(["start tailkube-endpoint.service ", "asked"]);
    expect(founding(root)).to.equal(false);
  });

  it("a host that joins has neither the watch nor what a killed one has left", () => {
    const { root } = run("install_endpoint", { device: "eth1" });
    const { finished, log } = run("withdraw_endpoint", { root });
    expect(finished).to.include({ status: 0, stderr: "" });
    expect(log.slice(1)).to.deep.equal(["stop tailkube-endpoint.service", "deleted"]);
    expect(founding(root)).to.equal(false);
  });

  it("in a tailnet the unit and its settings are as they were", () => {
    const { root } = run("TK_NODE_NETWORK=tailnet; has_endpoint() { true; }; install_endpoint", { kind: "" });
    expect(readFileSync(`${root}/etc/tailkube/endpoint.env`, "utf8")).to.equal(
      "TAILKUBE_ENDPOINT=172.31.77.10\nTAILKUBE_ENDPOINT_PORT=6443\n",
    );
    const unit = readFileSync(`${root}/etc/systemd/system/tailkube-endpoint.service`, "utf8");
    expect(unit).to.include(
      "After=tailscaled.service tailkube-address.service containerd.service kubelet.service\nWants=tailscaled.service\n",
    );
  });
});

describe("stages/facts.sh with a virtual IP", () => {
  /** The MAC address that the facts report, when the kernel knows these states of the neighbour, one after the other. */
  function macAt(states: string[], own = "") {
    const root = temporaryFolder();
    write(`${root}/states`, states.map((state) => `${state}\n`).join(""));
    const functions = /^endpoint_mac\(\) \{\n[\s\S]*?^\}/m
      .exec(scriptText("stages/facts.sh"))![0]
      .replaceAll("/dev/udp/", `${root}/udp-`);
    const text = `TK_VIP=172.31.77.10
      ${functions.replace(`${root}/udp-$TK_VIP/9`, `${root}/sent`)}
      sleep() { SECONDS=$((SECONDS + 1)); }
      ip() { case $* in
        "-o -4 address show to 172.31.77.10/32") printf '%s' "${own}" ;;
        "-4 neigh show 172.31.77.10") head -n 1 ${root}/states; [ "$(wc -l <${root}/states)" = 1 ] || sed -i 1d ${root}/states ;;
      esac; }
      endpoint_mac`;
    return bashOk(text).trim();
  }
  const neighbour = (state: string, mac = " lladdr 02:00:00:00:00:99") => `172.31.77.10 dev eth1${mac} ${state}`;

  it("names who answers, and only who answers now", () => {
    expect(macAt([neighbour("REACHABLE")])).to.equal("02:00:00:00:00:99");
    expect(macAt([neighbour("INCOMPLETE", ""), neighbour("FAILED", "")])).to.equal("");
    // Known from before: the kernel asks again.
    expect(macAt([neighbour("STALE"), neighbour("DELAY"), neighbour("PROBE"), neighbour("FAILED", "")])).to.equal("");
    expect(macAt([neighbour("DELAY"), neighbour("REACHABLE")])).to.equal("02:00:00:00:00:99");
    expect(macAt([neighbour("STALE")])).to.equal("");
    expect(macAt([""])).to.equal("");
  });

  it("does not ask where the host itself has it", () => {
    expect(macAt([neighbour("REACHABLE")], "2: eth1 inet 172.31.77.10/32")).to.equal("");
  });
});

describe("lib/checks/vip.sh", () => {
  /** What the check says on cp1 while this holds. */
  function said({
    kind = "vip",
    holder = "cp1_1",
    mine = true,
    macs = {},
  }: { kind?: string; holder?: string; mine?: boolean; macs?: Record<string, string> } = {}) {
    const root = temporaryFolder();
    const text = withLibrary(
      root,
      [
        ...partsOf("lib/checks/vip.sh").map(scriptText),
        assigned({ ...given, TK_ENDPOINT_KIND: kind, TK_CONTROL_PLANES: "cp1 cp2 cp3" }),
        `mkdir -p "$TK_RUN"
        declare -A NODE_ADDRESS=([cp1]=172.31.77.11 [cp2]=172.31.77.12 [cp3]=172.31.77.13)
        failed() { printf '%s\\n' "$*"; }
        sleep() { SECONDS=$((SECONDS + 5)); }
        vip_holder() { printf '%s' '${holder}'; }
        ip() { ${mine ? "echo '2: eth1 inet 172.31.77.10/32'" : ":"}; }
        mac_of() { case $1 in ${Object.entries(macs)
          .map(([address, mac]) => `${address}) echo ${mac} ;;`)
          .join(" ")} *) ;; esac; }
        check_vip`,
      ].join("\n"),
    );
    return bashOk(text).trim();
  }

  it("is content with one control plane that has both, and with an endpoint that the user provides", () => {
    expect(said()).to.equal("");
    expect(said({ holder: "cp2_7", mine: false, macs: { "172.31.77.10": "02:00", "172.31.77.12": "02:00" } })).to.equal(
      "",
    );
    expect(said({ kind: "", holder: "", mine: false })).to.equal("");
  });

  it("names what does not fit together", () => {
    expect(said({ holder: "", mine: false })).to.match(
      /^endpoint: no control plane holds the lease of 172\.31\.77\.10/,
    );
    expect(said({ holder: "-", mine: false })).to.match(/no control plane holds the lease .* \(it names '-'\)/);
    expect(said({ mine: false })).to.match(
      /^endpoint: cp1 holds the lease of 172\.31\.77\.10, but does not have the address;/,
    );
    expect(said({ holder: "cp2_7" })).to.match(
      /^endpoint: cp1 has the address 172\.31\.77\.10, but cp2 holds its lease;/,
    );
    const stranger = { "172.31.77.10": "02:99", "172.31.77.12": "02:00" };
    expect(said({ holder: "cp2_7", mine: false, macs: stranger })).to.match(
      /cp2 holds the lease .*, but 02:99 answers for it/,
    );
  });
});
