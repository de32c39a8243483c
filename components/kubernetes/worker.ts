import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { joinKubeconfig } from "../../model/kubeconfig";
import type { Authorities } from "./authority-values";
import { remoteScript } from "../hosts/remote-script";
import { endpointAdvice, joinDocument, kubeadmSeconds, type Member, nodeVariables, workerToken } from "./member";
import { nodeSecurityVariables } from "./hardening/variables";
import { kubeletSettingsVariables } from "./settings/variables";

export interface JoinWorkerArgs {
  config: ClusterConfig;
  member: Member;
  authorities: pulumi.Output<Authorities>;
}

export interface JoinedWorker {
  resource: pulumi.Resource;
  /** The node's own part of the pod CIDR. */
  podCidr: pulumi.Output<string>;
}

/** `kubeadm join` of a worker, through the endpoint, with its own token, which the parallel admission makes valid. */
export function joinWorker(name: string, args: JoinWorkerArgs, opts: pulumi.CustomResourceOptions): JoinedWorker {
  const { config, member } = args;
  const script = remoteScript(
    name,
    {
      host: member.host,
      stage: "join",
      variables: {
        ...nodeVariables(config, member),
        ...nodeSecurityVariables(config, member.node),
        ...kubeletSettingsVariables(config, member.node),
        TK_ENDPOINT_ADVICE: endpointAdvice(config),
        TK_MARK: member.membershipId,
        // host/stages/admit.sh waits for twelve beats.
        TK_BEAT_SECONDS: "10",
        TK_DISCOVERY: pulumi
          .all([args.authorities, workerToken(member, args.authorities)])
          .apply(([{ caCrt }, token]) => joinKubeconfig(config, caCrt, token)),
        TK_KUBEADM_DOCUMENT: joinDocument(config, member),
      },
      timeoutSeconds: kubeadmSeconds + 740,
    },
    opts,
  );
  return {
    resource: script,
    podCidr: script.result.apply((r) => r.podCidr ?? ""),
  };
}
