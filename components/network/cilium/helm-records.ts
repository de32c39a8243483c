/**
 * What Helm keeps of a release in its cluster, and what a run that was killed leaves of it. Helm refuses to install over a
 * record whose install was never finished, and to upgrade over a pending one; the engine knows of neither.
 */
import { request } from "node:https";
import { apiAccess } from "../../../model/kubeconfig";

/** Where a release is, and which resource of which stack it belongs to. */
export interface ReleaseName {
  namespace: string;
  name: string;
  urn: string;
}

/** One of Helm's records: a Secret for each revision. */
interface HelmRecord {
  secret: string;
  uid: string;
  revision: number;
  /** As Helm says: deployed, superseded, failed, pending-install, pending-upgrade, …. */
  status: string;
}

interface Answer {
  status: number;
  body: unknown;
}

interface PartialObjectList {
  items: { metadata: { name: string; uid: string; labels?: Record<string, string> } }[] | null;
}

/** How long a question to the API is asked again, in milliseconds: its server may be on its way up after a power cut. */
const ASK_MS = 240_000;

/**
 * Makes the way free for Helm's next step, if what is in it was begun by this stack: the records of a release that the state
 * does not know, or the record of an upgrade that was not finished. Helm then takes the release's objects over. Before
 * the step the revision that it will make is noted in the cluster, in the ConfigMap tailkube-release-NAME.
 *
 * @returns what was done, for the log; undefined if nothing was in the way.
 * @throws Error if somebody else's record is in the way, or the API does not answer within four minutes.
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
  // Older ones are the newest one's history: of a release that has left the state (pulumi destroy --target).
  const isOurs = begun?.urn === urn && begun.revision === `${newest?.revision}`;
  if (newest !== undefined && inTheWay.length > 0 && !isOurs) {
    throw new Error(
      `the cluster has a Helm release ${namespace}/${name}, revision ${newest.revision}, ${newest.status}, that this stack did not begin, ` +
        `so it was left alone. See it: helm -n ${namespace} history ${name}. ` +
        (step === "create"
          ? `If it is not needed: helm -n ${namespace} uninstall ${name}, then run again`
          : `Wait until it has ended, or end it: helm -n ${namespace} rollback ${name}; then run again`),
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
    `an earlier run was killed in Helm's ${step === "create" ? `install of ${name}, or the release has left the state` : `upgrade of ${name}`} (revision ${cleared.revision}, ${cleared.status}): its record was removed, and Helm does it again`
  );
}

/** By revision, the newest last. */
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

/** Asks the API server of a kubeconfig; one that does not answer is asked again. 404 is an answer, other refusals are errors. */
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
            // The records hold whole charts; what is asked for is in their metadata.
            accept: path.includes("/secrets?")
              ? "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
              : "application/json",
            "content-type": method === "PATCH" ? "application/apply-patch+yaml" : "application/json",
            // Node.js gives a DELETE no body that has no length.
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
          throw new Error(`the API at ${server} refuses ${method} ${path}: ${why}`);
      }
      if (Date.now() > end)
        throw new Error(`the API at ${server} gave no answer to ${method} ${path} within ${ASK_MS / 1000} s: ${why}`);
    }
  };
}
