/** A ConfigMap that a test writes before something happens to the cluster, and that has to be there afterwards. */
import { expect } from "chai";
import * as lab from "./lab";

const admin = "KUBECACHEDIR=/run/kube-cache kubectl --request-timeout=20s --kubeconfig /etc/kubernetes/admin.conf";

const read = (by: lab.HostName) =>
  lab.onHost(by, `${admin} get configmap tailkube-kept -o 'jsonpath={.data.word}' 2>&1`);

/** Writes it by way of a control plane, unless it is there. Returns whether the API has it. */
export function keep(by: lab.HostName = "cp1"): boolean {
  lab.onHost(by, `${admin} create configmap tailkube-kept --from-literal=word=kept >/dev/null 2>&1`);
  return read(by) === "kept";
}

/** Each of these control planes' own etcd and API server have it as it was written. */
export function expectKept(planes: readonly lab.HostName[]): void {
  for (const host of planes) expect(read(host), `the ConfigMap by way of ${host}`).to.equal("kept");
}
