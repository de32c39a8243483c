/** Exit codes of the command, and an error that ends it with one. */

export const exitCodes = {
  ok: 0,
  /** Something is wrong with the cluster, or the command did not succeed. */
  wrong: 1,
  usage: 2,
  /** The stack or its hosts could not be asked. */
  notAsked: 3,
} as const;

/** An error of which the user sees only the message. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly code: number = exitCodes.wrong,
  ) {
    super(message);
  }
}

export const usageFailure = (message: string) => new Failure(`${message} See: tailkube --help`, exitCodes.usage);
