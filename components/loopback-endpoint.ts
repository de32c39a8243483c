import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../config/schema";
import { scriptText } from "../scripts/render";
import { HostScript, type ScriptTarget } from "./host-script";

export interface LoopbackEndpointArgs {
  host: ScriptTarget;
  endpoint: ClusterConfig["endpoint"];
}

/**
 * The API endpoint on a control plane's loopback and its /32 advertised to the tailnet, both for as long as the host's own
 * API server is ready: a unit on the host watches it.
 */
export class LoopbackEndpoint extends pulumi.ComponentResource {
  constructor(name: string, args: LoopbackEndpointArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:endpoint:Loopback", name, {}, opts);
    new HostScript(
      `${name}-endpoint`,
      {
        host: args.host,
        stage: "endpoint",
        files: ["endpoint.sh"],
        variables: {
          TK_ENDPOINT: args.endpoint.address,
          TK_ENDPOINT_PORT: `${args.endpoint.port}`,
          TK_HOST_ENDPOINT: scriptText("host/endpoint.sh"),
        },
        removable: true,
        timeoutSeconds: 120,
      },
      { parent: this, dependsOn: opts?.dependsOn },
    );
    this.registerOutputs();
  }
}
