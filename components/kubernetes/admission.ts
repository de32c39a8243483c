import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import type { Authorities } from "./authority-values";
import { RemoteScript } from "../hosts/remote-script";
import { joinSeconds, type Member, nodeVariables, workerToken } from "./member";

export interface AdmitWorkersArgs {
  config: ClusterConfig;
  /** A control plane that is in. */
  by: Member;
  /** The workers that may join. */
  joiners: readonly Member[];
  authorities: pulumi.Output<Authorities>;
}

/**
 * Opens the cluster to the named workers for as long as they take, each by a token of its own, and revokes the tokens after. It runs beside the joins,
 * not before them: a run that is killed leaves no admission in the state, and the next one opens the door anew, where a
 * token minted in a resource of its own would have run out.
 */
export function admitWorkers(name: string, args: AdmitWorkersArgs, opts: pulumi.CustomResourceOptions): RemoteScript {
  return new RemoteScript(
    name,
    {
      host: args.by.host,
      stage: "admit",
      variables: {
        ...nodeVariables(args.config, args.by),
        TK_JOINERS: pulumi
          .all(args.joiners.map((joiner) => joiner.membershipId))
          .apply((ids) => ids.map((membershipId, i) => `${args.joiners[i]!.node.name}=${membershipId}`).join(" ")),
        TK_JOINER_ADDRESSES: pulumi
          .all(args.joiners.map((joiner) => joiner.address))
          .apply((addresses) => addresses.map((address, i) => `${args.joiners[i]!.node.name}=${address}`).join(" ")),
        TK_TOKENS: pulumi
          .all(args.joiners.map((joiner) => workerToken(joiner, args.authorities)))
          .apply((tokens) => tokens.map((token, i) => `${args.joiners[i]!.node.name}=${token}`).join(" ")),
        TK_JOIN_SECONDS: `${joinSeconds}`,
      },
      timeoutSeconds: joinSeconds + 300,
    },
    opts,
  );
}
