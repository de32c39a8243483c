import { RunError } from "@pulumi/pulumi";

/**
 * An error of which the user sees only the message. It has no stack: Pulumi would print it and, on some releases of Node.js, take
 * minutes to format it.
 */
export function userError(message: string): RunError {
  const error = new RunError(message);
  error.stack = undefined;
  // Pulumi would prefix the message with the name of every property that the error passed through, some thirty of them.
  Object.defineProperty(error, "message", { get: () => message, set: () => undefined });
  return error;
}
