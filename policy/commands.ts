/** Rules about commands on hosts and on the operator's machine (@pulumi/command). */
import { isObject, type Rule, texts, unknown } from "./rule";
import { holdsSecret } from "./secret-text";

const isRemote = (type: string) => type.startsWith("command:remote:");
const isCommand = (type: string) => isRemote(type) || type.startsWith("command:local:");

export const hostKeyPinned: Rule = {
  name: "host-key-pinned",
  description: "Every SSH connection pins its host key, so that no other machine receives a command or secret.",
  about: "inputs",
  violations({ type, properties }) {
    const { connection } = properties;
    if (!isRemote(type) || connection === unknown) return [];
    if (!isObject(connection)) return ["it has no connection"];
    // What the provider's check makes of a connection that is not known yet; nothing answers there.
    if (connection.host === "") return [];
    const ends = { connection, ...("proxy" in connection && { "connection.proxy": connection.proxy }) };
    return Object.entries(ends).flatMap(([key, end]) => {
      const hostKey = isObject(end) ? end.hostKey : end;
      const isPinned = hostKey === unknown || (typeof hostKey === "string" && hostKey !== "");
      return isPinned
        ? []
        : [`${key}.hostKey is not set, so any server is accepted as the host. Set its public host key.`];
    });
  },
};

/** Where a command may have secrets: stdin, and what the provider logs in by. */
const secretPlaces = new Set(["stdin", "connection"]);

export const secretsByStdin: Rule = {
  name: "secrets-by-stdin",
  description:
    "Secrets reach commands only through stdin, because the error of a failed command quotes everything else.",
  about: "inputs",
  violations({ type, properties, secretInputs }) {
    if (!isCommand(type)) return [];
    const elsewhere = Object.keys(properties).filter(
      (key) => !secretPlaces.has(key) && (secretInputs.has(key) || texts(properties[key]).some(holdsSecret)),
    );
    const found = elsewhere.map((key) => `${key} contains a secret. Pass it through stdin.`);
    const { logging } = properties;
    if (secretInputs.has("stdin") && logging !== "none" && logging !== "stderr" && logging !== unknown) {
      found.push("its stdin is secret and its stdout is logged. Set logging to none, or to stderr.");
    }
    return found;
  },
};

export const deleteNeedsDeletedWith: Rule = {
  name: "delete-needs-deleted-with",
  description: "A dead host does not block a destroy.",
  about: "inputs",
  // A bare host's clean-up is a local command, which passes over a host that is gone (components/hosts/cleanup.ts). Engines tell
  // no policy pack of deletedWith, so there every remote command with a delete is refused; the program has none.
  violations({ type, properties, deletedWith }) {
    const hasDelete = isRemote(type) && properties.delete !== undefined && properties.delete !== null;
    return hasDelete && !deletedWith
      ? ["its delete fails forever if the host is dead. Use HostCleanup or, for a machine of the stack, deletedWith."]
      : [];
  },
};
