import { getAvailabilityZonesOutput } from "@pulumi/aws/getAvailabilityZones";
import { InternetGateway, KeyPair, Route, RouteTable, RouteTableAssociation, Subnet, Vpc } from "@pulumi/aws/ec2";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, Ec2Config } from "../../../model/config";
import { securityGroupArgs, securityGroupRules } from "./security-group-rules";
import { authorizedKey } from "../../../model/ssh-key";
import { zoneSubnets } from "./zones";
import { Ec2SecurityGroup } from "./security-group";

export interface Ec2NetworkArgs {
  config: ClusterConfig;
  ec2: Ec2Config;
  privateKey: pulumi.Output<string>;
}

/** What the hosts on EC2 share: a VPC with subnets, new or existing, the security group and the key pair. */
export class Ec2Network extends pulumi.ComponentResource {
  /** One per zone. */
  public readonly subnetIds: pulumi.Output<string>[];
  public readonly securityGroupId: pulumi.Output<string>;
  public readonly keyName: pulumi.Output<string>;

  constructor(name: string, { config, ec2, privateKey }: Ec2NetworkArgs, opts: pulumi.ComponentResourceOptions) {
    super("tailkube:ec2:Network", name, {}, opts);
    // A component does not pass its dependsOn to its children.
    const below = { parent: this, dependsOn: opts.dependsOn };
    const { vpcId, subnetIds } =
      ec2.given === undefined
        ? this.makeVpc(name, config.clusterName, ec2.vpcCidr, below)
        : { vpcId: pulumi.output(ec2.given.vpcId), subnetIds: ec2.given.subnetIds.map((id) => pulumi.output(id)) };
    this.subnetIds = subnetIds;
    this.securityGroupId = new Ec2SecurityGroup(
      name,
      {
        vpcId,
        clusterName: config.clusterName,
        rules: securityGroupRules(securityGroupArgs(config, ec2)),
      },
      below,
    ).groupId;
    this.keyName = new KeyPair(
      `${name}-key`,
      { publicKey: pulumi.unsecret(privateKey.apply((key) => authorizedKey(key)!)) },
      below,
    ).keyName;
    this.registerOutputs({ subnetIds: this.subnetIds });
  }

  // Public subnets: hosts need a way out, and a NAT gateway costs more than a small cluster.
  private makeVpc(name: string, clusterName: string, vpcCidr: string, below: pulumi.CustomResourceOptions) {
    const tags = { Name: clusterName };
    const vpc = new Vpc(`${name}-vpc`, { cidrBlock: vpcCidr, tags }, below);
    const gateway = new InternetGateway(`${name}-gateway`, { vpcId: vpc.id, tags }, below);
    const routes = new RouteTable(`${name}-routes`, { vpcId: vpc.id, tags }, below);
    new Route(
      `${name}-internet`,
      { routeTableId: routes.id, destinationCidrBlock: "0.0.0.0/0", gatewayId: gateway.id },
      below,
    );
    const zones = getAvailabilityZonesOutput(
      { state: "available", filters: [{ name: "zone-type", values: ["availability-zone"] }] },
      { parent: this },
    ).names;
    const subnetIds = zoneSubnets(vpcCidr).map((cidrBlock, i) => {
      const subnet = new Subnet(
        `${name}-subnet-${i + 1}`,
        {
          vpcId: vpc.id,
          cidrBlock,
          // Some regions have only two zones.
          availabilityZone: zones.apply((names) => names[i % names.length]!),
          tags: { Name: `${clusterName}-${i + 1}` },
        },
        // A new zone in the region must not move existing subnets.
        { ...below, ignoreChanges: ["availabilityZone"] },
      );
      new RouteTableAssociation(
        `${name}-subnet-${i + 1}-routes`,
        { subnetId: subnet.id, routeTableId: routes.id },
        below,
      );
      return subnet.id;
    });
    return { vpcId: vpc.id, subnetIds };
  }
}
