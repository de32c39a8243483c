import { SecurityGroup } from "@pulumi/aws/ec2";
import { SecurityGroupEgressRule, SecurityGroupIngressRule } from "@pulumi/aws/vpc";
import * as pulumi from "@pulumi/pulumi";
import type { SecurityRule } from "./security-group-rules";

export interface Ec2SecurityGroupArgs {
  vpcId: pulumi.Input<string>;
  clusterName: string;
  rules: readonly SecurityRule[];
}

/** The security group of all nodes on EC2. Each rule is a separate resource. */
export class Ec2SecurityGroup extends pulumi.ComponentResource {
  public readonly groupId: pulumi.Output<string>;

  constructor(name: string, args: Ec2SecurityGroupArgs, opts: pulumi.ComponentResourceOptions) {
    super("tailkube:ec2:SecurityGroup", name, {}, opts);
    const below = { parent: this, dependsOn: opts.dependsOn };
    const group = new SecurityGroup(
      `${name}-nodes`,
      {
        vpcId: args.vpcId,
        description: `Nodes of the Kubernetes cluster ${args.clusterName}`,
        tags: { Name: `${args.clusterName}-nodes` },
      },
      below,
    );
    this.groupId = group.id;
    for (const rule of args.rules) {
      const Rule = rule.direction === "ingress" ? SecurityGroupIngressRule : SecurityGroupEgressRule;
      new Rule(
        `${name}-${rule.name}`,
        {
          securityGroupId: group.id,
          ipProtocol: rule.protocol === "all" ? "-1" : rule.protocol,
          fromPort: rule.ports?.[0],
          toPort: rule.ports?.[1],
          ...(rule.peer === "group" ? { referencedSecurityGroupId: group.id } : { cidrIpv4: rule.peer.cidr }),
          description: rule.description,
        },
        below,
      );
    }
    this.registerOutputs({ groupId: this.groupId });
  }
}
