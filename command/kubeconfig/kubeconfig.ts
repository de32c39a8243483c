/** `tailkube kubeconfig`. */
import { exitCodes } from "../failure";
import { progress } from "../parallel";
import type { ClusterAccess } from "../stack";
import { kubeconfigFiles, mergeInto } from "./file";
import { named } from "./merge";

export interface KubeconfigOptions {
  merge: boolean;
  /** Whether its server is the first control plane instead of the endpoint. */
  direct: boolean;
  use: boolean;
  name?: string | undefined;
}

export async function kubeconfig(cluster: ClusterAccess, options: KubeconfigOptions): Promise<number> {
  const text = options.direct ? cluster.directKubeconfig : cluster.kubeconfig;
  const name = options.name ?? cluster.clusterName;
  if (!options.merge) {
    process.stdout.write(named(text, name));
    return exitCodes.ok;
  }
  const { file, replaced, current } = await mergeInto(kubeconfigFiles(), text, { name, use: options.use });
  const use =
    current === name
      ? "It is the current context"
      : `Use it: kubectl --context ${name}, or tailkube kubeconfig --merge --use`;
  progress(`${replaced ? "updated" : "added"} the context ${name} in ${file}. ${use}`);
  return exitCodes.ok;
}
