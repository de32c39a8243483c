/**
 * Helm's records of a release in the cluster, and what a killed run leaves of them. Helm does not install over the record of an
 * unfinished install, nor upgrade over a pending one, and the engine knows nothing about these.
 */
import { request } from "node:https";
import { apiAccess } from "../../../model/kubeconfig";

/** A release, and the URN of its resource. */
export interface ReleaseName {
  namespace: string;
  name: string;
  urn: string;
}

/** A record of Helm: a Secret for each revision. */
interface HelmRecord {
  secret: string;
  uid: string;
  revision: number;
  /** Such as deployed, superseded, failed, pending-install or pending-upgrade. */
  status: string;
}

interface Answer {
  status: number;
  body: unknown;
}

interface PartialObjectList {
  items: { metadata: { name: string; uid: string; labels?: Record<string, string> } }[] | null;
}

/** How long requests to the API are repeated, in milliseconds: its server may be starting after a power cut. */
const ASK_MS = 240_000;

/**
 * Deletes records that block Helm's next step, if this stack created them: records of a release that the state does not know, or of an
 * unfinished upgrade. Helm then adopts the release's objects. Before the step, the ConfigMap tailkube-release-NAME in the cluster gets
 * the revision that the step will create.
 *
 * @returns what was done, for the log; undefined if nothing blocked the step.
 * @throws Error if a record that this stack did not create blocks the step, or the API does not answer within four minutes.
 */
export async function clearKilledRevision(
  kubeconfig: string,
  step: "create" | "update",
  release: ReleaseName,
): Promise<string | undefined> {
  const ask = client(kubeconfig);
  const { namespace, name, urn } = release;
  const secrets = `/api/v1/namespaces/${namespace}/secrets`;
  const mark = `tailkube-release-${name}`;
  const records = recordsOf(
    await ask("GET", `${secrets}?labelSelector=${encodeURIComponent(`owner=helm,name=${name}`)}`),
  );
  const noted = await ask("GET", `/api/v1/namespaces/${namespace}/configmaps/${mark}`);
  const begun = (noted.body as { data?: { urn?: string; revision?: string } }).data;
  const newest = records.at(-1);
  const inTheWay =
    step === "create" ? records : records.filter((record) => record === newest && record.status.startsWith("pending-"));
  // Older records are the history of the newest one, if the release has left the state (pulumi destroy --target).
  const isOurs = begun?.urn === urn && begun.revision === `${newest?.revision}`;
  if (newest !== undefined && inTheWay.length > 0 && !isOurs) {
    throw new Error(
      `the cluster has a Helm release ${namespace}/${name}, revision ${newest.revision}, ${newest.status}, which this stack did not start, ` +
        `so the run left it unchanged. To see it: helm -n ${namespace} history ${name}. ` +
        (step === "create"
          ? `If you do not need it, run helm -n ${namespace} uninstall ${name}, then pulumi up again`
          : `Wait until it ends, or end it with helm -n ${namespace} rollback ${name}, then run pulumi up again`),
    );
  }
  for (const { secret, uid } of inTheWay) await ask("DELETE", `${secrets}/${secret}`, { preconditions: { uid } });
  const last = records.filter((record) => !inTheWay.includes(record)).at(-1)?.revision ?? 0;
  await ask("PATCH", `/api/v1/namespaces/${namespace}/configmaps/${mark}?fieldManager=tailkube&force=true`, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: mark, namespace },
    data: { urn, revision: `${last + 1}` },
  });
  const cleared = inTheWay.at(-1);
  return (
    cleared &&
    `an earlier run was killed during Helm's ${step === "create" ? `install of ${name}, or the release has left the state` : `upgrade of ${name}`} (revision ${cleared.revision}, ${cleared.status}): this run removed its record, and Helm repeats it`
  );
}

/** Sorted by revision, newest last. */
function recordsOf({ body }: Answer): HelmRecord[] {
  // An empty list is null.
  return ((body as PartialObjectList).items ?? [])
    .map(({ metadata: { name, uid, labels } }) => ({
      secret: name,
      uid,
      revision: Number(labels?.["version"]),
      status: labels?.["status"] ?? "unknown",
    }))
    .sort((a, b) => a.revision - b.revision);
}

type Ask = (method: string, path: string, body?: unknown) => Promise<Answer>;

/** A client of a kubeconfig's API server. It repeats requests without an answer. 404 is an answer; other rejections are errors. */
function client(kubeconfig: string): Ask {
  const { server, ...tls } = apiAccess(kubeconfig);
  const once: Ask = (method, path, body) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? "" : JSON.stringify(body);
      const outgoing = request(
        new URL(path, server),
        {
          ...tls,
          method,
          timeout: 15_000,
          headers: {
            // Records contain whole charts, but only their metadata is needed.
            accept: path.includes("/secrets?")
              ? "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
              : "application/json",
            "content-type": method === "PATCH" ? "application/apply-patch+yaml" : "application/json",
            // Without it, Node.js sends no body with a DELETE.
            "content-length": Buffer.byteLength(text),
          },
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("error", reject);
          response.on("end", () => {
            try {
              resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(parts).toString()) });
            } catch {
              reject(new Error(`HTTP ${response.statusCode} without JSON`));
            }
          });
        },
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error("no answer within 15 s")));
      outgoing.on("error", reject);
      outgoing.end(text);
    });
  return async (method, path, body) => {
    for (const end = Date.now() + ASK_MS; ; await new Promise((resolve) => setTimeout(resolve, 1500))) {
      const answer = await once(method, path, body).catch((error: Error) => error);
      let why: string;
      if (answer instanceof Error) why = answer.message;
      else if (answer.status < 300 || answer.status === 404) return answer;
      else {
        why = `HTTP ${answer.status}: ${(answer.body as { message?: string }).message}`;
        if (answer.status < 500 && answer.status !== 429)
          throw new Error(`the API at ${server} rejected ${method} ${path}: ${why}`);
      }
      if (Date.now() > end)
        throw new Error(`the API at ${server} did not answer ${method} ${path} within ${ASK_MS / 1000} s: ${why}`);
    }
  };
}
