import { RunError } from "@pulumi/pulumi";

/**
 * An error whose message is all that the user sees. Without its stack, which Pulumi would print in colour, and on some
 * releases of Node.js spend minutes on.
 */
export function reported(message: string): RunError {
  const error = new RunError(message);
  error.stack = undefined;
  // Pulumi writes the name of each property on the error's way before its message, some thirty of them.
  Object.defineProperty(error, "message", { get: () => message, set: () => undefined });
  return error;
}
