import { expect } from "chai";
import type { NodeConfig } from "../../../../model/config";
import {
  sharedKeyWarnings,
  sharedMachineIdWarnings,
  sharedMachineProblems,
} from "../../../../components/cluster/machines";
import { preflightReport, preflightWarnings } from "../../../../components/cluster/preflight";
import type { HostFacts, NodeFacts } from "../../../../components/hosts/facts";
import { configOf, goodFacts } from "../../config/fixtures";

const config = configOf();
const [cp1, cp2, cp3, w1] = config.nodes as [NodeConfig, NodeConfig, NodeConfig, NodeConfig];

interface Machine extends Partial<HostFacts> {
  hostKey?: string;
}

/** The hosts of the nodes; each has its own identity and address, but for what is given. */
const hosts = (...given: Machine[]): NodeFacts[] =>
  [cp1, cp2, cp3, w1].map((node, i) => {
    const { hostKey = `ssh-ed25519 KEY${i}`, ...facts } = given[i] ?? {};
    const own = {
      ...{ machineId: `id-${i}`, bootId: `boot-${i}` },
      interfaces: [{ name: "eth0", addresses: [`192.0.2.${i}/24`], mtu: 1500 }],
    };
    return { node, facts: goodFacts({ ...own, ...facts }), hostKey };
  });

/** As on a copy of the first machine's disk. */
const copy = { hostKey: "ssh-ed25519 KEY0", machineId: "id-0" };
const first = { bootId: "boot-0", interfaces: [{ name: "eth0", addresses: ["192.0.2.0/24"], mtu: 1500 }] };

describe("one machine behind several nodes", () => {
  it("is refused where all that identifies it is the same, a node or not", () => {
    for (const membership of ["", "m-1"]) {
      const all = hosts({ membership }, { ...copy, ...first, membership });
      expect(sharedMachineProblems(all)).to.deep.equal([
        "cp1, cp2: one machine answers for all of them (machine ID id-0). Give each node the address of a machine of its own, or remove the others.",
      ]);
      expect(preflightReport(all, config)).to.match(/No host has been changed\.\n {2}- cp1, cp2: one machine answers/);
    }
  });

  it("is one under three names, too", () => {
    const twin = { ...copy, ...first };
    expect(sharedMachineProblems(hosts({}, twin, {}, twin))[0]).to.match(/^cp1, cp2, w1: one machine/);
  });

  it("is not what containers of one machine are, as in the lab: they share a boot ID alone", () => {
    const all = hosts({ bootId: "b" }, { bootId: "b" }, { bootId: "b" }, { bootId: "b" });
    expect(sharedMachineProblems(all)).to.deep.equal([]);
    expect(preflightWarnings(all, config)).to.deep.equal([]);
  });
});

describe("copies of one disk image", () => {
  it("with the same machine ID and host key are refused as new nodes, with the commands", () => {
    expect(sharedMachineProblems(hosts({}, copy))).to.deep.equal([
      "cp1, cp2: the same SSH host key and machine ID id-0, as on copies of one disk image. On each new one: rm /etc/ssh/ssh_host_* " +
        "/etc/machine-id && ssh-keygen -A && systemd-machine-id-setup, reboot, and set host.identity of its node to any text.",
    ]);
    expect(sharedMachineProblems(hosts({}, { ...copy, bootId: "boot-0" })), "copies of a container").to.have.lengthOf(
      1,
    );
    expect(sharedMachineProblems(hosts({ membership: "m-1" }, copy)), "a new one beside a node").to.have.lengthOf(1);
    expect(
      sharedMachineProblems(hosts({ membership: "m-1" }, { ...copy, membership: "m-1" })),
      "a copy of a node",
    ).to.have.lengthOf(1);
  });

  it("that are nodes already go on, with warnings", () => {
    const all = hosts({ membership: "m-1" }, { ...copy, membership: "m-2" });
    expect(preflightReport(all, config)).to.equal(undefined);
    expect(preflightWarnings(all, config)).to.deep.equal([...sharedMachineIdWarnings(all), ...sharedKeyWarnings(all)]);
  });

  it("with one of the two are warned of", () => {
    const keys = hosts({}, { hostKey: "ssh-ed25519 KEY0 root@golden" });
    expect(sharedMachineProblems(keys)).to.deep.equal([]);
    expect(preflightWarnings(keys, config)).to.deep.equal([
      "cp1, cp2: the same SSH host key, as on copies of one disk image, so each can be taken for the other. Create new keys on all but one: " +
        "rm /etc/ssh/ssh_host_* && ssh-keygen -A, and set host.identity of their nodes to any text.",
    ]);
    const ids = hosts({}, { machineId: "id-0" });
    expect(sharedMachineProblems(ids)).to.deep.equal([]);
    expect(preflightWarnings(ids, config)).to.have.lengthOf(1);
  });

  it("are not seen in what is unknown: no machine ID, and keys of machines that the program made", () => {
    expect(sharedMachineProblems(hosts({ machineId: "" }, { ...copy, machineId: "" }))).to.deep.equal([]);
    const made = hosts({}, { machineId: "id-0" }).map(({ node, facts }) => ({ node, facts }));
    expect(sharedMachineProblems(made)).to.deep.equal([]);
    expect(sharedKeyWarnings(made)).to.deep.equal([]);
  });
});

describe("what hosts warn of themselves", () => {
  it("names the node, and is absent in an older program's state", () => {
    const older = goodFacts();
    delete older.warnings;
    const all = hosts({ warnings: ["a risk."] });
    expect(preflightWarnings(all, config)).to.deep.equal(["cp1: a risk."]);
    expect(preflightWarnings([{ node: cp1, facts: older }], config)).to.deep.equal([]);
  });
});
