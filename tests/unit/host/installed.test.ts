import { mkdirSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { endpointWatchScript, scriptText } from "../../../components/hosts/script-text";
import { bash, bashOk, type Finished, removeTemporaryFolders, temporaryFolder, write } from "./bash";
import { lines, relocated } from "./installed-script";

afterEach(removeTemporaryFolders);

describe("installed/routes.sh", () => {
  /** A host in a tailnet that advertises `users` already. */
  function host(users: string[] = []) {
    const root = temporaryFolder();
    for (const folder of ["etc/tailkube", "var/lib/tailkube", "run"]) {
      mkdirSync(`${root}/${folder}`, { recursive: true });
    }
    // It prints its preferences as tailscale does, and takes a list of routes in place of the former one.
    write(
      `${root}/bin/tailscale`,
      `#!/bin/bash
cd ${root} || exit 1
[ ! -e hung ] || sleep 60
[ ! -e silent ] || exit 0
case "$1 $2" in
"debug prefs")
    printf '{\\n\\t"ControlURL": "https://example.com",\\n\\t"AdvertiseRoutes": '
    if [ -s advertised ]; then printf '[\\n'; sed 's/.*/\\t\\t"&"/; $!s/$/,/' advertised; printf '\\t]'; else printf null; fi
    printf ',\\n\\t"AdvertiseServices": ["svc:x"],\\n\\t"NoSNAT": true\\n}\\n' ;;
"set --advertise-routes="*)
    echo "$2" >>calls
    [ ! -e broken ] || exit 1
    tr ',' '\\n' <<<"\${2#*=}" | sed '/^$/d' >advertised ;;
*) exit 2 ;;
esac
`,
      0o755,
    );
    const advertise = (routes: string[]) => writeFileSync(`${root}/advertised`, routes.map((r) => `${r}\n`).join(""));
    advertise(users);
    const text = relocated(scriptText("installed/routes.sh"), root);
    return {
      root,
      advertise,
      routes: (...args: string[]): Finished => bash(text, ...args),
      ok: (...args: string[]) => expect(bashOk(text, ...args)).to.equal(""),
      advertised: () => lines(`${root}/advertised`).sort(),
      calls: () => lines(`${root}/calls`),
      /** What `watch` says; commands between its looks, by the number of the look before, and its end after the last. */
      watch: (...meanwhile: string[]): string[] => {
        const looks = meanwhile.map((command, i) => `${i + 1}) ${command} ;;`).join("\n");
        const sleep = `look=0; sleep() { look=$((look + 1)); cd ${root}; case $look in ${looks}\n*) exit 0 ;; esac; }`;
        return bashOk(
          text.replace("set -euo pipefail", () => `set -euo pipefail\n${sleep}`),
          "watch",
        )
          .split("\n")
          .filter((line) => line !== "");
      },
    };
  }

  it("advertises a route of ours, once", () => {
    const { ok, advertised, calls } = host();
    ok("set", "endpoint", "10.200.0.1/32");
    expect(advertised()).to.deep.equal(["10.200.0.1/32"]);
    ok("set", "endpoint", "10.200.0.1/32");
    expect(calls()).to.have.lengthOf(1);
  });

  it("withdraws the last one", () => {
    const { ok, advertised } = host();
    ok("set", "endpoint", "10.200.0.1/32");
    ok("unset", "endpoint");
    expect(advertised()).to.deep.equal([]);
    ok("unset", "endpoint");
    expect(advertised()).to.deep.equal([]);
  });

  it("keeps several apart", () => {
    const { ok, advertised } = host();
    ok("set", "endpoint", "10.200.0.1/32");
    ok("set", "pod-cidr", "10.50.1.0/24");
    expect(advertised()).to.deep.equal(["10.200.0.1/32", "10.50.1.0/24"]);
    ok("unset", "endpoint");
    expect(advertised()).to.deep.equal(["10.50.1.0/24"]);
  });

  it("replaces a route whose network changed", () => {
    const { ok, advertised } = host(["192.168.7.0/24"]);
    ok("set", "pod-cidr", "10.50.1.0/24");
    ok("set", "pod-cidr", "10.50.2.0/24");
    expect(advertised()).to.deep.equal(["10.50.2.0/24", "192.168.7.0/24"]);
  });

  it("leaves the user's own routes as they are, also those of an exit node, and those that come or go in between", () => {
    const exitNode = ["0.0.0.0/0", "::/0"];
    const { ok, advertise, advertised } = host(["192.168.7.0/24", ...exitNode]);
    ok("set", "endpoint", "10.200.0.1/32");
    expect(advertised()).to.deep.equal([...exitNode, "10.200.0.1/32", "192.168.7.0/24"].sort());
    advertise(["192.168.8.0/24", "10.200.0.1/32"]);
    ok("set", "pod-cidr", "10.50.1.0/24");
    expect(advertised()).to.deep.equal(["10.200.0.1/32", "10.50.1.0/24", "192.168.8.0/24"]);
    ok("unset", "pod-cidr");
    ok("unset", "endpoint");
    expect(advertised()).to.deep.equal(["192.168.8.0/24"]);
  });

  it("advertises again what tailscale has forgotten", () => {
    const { ok, advertise, advertised } = host();
    ok("set", "endpoint", "10.200.0.1/32");
    advertise([]);
    ok("set", "endpoint", "10.200.0.1/32");
    expect(advertised()).to.deep.equal(["10.200.0.1/32"]);
  });

  it("fails when tailscale does, and withdraws in the next call what it could not in this one", () => {
    const { root, ok, routes, advertised } = host(["192.168.7.0/24"]);
    ok("set", "endpoint", "10.200.0.1/32");
    ok("set", "pod-cidr", "10.50.1.0/24");
    write(`${root}/broken`, "");
    expect(routes("unset", "endpoint").status).to.not.equal(0);
    expect(routes("set", "other", "10.9.0.0/16").status).to.not.equal(0);
    bashOk(`rm ${root}/broken`);
    ok("unset", "endpoint");
    expect(advertised()).to.deep.equal(["10.50.1.0/24", "10.9.0.0/16", "192.168.7.0/24"]);
    ok("unset", "other");
    ok("unset", "pod-cidr");
    expect(advertised()).to.deep.equal(["192.168.7.0/24"]);
  });

  it("does not wait for a tailscaled that never answers", () => {
    const { root, ok, routes, advertised } = host();
    ok("set", "endpoint", "10.200.0.1/32");
    // Time passes faster here.
    write(`${root}/bin/timeout`, '#!/bin/bash\nexec /usr/bin/timeout 0.2 "${@:2}"\n', 0o755);
    write(`${root}/hung`, "");
    expect(routes("unset", "endpoint").status).to.equal(124);
    bashOk(`rm ${root}/hung`);
    ok("unset", "endpoint");
    expect(advertised()).to.deep.equal([]);
  });

  it("withdraws where the disk takes no changes any more, until the next boot or until it is set again", () => {
    const { root, ok, routes, advertised, watch } = host(["192.168.7.0/24"]);
    ok("set", "endpoint", "10.200.0.1/32");
    ok("set", "pod-cidr", "10.50.1.0/24");
    write(
      `${root}/bin/rm`,
      `#!/bin/bash\ncase "$*" in *${root}/run/*) exec /bin/rm "$@" ;; esac\necho "rm: Read-only file system" >&2; exit 1\n`,
      0o755,
    );
    routes("unset", "endpoint");
    expect(advertised()).to.deep.equal(["10.50.1.0/24", "192.168.7.0/24"]);
    watch(":", ":");
    expect(advertised()).to.deep.equal(["10.50.1.0/24", "192.168.7.0/24"]);
    routes("set", "endpoint", "10.200.0.1/32");
    expect(advertised()).to.deep.equal(["10.200.0.1/32", "10.50.1.0/24", "192.168.7.0/24"]);
  });

  it("does not take its own routes for the user's when they cannot be read for a moment", () => {
    const { root, ok, routes, advertised } = host(["192.168.7.0/24"]);
    ok("set", "endpoint", "10.200.0.1/32");
    for (const at of [1, 2]) {
      bashOk(`rm -f ${root}/looks`);
      write(
        `${root}/bin/find`,
        `#!/bin/bash\necho look >>${root}/looks\n[ "$(wc -l <${root}/looks)" != ${at} ] || exit 1\nexec /usr/bin/find "$@"\n`,
        0o755,
      );
      routes("set", "pod-cidr", "10.50.1.0/24");
    }
    bashOk(`rm ${root}/bin/find`);
    ok("unset", "pod-cidr");
    ok("unset", "endpoint");
    expect(advertised()).to.deep.equal(["192.168.7.0/24"]);
  });

  it("takes no answer for none: neither a failure nor an answer without the list changes anything", () => {
    const { root, ok, routes, calls, watch } = host(["192.168.7.0/24"]);
    ok("set", "endpoint", "10.200.0.1/32");
    write(`${root}/silent`, "");
    const { status, stderr } = routes("set", "pod-cidr", "10.50.1.0/24");
    expect(status).to.equal(1);
    expect(stderr).to.equal("tailscale debug prefs names no AdvertiseRoutes\n");
    expect(watch(":")).to.deep.equal(["routes: tailscaled does not say what it advertises, trying on"]);
    expect(calls()).to.have.lengthOf(1);
  });

  it("survives a power cut: what it declares is whole or not there, and what is half written counts for nothing", () => {
    const { root, ok, advertised } = host();
    ok("set", "endpoint", "10.200.0.1/32");
    write(`${root}/etc/tailkube/routes.d/.pod-cidr`, "10.50.");
    ok("set", "endpoint", "10.200.0.1/32");
    expect(advertised()).to.deep.equal(["10.200.0.1/32"]);
    // Syncs the file before its name, and the folder after it.
    const text = scriptText("installed/routes.sh");
    expect(text).to.match(/sync -- "\$new" && mv -f -- "\$new" "\$1" && sync -- "\$\(dirname "\$1"\)"/);
  });

  it("watch: brings ours back beside what somebody else has set, once", () => {
    const { ok, advertised, calls, watch } = host(["192.168.7.0/24"]);
    ok("set", "endpoint", "10.200.0.1/32");
    ok("set", "pod-cidr", "10.50.1.0/24");
    const before = calls().length;
    expect(watch(":", "echo 192.168.1.0/24 >advertised", ":", ":")).to.deep.equal([
      "routes: advertised again: 10.200.0.1/32 10.50.1.0/24",
    ]);
    expect(advertised()).to.deep.equal(["10.200.0.1/32", "10.50.1.0/24", "192.168.1.0/24"]);
    expect(calls()).to.have.lengthOf(before + 1);
  });

  it("watch: what the user withdraws stays withdrawn", () => {
    const { ok, advertised, watch } = host(["192.168.7.0/24", "192.168.8.0/24"]);
    ok("set", "pod-cidr", "10.50.1.0/24");
    watch("printf '10.50.1.0/24\\n192.168.8.0/24\\n' >advertised", ":");
    expect(advertised()).to.deep.equal(["10.50.1.0/24", "192.168.8.0/24"]);
    watch(": >advertised", ":");
    expect(advertised()).to.deep.equal(["10.50.1.0/24"]);
  });

  it("watch: withdraws what could not be withdrawn, says once that it cannot, and touches nothing else", () => {
    const { root, ok, routes, advertised, watch } = host(["192.168.7.0/24"]);
    ok("set", "endpoint", "10.200.0.1/32");
    write(`${root}/broken`, "");
    expect(routes("unset", "endpoint").status).to.not.equal(0);
    expect(watch(":", ":", "rm broken", ":")).to.deep.equal([
      "routes: tailscaled does not take the routes, trying on",
      "routes: advertised again: ",
    ]);
    expect(advertised()).to.deep.equal(["192.168.7.0/24"]);
  });

  it("watch: a host that has no route of ours keeps its own, whatever happens to them", () => {
    const { calls, watch } = host(["192.168.7.0/24"]);
    expect(watch(":", "echo 192.168.8.0/24 >advertised", ":")).to.deep.equal([]);
    expect(calls()).to.deep.equal([]);
  });

  it("watch: masquerades where the stage asks for it, and again after the table is gone", () => {
    const { root, watch } = host();
    write(`${root}/etc/tailkube/masquerade.nft`, "table\n");
    write(
      `${root}/bin/nft`,
      `#!/bin/bash\ncd ${root}\ncase $1 in list) [ -e table ] ;; -f) echo "$*" >>nft; touch table ;; esac\n`,
      0o755,
    );
    watch(":", "rm table", ":");
    expect(lines(`${root}/nft`)).to.deep.equal(Array(2).fill(`-f ${root}/etc/tailkube/masquerade.nft`));
  });

  it("refuses anything else", () => {
    const { routes, calls } = host();
    const { status, stderr } = routes("list");
    expect({ status, stderr }).to.deep.equal({
      status: 2,
      stderr: "usage: routes set NAME CIDR | unset NAME | watch\n",
    });
    expect(calls()).to.deep.equal([]);
  });
});

/** Commands that note how they were called in `root`/log, and one answer for each that needs one. */
function fake(root: string, command: string, body = ""): void {
  write(`${root}/bin/${command}`, `#!/bin/bash\ncd ${root}\necho "${command} $*" >>log\n${body}\n`, 0o755);
}

describe("installed/endpoint-watch.sh", () => {
  function host(routes = "") {
    const root = temporaryFolder();
    write(`${root}/etc/tailkube/endpoint.env`, "TAILKUBE_ENDPOINT=10.200.0.1\nTAILKUBE_ENDPOINT_PORT=6443\n");
    write(`${root}/usr/local/lib/tailkube/routes`, `#!/bin/bash\necho "routes $*" >>${root}/log\n${routes}\n`, 0o755);
    // The loopback's address is a file; so is how often one has to ask until another host has the route.
    write(
      `${root}/bin/ip`,
      `#!/bin/bash
      cd ${root}
      case $* in
      "-o -4 address show dev lo to 10.200.0.1/32") [ ! -e on-lo ] || echo lo ;;
      "-o -4 address show to 100.64.0.1/32") echo tailscale0 ;;
      "-o -4 address show to "*) ;;
      "-4 route show table 52 10.200.0.1")
        read -r asks 2>/dev/null <elsewhere || exit 0
        echo $((asks - 1)) >elsewhere
        [ "$asks" -gt 1 ] || echo "10.200.0.1 dev tailscale0" ;;
      "address replace 10.200.0.1/32 dev lo") echo "ip $*" >>log; touch on-lo ;;
      "address del 10.200.0.1/32 dev lo") echo "ip $*" >>log; rm on-lo ;;
      *) echo "ip $*" >>log ;;
      esac\n`,
      0o755,
    );
    const text = relocated(endpointWatchScript(), root);
    return { root, text, run: (...args: string[]) => bash(text, ...args), log: () => lines(`${root}/log`) };
  }

  /**
   * What `watch` does while the API servers answer as given, a pair a look: the local one, and whoever holds the endpoint.
   * Each look is a second of the script's clock. Ends with a stop of the service.
   */
  function watched(
    looks: readonly (readonly [local: boolean | "slow" | "gone" | number, endpoint: boolean, others?: boolean])[],
    {
      joined = true,
      /** All API servers that the cluster has named; absent: it has not been asked. */
      servers = undefined as string[] | undefined,
      routes = "",
      /** How often the stopping host has to ask until another has the route. */
      elsewhere = 1,
      /** Commands between two looks, by the number of the first. */
      meanwhile = {},
    } = {},
  ) {
    const { root, text } = host(routes);
    if (joined) write(`${root}/var/lib/tailkube/joined`, "");
    if (servers !== undefined) write(`${root}/run/tailkube/api-servers`, servers.map((one) => `${one}\n`).join(""));
    write(`${root}/elsewhere`, `${elsewhere}\n`);
    write(
      `${root}/meanwhile`,
      Object.entries(meanwhile)
        .map(([look, command]) => `${look}) ${command} ;;\n`)
        .join(""),
    );
    write(
      `${root}/looks`,
      looks
        .map(([local, endpoint, others = false]) =>
          [typeof local === "boolean" ? (local ? "ok" : "-") : local, endpoint ? "ok" : "-", others ? "ok" : "-"].join(
            " ",
          ),
        )
        .join("\n") + "\n",
    );
    // Functions of the script's own shell: hundreds of looks are too many for commands.
    const clock = `mapfile -t looks <${root}/looks
      look=0
      curl() {
        local here elsewhere others
        read -r here elsewhere others <<<"\${looks[look]}"
        case $* in
        *//127.0.0.1:6443/readyz) case $here in slow) return 28 ;; gone) return 7 ;; [0-9]*) return "$here" ;; *) printf %s "$here" ;; esac ;;
        *//10.200.0.1:6443/readyz) printf %s "$elsewhere" ;;
        "-skfZ --max-time 2 --noproxy * https://100.64.0.2:6443/readyz https://100.64.0.3:6443/readyz")
            # Several at a time: -s does not silence this meter.
            echo "DL% UL%  Dled  Uled  Xfers  Live" >&2
            if [ "$others" = ok ]; then printf ok; else return 28; fi ;;
        *) echo "curl $*" >>${root}/log ;;
        esac
      }
      sleep() {
        SECONDS=$((SECONDS + 1))
        cd ${root}
        if [ "$look" -ge "\${#looks[@]}" ]; then echo wait >>log; return; fi
        look=$((look + 1))
        eval "case $look in $(<meanwhile) esac"
        echo look >>log
        [ "$look" -lt "\${#looks[@]}" ] || kill -TERM $$
      }\n`;
    const finished = bash(
      text.replace("set -euo pipefail", () => `set -euo pipefail\n${clock}`),
      "watch",
    );
    return { said: finished.stdout.trim().split("\n"), errors: finished.stderr, log: lines(`${root}/log`) };
  }

  const [well, sick, alone, gone] = [
    [true, true],
    [false, true],
    [true, false],
    [false, false],
  ] as const;
  const times = <T>(n: number, one: T): T[] => Array.from({ length: n }, () => one);

  it("watch: has the endpoint while the API server is ready, and withdraws when the service stops", () => {
    const { said, log } = watched(times(5, well));
    expect(said).to.deep.equal(["endpoint up: the API server is ready", "endpoint down: stopped"]);
    expect(log.filter((line) => line.startsWith("routes"))).to.deep.equal([
      "routes set endpoint 10.200.0.1/32",
      "routes unset endpoint",
    ]);
  });

  it("watch: withdraws at the second failed look, not at the first, and comes back after three good ones", () => {
    const { log } = watched([well, sick, well, sick, sick, well, well, well, well]);
    const short: Record<string, string> = {
      "ip address replace 10.200.0.1/32 dev lo": "+lo",
      "ip address del 10.200.0.1/32 dev lo": "-lo",
      "routes set endpoint 10.200.0.1/32": "+route",
      "routes unset endpoint": "-route",
      look: ".",
    };
    expect(log.map((line) => short[line] ?? line).join(" ")).to.equal(
      "+lo +route . . . . -route -lo . . . +lo +route . . -route wait -lo",
    );
  });

  it("watch: a stop goes on answering until another has the route, but not for long", () => {
    const stop = (elsewhere: number) => {
      const { log } = watched([well], { elsewhere });
      return log.slice(log.indexOf("routes unset endpoint"));
    };
    const address = "ip address del 10.200.0.1/32 dev lo";
    // The wait after the last question is for the others, who hear of it at the same time.
    expect(stop(1)).to.deep.equal(["routes unset endpoint", "wait", address]);
    expect(stop(3)).to.deep.equal(["routes unset endpoint", "wait", "wait", "wait", address]);
    const alone = stop(1000);
    expect(alone.at(-1)).to.equal(address);
    expect(alone.filter((line) => line === "wait")).to.have.length.within(5, 20);
  });

  it("watch: a stop of a host whose API server does not answer, or that has no endpoint, waits for nobody", () => {
    for (const looks of [
      [well, sick],
      [well, sick, sick],
    ]) {
      expect(watched(looks, { elsewhere: 1000 }).log).to.not.include("wait");
    }
  });

  it("watch: an address that somebody else took from the loopback is put back", () => {
    const { said, log } = watched(times(4, well), { meanwhile: { 2: "rm on-lo" } });
    expect(log.filter((line) => line === "ip address replace 10.200.0.1/32 dev lo")).to.have.length(2);
    expect(said).to.include("endpoint up: the address had gone from the loopback");
  });

  it("watch: a boot with an API server that is not there yet withdraws the route of before", () => {
    expect(watched([gone, gone]).log.slice(0, 2)).to.deep.equal([
      "routes unset endpoint",
      "ip address del 10.200.0.1/32 dev lo",
    ]);
  });

  it("watch: an API server that comes and goes moves the endpoint ever more seldom", () => {
    // Ten stops, five good looks between each two.
    const { said } = watched(times(10, [sick, sick, well, well, well, well, well]).flat());
    // Three good looks bring it back, and once more; after that six are wanted, and never come.
    expect(said.filter((line) => line.startsWith("endpoint up"))).to.have.length(2);
    expect(
      watched([well, ...times(10, [sick, sick, ...times(20, well)]).flat()]).said.filter((line) =>
        line.startsWith("endpoint up"),
      ),
    ).to.have.length(4);
  });

  it("watch: whatever came and went, the endpoint is here if no other answers at it", () => {
    const flapping = [well, ...times(5, [sick, sick, ...times(12, well)]).flat()];
    const { said } = watched([...flapping, sick, sick, alone]);
    expect(said.at(-2)).to.equal("endpoint up: the API server is ready, and no other answers at the endpoint");
  });

  it("watch: before this host has joined, the endpoint is here for kubeadm init to talk to", () => {
    expect(watched([gone, gone], { joined: false }).said[0]).to.equal("endpoint up: the API server is ready");
  });

  it("watch: what could not be done is tried with each look, and said once", () => {
    const { said, log } = watched(times(3, well), { routes: "exit 1" });
    expect(said.filter((line) => line.includes("trying on"))).to.have.length(1);
    expect(log.filter((line) => line === "routes set endpoint 10.200.0.1/32")).to.have.length(3);
  });

  const three = ["100.64.0.1", "100.64.0.2", "100.64.0.3"];
  const downs = ({ said }: { said: string[] }) => said.filter((line) => line.startsWith("endpoint down"));
  const [slow, slowAndLast, slower] = [
    ["slow", true, true],
    ["slow", false, false],
    ["slow", false, true],
  ] as const;

  it("watch: a slow API server keeps the endpoint where no other is known to answer, and where none does", () => {
    for (const servers of [undefined, ["100.64.0.1"], three]) {
      const watch = watched([well, ...times(20, slowAndLast), well], { servers });
      expect(downs(watch)).to.deep.equal(["endpoint down: stopped"]);
      expect(watch.errors).to.equal("");
      // Once, not with each look.
      expect(watch.said).to.deep.equal([
        "endpoint up: the API server is ready",
        "endpoint kept: the API server is slow, but no other is known to answer",
        "endpoint down: stopped",
      ]);
    }
  });

  it("watch: a slow one gives it up at the second look where another answers in time, and not at the first", () => {
    expect(downs(watched([well, slow, well, slow, slow, slow], { servers: three }))).to.deep.equal([
      "endpoint down: the API server is slow",
      "endpoint down: stopped",
    ]);
    expect(downs(watched([well, slow, well, slow, well], { servers: three }))).to.have.lengthOf(1);
  });

  it("watch: with all of them slow, none gives it up; the last that answers has it back, however slowly", () => {
    expect(downs(watched([well, ...times(10, slowAndLast)], { servers: three }))).to.have.lengthOf(1);
    const { said } = watched([well, slow, slow, slow, ...times(3, slowAndLast)], { servers: three });
    expect(said.slice(2)).to.include("endpoint up: the API server is slow, but no other answers");
    // Not while another would answer.
    expect(watched([well, slow, slow, ...times(5, slower)], { servers: three }).said.at(-2)).to.equal(
      "endpoint down: the API server is slow",
    );
  });

  it("watch: one that says it is not ready keeps it where it knows that no other is, and not where it knows of none", () => {
    expect(downs(watched([well, ...times(5, gone)], { servers: three }))).to.have.lengthOf(1);
    expect(downs(watched([well, ...times(5, gone)], { servers: ["100.64.0.1"] }))).to.have.lengthOf(1);
    expect(downs(watched([well, [false, false, true], [false, false, true]], { servers: three }))).to.have.lengthOf(2);
    expect(downs(watched([well, ...times(5, gone)]))).to.have.lengthOf(2);
  });

  it("watch: takes only a refused connection for an API server that is gone", () => {
    // A handshake that breaks off, an empty reply, a curl that is killed or cannot be started.
    for (const status of [35, 52, 56, 127, 137]) {
      const broken = (others: boolean) => times(4, [status, false, others] as const);
      const servers = ["100.64.0.1", "100.64.0.2", "100.64.0.3"];
      const lonely = watched([well, ...broken(false)], { servers });
      expect(lonely.said.slice(1, -1), `${status}`).to.deep.equal([
        "endpoint kept: the API server is slow, but no other is known to answer",
      ]);
      expect(watched([well, ...broken(true)], { servers }).said[1]).to.equal("endpoint down: the API server is slow");
    }
  });

  it("watch: one that is gone loses it at the second look, whatever the others do", () => {
    for (const servers of [undefined, ["100.64.0.1"], three]) {
      const { said, log } = watched([well, ["gone", false], ["gone", false], ["gone", false]], { servers });
      expect(said[1]).to.equal("endpoint down: the API server is gone");
      expect(log.indexOf("routes unset endpoint")).to.equal(4);
    }
  });

  it("watch: a start beside a slow API server has the endpoint, unless another answers", () => {
    expect(watched([slowAndLast]).said[0]).to.equal(
      "endpoint up: the API server is slow, but no other is known to answer",
    );
    expect(watched([slow], { servers: three }).said[0]).to.equal("endpoint down: the API server is not ready yet");
    expect(watched([["gone", false]]).said[0]).to.equal("endpoint down: the API server is not ready yet");
  });

  it("watch: learns of the other API servers from the cluster, and forgets none that is down at the moment", () => {
    const { root, text } = host();
    write(`${root}/run/tailkube/api-servers`, "100.64.0.3\n");
    fake(
      root,
      "kubectl",
      `echo '{"kind":"EndpointSlice","metadata":{"annotations":{"x":"\\"addresses\\":[\\"192.0.2.9\\"]"}},"endpoints":[{"addresses":["100.64.0.1"]},{"addresses":["100.64.0.2"]}]}'`,
    );
    bashOk(text.replace("watch | up | down)", "renew_servers)"), "renew_servers");
    expect(lines(`${root}/run/tailkube/api-servers`)).to.deep.equal(three);
    // No answer changes nothing.
    fake(root, "kubectl", "exit 1");
    bashOk(text.replace("watch | up | down)", "renew_servers)"), "renew_servers");
    expect(lines(`${root}/run/tailkube/api-servers`)).to.deep.equal(three);
  });

  it("has the address before the route, and withdraws the route before the address", () => {
    const { run, log } = host();
    expect(run("up").status).to.equal(0);
    expect(run("down").status).to.equal(0);
    expect(log()).to.deep.equal([
      "ip address replace 10.200.0.1/32 dev lo",
      "routes set endpoint 10.200.0.1/32",
      "routes unset endpoint",
      "ip address del 10.200.0.1/32 dev lo",
    ]);
  });

  it("takes the address back even when tailscaled does not answer, and says that it failed", () => {
    const { run, log } = host("exit 1");
    expect(run("down").status).to.not.equal(0);
    expect(log()).to.include("ip address del 10.200.0.1/32 dev lo");
  });

  it("fails when the route cannot be advertised, so that it is tried again", () => {
    expect(host("exit 1").run("up").status).to.not.equal(0);
  });

  it("refuses anything else", () => {
    const { run, log } = host();
    expect(run("restart").status).to.equal(2);
    expect(log()).to.deep.equal([]);
  });
});

describe("installed/wait-address.sh", () => {
  it("returns when the declared address is there", () => {
    const root = temporaryFolder();
    write(`${root}/etc/tailkube/node.env`, "TAILKUBE_ADDRESS=100.64.0.1\n");
    // The third question is the first that is answered with an address.
    fake(root, "ip", `[ "$(wc -l <log)" -lt 3 ] || echo '5: tailscale0 inet 100.64.0.1/32'`);
    const text = `export PATH=${root}/bin:$PATH\nsleep() { :; }\n${relocated(scriptText("installed/wait-address.sh"), root)}`;
    bashOk(text);
    expect(lines(`${root}/log`)).to.deep.equal(Array(3).fill("ip -o -4 address show to 100.64.0.1/32"));
  });
});

describe("installed/cilium.sh", () => {
  /** A host whose processes are `processes`, by ID: their name, and when they started, in clock ticks. */
  function host(processes: Record<number, [name: string, started: number]>, tailscaled: number) {
    const root = temporaryFolder();
    for (const [id, [name, started]] of Object.entries(processes)) {
      write(`${root}/proc/${id}/comm`, `${name}\n`);
      const fields = Array.from({ length: 52 }, (_, field) => (field + 1 === 22 ? started : field + 1));
      write(`${root}/proc/${id}/stat`, `${id} (${name} of 2) ${["S", ...fields.slice(3)].join(" ")}\n`);
    }
    write(`${root}/proc/self/comm`, "bash\n");
    write(`${root}/usr/local/lib/tailkube/wait-address`, `#!/bin/bash\necho waited >>${root}/done`, 0o755);
    fake(root, "systemctl", `echo ${tailscaled}`);
    const text = relocated(scriptText("installed/cilium.sh"), root).replaceAll("/proc/", `${root}/proc/`);
    const kill = `kill() { echo "$1" >>${root}/done; [ "$1" != 40 ]; }`;
    return { ...bash(`${kill}\n${text}`), done: lines(`${root}/done`) };
  }

  it("ends the agents that are older than tailscaled, when the address is there", () => {
    const { status, stdout, done } = host(
      {
        30: ["cilium-agent", 500],
        7: ["cilium-agent", 900],
        40: ["cilium-agent", 100],
        9: ["kubelet", 10],
        5: ["tailscaled", 700],
      },
      5,
    );
    // Process 40 has ended by itself meanwhile.
    expect({ status, done }).to.deep.equal({ status: 0, done: ["waited", "30", "40"] });
    expect(stdout.match(/process \d+/g)).to.deep.equal(["process 30"]);
  });

  it("does nothing after a boot, where the agent is younger or not there yet", () => {
    for (const name of ["cilium-agent", "kubelet"]) {
      const { status, stdout, done } = host({ 7: [name, 900], 5: ["tailscaled", 700] }, 5);
      expect({ status, stdout, done }).to.deep.equal({ status: 0, stdout: "", done: [] });
    }
  });

  it("does nothing where tailscaled does not run", () => {
    const { status, done } = host({ 7: ["cilium-agent", 900] }, 0);
    expect({ status, done }).to.deep.equal({ status: 0, done: [] });
  });
});
