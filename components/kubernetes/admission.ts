import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import type { Authorities } from "./authority-values";
import { type RemoteScript, remoteScript } from "../hosts/remote-script";
import { joinSeconds, type Member, nodeVariables, perMember, workerToken } from "./member";

export interface AdmitWorkersArgs {
  config: ClusterConfig;
  /** A control plane that has joined. */
  by: Member;
  /** The workers that may join. */
  joiners: readonly Member[];
  authorities: pulumi.Output<Authorities>;
}

/**
 * Admits the named workers while they join, each with its own token, and then revokes the tokens. It runs in parallel to the joins, not
 * before them: a killed run leaves no admission in the state, so the next run admits the workers again. A token from an earlier
 * resource would have expired by then.
 */
export function admitWorkers(name: string, args: AdmitWorkersArgs, opts: pulumi.CustomResourceOptions): RemoteScript {
  return remoteScript(
    name,
    {
      host: args.by.host,
      stage: "admit",
      variables: {
        ...nodeVariables(args.config, args.by),
        TK_JOINERS: perMember(args.joiners, ({ membershipId }) => membershipId),
        TK_JOINER_ADDRESSES: perMember(args.joiners, ({ address }) => address),
        TK_TOKENS: perMember(args.joiners, (joiner) => workerToken(joiner, args.authorities)),
        TK_JOIN_SECONDS: `${joinSeconds}`,
      },
      timeoutSeconds: joinSeconds + 300,
    },
    opts,
  );
}
