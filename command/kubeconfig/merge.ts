/** Merges a cluster into the text of a kubeconfig. Pure. */
import { type Document, isMap, isSeq, parse, parseDocument, YAMLMap, YAMLSeq } from "yaml";

interface Entries {
  cluster: Record<string, unknown>;
  user: Record<string, unknown>;
}

/** What an administrator's kubeconfig of kubeadm's consists of. */
function entriesOf(kubeconfig: string): Entries {
  const { clusters, users } = parse(kubeconfig) as {
    clusters: { cluster: Entries["cluster"] }[];
    users: { user: Entries["user"] }[];
  };
  return { cluster: clusters[0]!.cluster, user: users[0]!.user };
}

/** A kubeconfig of its own, whose cluster, user and context have this name. */
export function named(kubeconfig: string, name: string): string {
  return merged("", kubeconfig, { name, use: true }).text;
}

export interface MergeOptions {
  /** Of cluster, user and context. */
  name: string;
  /** Whether the context becomes the current one; it also does if there is none. */
  use: boolean;
}

export interface Merged {
  text: string;
  /** Whether the file had the cluster before. */
  replaced: boolean;
  current: string;
}

/** A file that cannot be merged into. The message says why, and what to do. */
export class MergeError extends Error {}

/**
 * Everything else in the file stays, comments too. An entry of that name is replaced if it is this cluster's, that is, has its CA.
 *
 * @param existing the file's text; empty for a new one.
 */
export function merged(existing: string, kubeconfig: string, { name, use }: MergeOptions): Merged {
  const document = parseDocument(existing);
  if (document.errors.length > 0) throw new MergeError(`it is not YAML: ${document.errors[0]!.message.split("\n")[0]}`);
  if (document.contents !== null && !isMap(document.contents)) throw new MergeError("it is not a kubeconfig");
  if (document.contents === null) document.contents = new YAMLMap() as never;
  const isNew = !document.has("clusters") && !document.has("contexts") && !document.has("users");
  if (!document.has("apiVersion")) document.set("apiVersion", "v1");
  if (!document.has("kind")) document.set("kind", "Config");
  const { cluster, user } = entriesOf(kubeconfig);
  const replaced = !isNew && refuseOthers(document, name, cluster);
  put(document, "clusters", name, { cluster });
  put(document, "users", name, { user });
  const before = document.getIn(["contexts"]);
  const former = isSeq(before) ? entry(before, name) : undefined;
  const context = former?.getIn(["context"]);
  // A namespace that the user has set for the context stays.
  const namespace = isMap(context) ? context.get("namespace") : undefined;
  put(document, "contexts", name, {
    context: { cluster: name, user: name, ...(typeof namespace === "string" && { namespace }) },
  });
  const current = document.get("current-context");
  if (use || typeof current !== "string" || current === "") document.set("current-context", name);
  return { text: document.toString({ lineWidth: 0 }), replaced, current: document.get("current-context") as string };
}

function list(document: Document, kind: string): YAMLSeq {
  const found = document.get(kind);
  if (isSeq(found)) return found;
  if (found !== undefined && found !== null) throw new MergeError(`its ${kind} are not a list`);
  const made = new YAMLSeq();
  document.set(kind, made);
  return made;
}

const entry = (all: YAMLSeq, name: string) =>
  all.items.find((item): item is YAMLMap => isMap(item) && item.get("name") === name);

function put(document: Document, kind: string, name: string, value: object): void {
  const all = list(document, kind);
  const node = document.createNode({ name, ...value });
  const found = entry(all, name);
  // A flow list, such as `users: []` of kubectl's, would make it a single line.
  all.flow = false;
  if (found === undefined) all.add(node);
  else all.items[all.items.indexOf(found)] = node;
}

/** Whether the entries of that name are this cluster's; throws if any is another's. */
function refuseOthers(document: Document, name: string, cluster: Entries["cluster"]): boolean {
  const data = document.toJS() as Record<string, { name: string; [key: string]: unknown }[] | null | undefined>;
  const of = (kind: string) => (data[kind] ?? []).find((one) => one?.name === name);
  const [formerCluster, formerUser, formerContext] = [of("clusters"), of("users"), of("contexts")];
  const ca = (one: unknown) =>
    (one as { "certificate-authority-data"?: string } | undefined)?.["certificate-authority-data"];
  const help = `Choose another name (--name), or delete it: kubectl config delete-context ${name}, delete-cluster ${name}, delete-user ${name}`;
  if (formerCluster !== undefined && ca(formerCluster.cluster) !== ca(cluster)) {
    throw new MergeError(
      `it already has a cluster ${name} with another certificate authority, which is not this cluster. ${help}`,
    );
  }
  if (formerCluster === undefined && (formerUser !== undefined || formerContext !== undefined)) {
    throw new MergeError(
      `it already has a ${formerUser !== undefined ? "user" : "context"} ${name} that is not this cluster's. ${help}`,
    );
  }
  for (const { name: other, context } of (data.contexts ?? []) as {
    name: string;
    context?: { cluster?: string; user?: string };
  }[]) {
    if (other === name && context?.cluster !== name) {
      throw new MergeError(
        `its context ${name} is for the cluster ${context?.cluster ?? ""}, which is not this cluster. ${help}`,
      );
    }
    if (other !== name && context?.user === name && context.cluster !== name) {
      throw new MergeError(`its context ${other} uses the user ${name} for another cluster. ${help}`);
    }
  }
  return formerCluster !== undefined;
}
