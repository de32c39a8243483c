/** Requests of this machine itself to the API, by a kubeconfig of the stack. */
import { request } from "node:https";
import { apiAccess } from "../model/kubeconfig";
import type { Asked } from "./answers";

/** The body of an answer with status 200, or none with the reason. */
export function get(kubeconfig: string, path: string, seconds = 8): Promise<Asked<string>> {
  return new Promise((resolve) => {
    const none = (why: string) => resolve({ none: why });
    try {
      const { server, ca, cert, key } = apiAccess(kubeconfig);
      const sent = request(new URL(path, server), { ca, cert, key, agent: false }, (response) => {
        const body: Buffer[] = [];
        response.on("data", (data: Buffer) => body.push(data));
        response.on("error", ({ message }) => none(message));
        response.on("end", () => {
          if (response.statusCode === 200) resolve({ value: Buffer.concat(body).toString() });
          else none(`status ${response.statusCode}`);
        });
      });
      const timer = setTimeout(() => sent.destroy(new Error(`no answer in ${seconds} s`)), seconds * 1000);
      sent.on("close", () => clearTimeout(timer));
      sent.on("error", ({ message }) => none(message || "the connection ended"));
      sent.end();
    } catch (error) {
      none((error as Error).message);
    }
  });
}
