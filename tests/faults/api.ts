/** A client of the API servers, small enough to be asked many times a second. */
import { readFileSync, statSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import type { TLSSocket } from "node:tls";
import { join } from "node:path";
import { parse } from "yaml";
import { state } from "../lab/lab";

export const endpoint = "10.200.0.1";
export const port = 6443;

export interface Answer {
  status: number;
  body: string;
  /** The control plane that answered: its API server's certificate has its name. */
  by: string;
}

let administrator: { ca: Buffer; cert: Buffer; key: Buffer } | undefined;
let readAt = 0;

/** The administrator's, as the kubeconfig has them now: another cluster may have been made since. */
function credentials() {
  const file = join(state, "kubeconfig");
  const { mtimeMs } = statSync(file);
  if (administrator === undefined || readAt !== mtimeMs) {
    readAt = mtimeMs;
    const kubeconfig = parse(readFileSync(file, "utf8")) as {
      clusters: [{ cluster: Record<string, string> }];
      users: [{ user: Record<string, string> }];
    };
    const pem = (object: Record<string, string>, key: string) => Buffer.from(object[key] ?? "", "base64");
    administrator = {
      ca: pem(kubeconfig.clusters[0].cluster, "certificate-authority-data"),
      cert: pem(kubeconfig.users[0].user, "client-certificate-data"),
      key: pem(kubeconfig.users[0].user, "client-key-data"),
    };
  }
  return administrator;
}

/**
 * One request as the administrator, over a connection of its own. Rejects if there is no whole answer within the bound.
 *
 * @param body sent as JSON.
 */
export function request(
  address: string,
  method: string,
  path: string,
  milliseconds: number,
  body?: unknown,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let by = "unknown";
    const fail = (error: Error) =>
      reject(error.name === "AbortError" ? new Error(`no answer within ${milliseconds} ms`) : error);
    const sent = httpsRequest(
      {
        ...credentials(),
        host: address,
        port,
        method,
        path,
        agent: false,
        headers: { "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json" },
        // The certificate's issuer is checked; which of its names it was reached by makes no difference here.
        checkServerIdentity: () => undefined,
        signal: AbortSignal.timeout(milliseconds),
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("error", fail);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text, by }));
      },
    );
    sent.on("socket", (socket) =>
      socket.on("secureConnect", () => {
        const names = (socket as TLSSocket).getPeerCertificate().subjectaltname ?? "";
        by = /DNS:(cp\d+)\b/.exec(names)?.[1] ?? by;
      }),
    );
    sent.on("error", fail);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
