/** `tailkube checks`. */
import { shellQuote } from "../components/hosts/script-text";
import { controlPlanes } from "../model/nodes";
import { exitCodes, Failure } from "./failure";
import { progress } from "./parallel";
import { onHost, type Ran, rootCommand, whyNoAnswer } from "./reach";
import type { ClusterAccess, Node } from "./stack";

/** A wait of two minutes for a node that died a moment ago, beside the probes themselves. */
const seconds = 900;

/** Runs a command on the first control plane that answers. Fails with exit code 3 if none does. */
export async function onFirstControlPlane(
  cluster: ClusterAccess,
  run: (node: Node) => Promise<Ran>,
): Promise<{ node: Node; ran: Ran }> {
  const reasons: string[] = [];
  for (const node of controlPlanes(cluster.nodes)) {
    const ran = await run(node);
    if (!isUnanswered(ran)) return { node, ran };
    reasons.push(`${node.name}: ${whyNoAnswer(ran)}`);
    progress(`${node.name} does not answer: ${whyNoAnswer(ran)}`);
  }
  throw new Failure(`no control plane answers (${reasons.join("; ")}). Try: tailkube status`, exitCodes.notAsked);
}

/** ssh's own exit status, or the end of our patience; and what sudo or the operator's script says before the command has begun. */
const isUnanswered = ({ status, stdout, stderr }: Ran) =>
  status === 255 ||
  status === -1 ||
  (status === 1 && stdout.length === 0 && /^sudo:|does not accept sudoPassword/m.test(stderr));

/** @param words options of the host's command. */
export async function checks(cluster: ClusterAccess, words: readonly string[]): Promise<number> {
  const command = ["/usr/local/lib/tailkube/checks", ...words].map(shellQuote).join(" ");
  const { node, ran } = await onFirstControlPlane(cluster, (on) => {
    progress(`running the checks on ${on.name}; it takes a minute or two`);
    return onHost(on, { command: rootCommand(on, command), seconds });
  });
  process.stdout.write(ran.stdout);
  if (ran.stderr !== "") progress(ran.stderr);
  if (ran.status === 127) {
    throw new Failure(`${node.name} has no command checks. Run pulumi up, with tailkube:checks not false`);
  }
  return ran.status;
}
