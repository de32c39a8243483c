import { RunError } from "@pulumi/pulumi";

/**
 * An error whose message is all that the user sees. Without its stack, which Pulumi would print in colour, and on some
 * releases of Node.js spend minutes on.
 */
export function reported(message: string): RunError {
  const error = new RunError(message);
  error.stack = undefined;
  return error;
}
