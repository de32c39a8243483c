/** What has to be true of the lab's cluster after any run that was killed and finished. */
import { expect } from "chai";
import { expectKept } from "../lab/kept";
import * as lab from "../lab/lab";
import { refreshKubeconfig } from "./stack";

/** etcd's members as a control plane has them: name, state, and whether it is a learner. */
export function members(on: lab.HostName): string[] {
  return lab
    .onHost(on, "/usr/local/lib/tailkube/etcd ctl member list")
    .trim()
    .split("\n")
    .map((line) => line.split(", "))
    .map(([, state, name, , , learner]) => `${name} ${state}${learner === "true" ? " learner" : ""}`)
    .sort();
}

/** etcd's members are the control planes, every node is Ready and not cordoned, and what was written is there. */
export async function expectWhole(names: readonly lab.HostName[] = lab.hosts): Promise<void> {
  refreshKubeconfig();
  const planes = names.filter((name) => name.startsWith("cp"));
  for (const host of planes) {
    expect(members(host), `etcd's members as ${host} has them`).to.deep.equal(planes.map((name) => `${name} started`));
  }
  expectKept(planes);
  await lab.until("every node Ready", () => lab.readyNodes().length === names.length, 180);
  const cordoned = lab.kubectl("get", "nodes", "-o", "jsonpath={.items[?(@.spec.unschedulable==true)].metadata.name}");
  expect(cordoned, "cordoned nodes").to.equal("");
}
