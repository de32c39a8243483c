import * as pulumi from "@pulumi/pulumi";
import { scriptText } from "../scripts/render";
import { HostScript, type ScriptTarget } from "./host-script";

export interface LoopbackEndpointArgs {
  host: ScriptTarget;
  /** IPv4 address of the API endpoint. */
  address: string;
}

/** The API endpoint on a control plane's loopback, over reboots, and its /32 advertised to the tailnet. */
export class LoopbackEndpoint extends pulumi.ComponentResource {
  constructor(name: string, args: LoopbackEndpointArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:endpoint:Loopback", name, {}, opts);
    new HostScript(
      `${name}-endpoint`,
      {
        host: args.host,
        stage: "endpoint",
        files: ["endpoint.sh"],
        variables: { TK_ENDPOINT: args.address, TK_HOST_ENDPOINT: scriptText("host/endpoint.sh") },
        removable: true,
        timeoutSeconds: 120,
      },
      { parent: this, dependsOn: opts?.dependsOn },
    );
    this.registerOutputs();
  }
}
