/** A provider as a resource: configuration only. */
import { clusterOf } from "../kubernetes/kubeconfig";
import { Change, diffProps } from "../diff";
import type { ResourceState } from "../state/deployment";
import { equal, Props } from "../values";
import { allowOnly, dropNulls, read } from "./inputs";
import type { Created, Performer } from "./provider";

const COMMON = ["version", "__internal"];
const INPUTS: Record<string, string[]> = {
  command: [],
  kubernetes: ["kubeconfig", "clusterIdentifier", "enableServerSideApply", "namespace", "deleteUnreachable"],
};
/** Inputs that the SDK always sends, here with what they are when nobody set them. */
const UNSET = ["null", "undefined", "{}"];

export class ProviderResource implements Performer {
  constructor(private readonly packageName: string) {}

  check(inputs: Props, _olds: Props | undefined, name: string): Props {
    // Settings in the namespace `pulumi` are the CLI's.
    if (this.packageName === "pulumi") return {};
    const set = Object.entries(dropNulls(inputs)).filter(([, value]) => !UNSET.includes(String(value)));
    const result = Object.fromEntries(set);
    allowOnly(result, [...COMMON, ...(INPUTS[this.packageName] ?? [])], `provider "${name}"`);
    return result;
  }

  /** Another cluster needs a new provider, and with it new resources; another way to the same cluster does not. */
  diff(old: ResourceState, inputs: Props): Change[] {
    const olds = old.inputs ?? {};
    const replaced = this.packageName === "kubernetes" && !isSameCluster(olds, inputs);
    const decisive = ["clusterIdentifier", "kubeconfig"];
    return diffProps(olds, inputs, (path) => replaced && decisive.includes(String(path[0])));
  }

  preview(inputs: Props): Props {
    return inputs;
  }

  create(): Promise<Created> {
    throw new Error("a provider is created by the engine itself");
  }

  update(): Promise<Props> {
    throw new Error("a provider is updated by the engine itself");
  }

  async delete(): Promise<void> {}
}

function isSameCluster(olds: Props, news: Props): boolean {
  const [before, now] = [read(olds, "clusterIdentifier"), read(news, "clusterIdentifier")];
  if (before !== undefined || now !== undefined) return equal(before, now);
  return equal(clusterOf(read(olds, "kubeconfig")), clusterOf(read(news, "kubeconfig")));
}
