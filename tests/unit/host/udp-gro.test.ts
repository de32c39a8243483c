import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import { assignments, bash, logOf, partsOf, removeTemporaryFolders, temporaryFolder, withLibrary, write } from "./bash";

afterEach(removeTemporaryFolders);

const wanted = "rx-udp-gro-forwarding";
const unwanted = "rx-gro-list";

interface Nic {
  /** Its features, each as `ethtool -k` prints it. */
  features?: Record<string, string>;
  /** The interfaces below it. */
  lower?: string[];
  /** Whether it is hardware. */
  isHardware?: boolean;
  index?: number;
}

/** A host with these interfaces, and routes as `ip` prints them; eth0 has a default route unless said otherwise. */
function host(
  nics: Record<string, Nic>,
  { routes = "default via 192.0.2.1 dev eth0 proto dhcp", routes6 = "", kernel = "6.8.0-1-generic" } = {},
) {
  const root = temporaryFolder();
  const add = (name: string, { features = {}, lower = [], isHardware = lower.length === 0, index = 1 }: Nic) => {
    write(`${root}/net/${name}/ifindex`, `${index}\n`);
    if (isHardware) write(`${root}/net/${name}/device`, "");
    for (const one of lower) write(`${root}/net/${name}/lower_${one}`, "");
    for (const [feature, state] of Object.entries({ [wanted]: "off", [unwanted]: "off", ...features })) {
      if (state !== "") write(`${root}/nic/${name}/${feature}`, `${state}\n`);
    }
  };
  Object.entries(nics).forEach(([name, nic], i) => add(name, { index: i + 2, ...nic }));
  const answer = (text: string) => {
    write(`${root}/routes-4`, `${text}\n`);
    write(`${root}/routes-6`, `${routes6}\n`);
  };
  answer(routes);
  write(`${root}/kernel`, kernel);
  write(`${root}/bin/uname`, `#!/bin/bash\ncat ${root}/kernel\n`, 0o755);
  write(
    `${root}/bin/ip`,
    `#!/bin/bash\n[ ! -e ${root}/mute ] || exit 2\n[ "\${*:2}" = "route show default" ] || exit 9\ncat "${root}/routes$1"\n`,
    0o755,
  );
  // It fails for an interface that is not there, and for a feature that is fixed.
  write(
    `${root}/bin/ethtool`,
    `#!/bin/bash
cd ${root}/nic/"$2" 2>/dev/null || { echo "netlink error: no device matches name (offset 24)" >&2; exit 1; }
case $1 in
-k) echo "Features for $2:"; echo "rx-checksumming: on"; for name in *; do echo "$name: $(<"$name")"; done ;;
-K) echo "$2 $3 $4" >>${root}/log
    [ -e "$3" ] || { echo "ethtool: bad command line argument(s)" >&2; exit 1; }
    [[ $(<"$3") != *fixed* ]] || { echo "Could not change any device features" >&2; exit 1; }
    [ ! -e ${root}/stuck ] || { echo "netlink error: Operation not supported" >&2; exit 1; }
    # At once, as the kernel does it: another one may read it in this moment.
    echo "$4" >"${root}/new.$$" && mv -f "${root}/new.$$" "$3" ;;
esac
`,
    0o755,
  );
  const script = scriptText("installed/udp-gro.sh")
    .replace(/^export LC_ALL=C PATH=/m, `export LC_ALL=C PATH=${root}/bin:`)
    .replaceAll("/sys/class/net", `${root}/net`)
    .replaceAll("/run/tailkube-udp-gro", `${root}/before`)
    // The IPv6 routes are asked for on any machine that runs this.
    .replaceAll("/proc/net/if_inet6", `${root}/routes-6`);
  return {
    root,
    script,
    add,
    answer,
    unplug: (name: string) =>
      ["net", "nic"].forEach((folder) => rmSync(`${root}/${folder}/${name}`, { recursive: true })),
    run: (verb: string) => bash(script, verb),
    /** Both features of an interface, `on off` where they are as wanted. */
    nic: (name: string) =>
      [wanted, unwanted].map((feature) => readFileSync(`${root}/nic/${name}/${feature}`, "utf8").trim()).join(" "),
    log: () => logOf(root),
    records: () => (existsSync(`${root}/before`) ? readdirSync(`${root}/before`) : []),
  };
}

const done = { status: 0, stdout: "", stderr: "" };

describe("installed/udp-gro.sh", () => {
  it("turns the one feature on and the other off, and sets both back to what they were", () => {
    for (const [was, list] of [
      ["off", "off"],
      ["off", "on"],
      ["on", "on"],
    ]) {
      const { run, nic, records } = host({ eth0: { features: { [wanted]: was!, [unwanted]: list! } } });
      expect(run("up")).to.deep.equal(done);
      expect(nic("eth0"), `${was} ${list}`).to.equal("on off");
      expect(run("up")).to.deep.equal(done);
      expect(run("down")).to.deep.equal(done);
      expect(nic("eth0"), `${was} ${list}`).to.equal(`${was} ${list}`);
      expect(records()).to.deep.equal([]);
      expect(run("down")).to.deep.equal(done);
    }
  });

  it("changes nothing and records nothing where all is as it should be", () => {
    const { run, log, records } = host({ eth0: { features: { [wanted]: "on" } } });
    expect(run("up")).to.deep.equal(done);
    expect([...log(), ...records()]).to.deep.equal([]);
  });

  it("has the record on the host before the first change", () => {
    const { root, script, records, nic } = host({ eth0: {} });
    // The process ends in the moment of the change.
    write(
      `${root}/bin/ethtool`,
      readFileSync(`${root}/bin/ethtool`, "utf8").replace(
        'new.$$" "$3"',
        (change) => `${change}; kill -KILL $(<${root}/pid)`,
      ),
      0o755,
    );
    expect(bash(`echo $$ >${root}/pid\n${script}`, "up").status).to.equal(undefined);
    expect(nic("eth0")).to.equal("on off");
    expect(records()).to.deep.equal(["2"]);
    expect(readFileSync(`${root}/before/2`, "utf8")).to.equal(`${wanted} off\n${unwanted} off\n`);
  });

  it("records what was there at first, also where two run at the same time", () => {
    const { root, script, run, nic, records } = host({ eth0: { features: { [unwanted]: "on" } } });
    write(`${root}/udp-gro`, script, 0o755);
    const { status, stdout, stderr } = bash(`for i in 1 2 3 4; do ${root}/udp-gro up & done; wait`);
    expect({ status, stdout, stderr }).to.deep.equal(done);
    expect([nic("eth0"), ...records()]).to.deep.equal(["on off", "2"]);
    run("down");
    expect([nic("eth0"), ...records()]).to.deep.equal(["off on"]);
  });

  it("takes the NICs of all default routes, of both families and of several hops, and of no other route", () => {
    const { run, nic } = host(
      { eth0: {}, eth1: {}, wlan0: {}, eth9: {} },
      {
        routes:
          "default proto static metric 100 \n\tnexthop via 192.0.2.1 dev eth0 weight 1 \n\tnexthop via 198.51.100.1 dev eth1 weight 1 ",
        routes6:
          "default via fe80::1 dev wlan0 proto ra metric 600 pref medium\nunreachable default dev lo metric 4294967295 error -101",
      },
    );
    expect(run("up")).to.deep.equal(done);
    expect(["eth0", "eth1", "wlan0", "eth9"].map(nic)).to.deep.equal(["on off", "on off", "on off", "off off"]);
  });

  it("takes the NICs below a VLAN, a bond and a bridge, and not the ports of virtual machines", () => {
    const { run, nic } = host(
      {
        br0: { lower: ["bond0.7", "tap0"] },
        "bond0.7": { lower: ["bond0"] },
        bond0: { lower: ["eth0", "eth1"] },
        eth0: {},
        eth1: {},
        tap0: { isHardware: false },
      },
      { routes: "default via 192.0.2.1 dev br0" },
    );
    expect(run("up")).to.deep.equal(done);
    for (const name of ["br0", "bond0.7", "bond0", "eth0", "eth1"]) expect(nic(name), name).to.equal("on off");
    expect(nic("tap0")).to.equal("off off");
    expect(run("down")).to.deep.equal(done);
    for (const name of ["br0", "bond0.7", "bond0", "eth0", "eth1"]) expect(nic(name), name).to.equal("off off");
  });

  it("takes a container's own interface, which is no hardware", () => {
    const { run, nic } = host({ eth0: { isHardware: false } });
    expect(run("up")).to.deep.equal(done);
    expect(nic("eth0")).to.equal("on off");
  });

  it("names what a host cannot have, and does the rest without a failure", () => {
    const lines = (nics: Record<string, Nic>, more = {}) => {
      const { run, nic, log } = host(nics, more);
      const { status, stdout, stderr } = run("up");
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
      return { said: stdout.trim().split("\n"), nic, log };
    };
    expect(lines({ eth0: { features: { [wanted]: "off [fixed]" } } }).said).to.deep.equal([
      `eth0: ${wanted} is off [fixed]`,
    ]);
    expect(lines({ eth0: { features: { [wanted]: "" } } }).said).to.deep.equal([`eth0: it has no ${wanted}`]);
    const half = lines({ eth0: { features: { [unwanted]: "on [fixed]" } } });
    expect(half.said).to.deep.equal([`eth0: ${unwanted} is on [fixed]`]);
    expect(half.nic("eth0")).to.equal("on on [fixed]");
    const old = lines({ eth0: {} }, { kernel: "6.1.0-31-amd64" });
    expect(old.said).to.deep.equal([
      "the kernel 6.1.0-31-amd64 is older than 6.2, from which on Tailscale uses it; nothing was changed",
    ]);
    expect(old.log()).to.deep.equal([]);
    expect(lines({ eth0: {} }, { routes: "" }).said).to.deep.equal(["no interface has a default route"]);
    expect(lines({}, {}).said).to.deep.equal([
      "eth0: ethtool -k eth0: netlink error: no device matches name (offset 24)",
    ]);
    // A kernel that has no such feature has it off.
    expect(lines({ eth0: { features: { [unwanted]: "" } } }).said).to.deep.equal([""]);
    for (const kernel of ["6.2.0", "6.10.3-arch1", "7.0.1"])
      expect(lines({ eth0: {} }, { kernel }).said, kernel).to.deep.equal([""]);
    for (const kernel of ["5.15.0-1062-raspi", "6.1.99"])
      expect(lines({ eth0: {} }, { kernel }).said[0], kernel).to.include("is older");
  });

  it("says what ethtool says of a change that it does not make", () => {
    const { root, run, nic } = host({ eth0: {} });
    write(`${root}/stuck`, "");
    expect(run("up")).to.deep.equal({
      ...done,
      stdout: `eth0: ${wanted} stays off (ethtool -K eth0 ${wanted} on: netlink error: Operation not supported)\n`,
    });
    rmSync(`${root}/stuck`);
    expect(run("up")).to.deep.equal(done);
    expect(nic("eth0")).to.equal("on off");
  });

  it("takes no answer about the routes for none", () => {
    const { root, run } = host({ eth0: {} });
    write(`${root}/mute`, "");
    expect(run("up").stdout).to.equal("ip does not answer which interfaces have a default route\n");
  });

  it("fails to set back what stays, and does it the next time", () => {
    const { root, run, nic, records } = host({ eth0: {} });
    run("up");
    write(`${root}/stuck`, "");
    const { status, stderr } = run("down");
    expect({ status, stderr }).to.deep.equal({ status: 1, stderr: "netlink error: Operation not supported\n" });
    expect(records()).to.deep.equal(["2"]);
    rmSync(`${root}/stuck`);
    expect(run("down")).to.deep.equal(done);
    expect([nic("eth0"), ...records()]).to.deep.equal(["off off"]);
  });

  it("leaves alone a NIC that was plugged in again, with an index of its own, and forgets one that is gone", () => {
    const { run, add, unplug, nic, records } = host(
      { eth0: {}, eth1: {} },
      { routes: "default dev eth0\ndefault dev eth1" },
    );
    run("up");
    for (const name of ["eth0", "eth1"]) unplug(name);
    add("eth0", { index: 9, features: { [wanted]: "on" } });
    expect(run("down")).to.deep.equal(done);
    expect([nic("eth0"), ...records()]).to.deep.equal(["on off"]);
  });

  it("finds a NIC that was renamed", () => {
    const { run, add, unplug, nic } = host({ eth0: {} });
    run("up");
    unplug("eth0");
    add("lan0", { index: 2, features: { [wanted]: "on" } });
    expect(run("down")).to.deep.equal(done);
    expect(nic("lan0")).to.equal("off off");
  });

  /** Runs the watch, whose sleep does these things, one each time, and then ends. */
  function watch({ script }: { script: string }, ...between: string[]) {
    const steps = between.map((text, i) => `${i + 1}) ${text} ;;`).join(" ");
    const sleep = `looks=0; sleep() { looks=$((looks + 1)); case $looks in ${steps} *) exit 0 ;; esac; }`;
    return bash(script.replace(/^case \$\{1:-\}/m, `${sleep}\n$&`), "watch");
  }

  it("holds it: on another default route, and after a driver has reset it, with what was there at first", () => {
    const one = host({ eth0: {}, wlan0: { features: { [unwanted]: "on" } } });
    const { root, run, nic } = one;
    const { status, stdout, stderr } = watch(
      one,
      `echo off >${root}/nic/eth0/${wanted}`,
      `echo "default dev wlan0" >${root}/routes-4`,
    );
    expect({ status, stdout, stderr }).to.deep.equal(done);
    expect([nic("eth0"), nic("wlan0")]).to.deep.equal(["on off", "on off"]);
    run("down");
    expect([nic("eth0"), nic("wlan0")]).to.deep.equal(["off off", "off on"]);
  });

  it("says a thing once while it lasts, and goes on", () => {
    const one = host({ eth0: {} });
    const { root, nic } = one;
    const { status, stdout } = watch(
      one,
      `: >${root}/mute`,
      ":",
      ":",
      `rm ${root}/mute; echo off >${root}/nic/eth0/${wanted}`,
    );
    expect({ status, stdout }).to.deep.equal({
      status: 0,
      stdout: "ip does not answer which interfaces have a default route\n",
    });
    expect(nic("eth0")).to.equal("on off");
  });

  it("rejects anything else", () => {
    const { status, stderr } = host({}).run("start");
    expect({ status, stderr }).to.deep.equal({ status: 2, stderr: "usage: udp-gro up|watch|down\n" });
  });
});

describe("set_udp_gro", () => {
  const unit = "etc/systemd/system/tailkube-udp-gro.service";
  const installed = "usr/local/lib/tailkube/udp-gro";

  /** A host with the stage tailnet's files, whose installed script takes notes; `missing`: what that says. */
  function stage({ hasEthtool = true } = {}) {
    const root = temporaryFolder();
    mkdirSync(`${root}/run/tailkube`, { recursive: true });
    const on = {
      TK_UDP_GRO: "on",
      TK_HOST_UDP_GRO: `#!/bin/bash\necho "udp-gro $*" >>${root}/log\ncat ${root}/missing 2>/dev/null\n[ ! -e ${root}/stuck ]`,
    };
    const fakes = `
      SECONDS=0; sleep() { SECONDS=$((SECONDS + 5)); }
      log() { echo "$*" >>"$ROOT/log"; }
      command() { [ "$*" != "-v ethtool" ] || [ -n "$HAS_ETHTOOL" ]; }
      apt_install() { log "apt_install $*"; }
      reload_units() { :; }
      unit_start() { log "start $1"; }
      unit_stop() { log "stop $1"; }`;
    const run = (variables: Record<string, string>, text = "set_udp_gro") =>
      bash(
        withLibrary(
          root,
          [
            assignments({ ROOT: root, HAS_ETHTOOL: hasEthtool ? "yes" : "", ...variables }),
            partsOf("lib/network/tailnet-units.sh").map(scriptText).join("\n"),
            fakes,
            text,
            'result missing "$UDP_GRO_MISSING"',
          ]
            .join("\n")
            .replaceAll("/etc/systemd", `${root}/etc/systemd`),
          "tailnet",
        ),
      );
    return {
      root,
      on,
      run,
      log: () => logOf(root),
      has: () => [unit, installed].filter((file) => existsSync(`${root}/${file}`)),
    };
  }

  it("does nothing on a host that never had it", () => {
    const { run, log, has } = stage();
    expect(run({})).to.deep.equal({ status: 0, stderr: "", stdout: '{"changed":[],"missing":""}\n' });
    expect([...log(), ...has()]).to.deep.equal([]);
  });

  it("is held by a unit, which a boot starts again and whose end sets the NICs back", () => {
    const { root, on, run, log, has } = stage();
    expect(run(on).stderr).to.equal("");
    expect(has()).to.deep.equal([unit, installed]);
    expect(log()).to.deep.equal(["udp-gro up", "start tailkube-udp-gro.service"]);
    expect(readFileSync(`${root}/${unit}`, "utf8"))
      .to.match(/^ExecStart=\/usr\/local\/lib\/tailkube\/udp-gro watch$/m)
      .and.match(/^ExecStopPost=\/usr\/local\/lib\/tailkube\/udp-gro down$/m)
      .and.match(/^WantedBy=multi-user\.target$/m);
    expect(run(on).stdout).to.equal('{"changed":[],"missing":""}\n');
  });

  it("installs ethtool where there is none", () => {
    const { on, run, log } = stage({ hasEthtool: false });
    expect(run(on).status).to.equal(0);
    expect(log()[0]).to.equal("apt_install ethtool");
  });

  it("reports what the host cannot have, and does not fail", () => {
    const { root, on, run } = stage();
    write(`${root}/missing`, "eth0: rx-udp-gro-forwarding is off [fixed]\neth1: it has no rx-udp-gro-forwarding\n");
    const { status, stdout } = run(on);
    expect(status).to.equal(0);
    expect((JSON.parse(stdout) as { missing: string }).missing).to.equal(
      "eth0: rx-udp-gro-forwarding is off [fixed]\neth1: it has no rx-udp-gro-forwarding",
    );
    write(`${root}/stuck`, "");
    const broken = run(on);
    expect(broken.status).to.equal(0);
    expect((JSON.parse(broken.stdout) as { missing: string }).missing).to.match(/^udp-gro up fails/);
  });

  it("leaves nothing when it is switched off again, and sets back what the end of the unit has not", () => {
    const { on, run, log, has } = stage();
    run(on);
    const { status, stdout } = run({});
    expect({ status, stdout }).to.deep.equal({
      status: 0,
      stdout: '{"changed":["UDP GRO forwarding as it was"],"missing":""}\n',
    });
    expect(has()).to.deep.equal([]);
    expect(log().slice(2)).to.deep.equal(["stop tailkube-udp-gro.service", "udp-gro down"]);
    expect(run({}).stdout).to.equal('{"changed":[],"missing":""}\n');
  });

  it("fails, and is finished by the next run, where a NIC cannot be set back", () => {
    const { root, on, run, has } = stage();
    run(on);
    write(`${root}/stuck`, "");
    const { status, stderr } = run({});
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /^tailkube: node1: tailnet: the NICs' UDP GRO forwarding cannot be set back .*reboot this host/,
    );
    expect(has()).to.deep.equal([unit, installed]);
    rmSync(`${root}/stuck`);
    expect(run({}).status).to.equal(0);
    expect(has()).to.deep.equal([]);
  });

  it("is undone by the removal of the tailnet, before the files of the stage go", () => {
    const { on, run, log } = stage();
    run(on);
    const fakes =
      "leave_tailnet() { :; }; clean_up_network() { log clean_up_network; }; until_none() { :; }; remove_load_balancer_filter() { :; }";
    expect(run({}, `${fakes}\nremove_tailnet`)).to.include({ status: 0, stderr: "" });
    const at = (line: string) => log().indexOf(line);
    expect(at("udp-gro down")).to.be.within(at("stop tailkube-udp-gro.service") + 1, at("clean_up_network") - 1);
  });
});
