/**
 * A client of the API endpoint that runs in a host's network and asks at a fixed rate, whether or not the last request has
 * ended. Prints a JSON line for each request; ends when its stdin does.
 *
 *   client.ts read    asks for an object, which the API server reads from etcd's majority
 *   client.ts write   makes ConfigMaps with running numbers, each tried once
 */
import { endpoint, request } from "./api";

const interval = { read: 100, write: 200 };
/** What a request may take. */
const patience = { read: 3000, write: 3000 };

const mode = process.argv[2];
if (mode !== "read" && mode !== "write") throw new Error("usage: client.ts read|write");

let number = 0;

async function ask(kind: "read" | "write") {
  const start = Date.now();
  const mine = number++;
  const say = (rest: object) => console.log(JSON.stringify({ start, end: Date.now(), number: mine, ...rest }));
  try {
    const { status, by, body } =
      kind === "read"
        ? await request(endpoint, "GET", "/api/v1/namespaces/default", patience.read)
        : await request(endpoint, "POST", "/api/v1/namespaces/tailkube-faults/configmaps", patience.write, {
            metadata: { name: `number-${mine}` },
            data: { number: `${mine}` },
          });
    const ok = status === 200 || status === 201;
    say(ok ? { ok, by } : { ok, by, error: `${status} ${body.slice(0, 200)}` });
  } catch (error) {
    say({ ok: false, error: (error as Error).message });
  }
}

const timer = setInterval(() => void ask(mode), interval[mode]);
process.stdin.on("end", () => clearInterval(timer)).resume();
