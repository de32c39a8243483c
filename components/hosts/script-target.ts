import type { types } from "@pulumi/command";
import type * as pulumi from "@pulumi/pulumi";

/** How OpenSSH's client reaches a host that needs more than an address and a key. */
export interface OpenSshAccess {
  /** ssh's configuration, from `wayText`. */
  way: pulumi.Input<string>;
  /** Keys and passwords, from `secretLines`. Secret. */
  secretLines: pulumi.Input<string>;
  /** Whether sudo gets a password. */
  hasSudoPassword: boolean;
}

/** What a RemoteScript needs from a host, of any kind. */
export interface ScriptTarget {
  /** Node name. */
  readonly name: string;
  readonly connection: pulumi.Input<types.input.remote.ConnectionArgs>;
  /** Changes if the node gets a new machine. */
  readonly identity: pulumi.Input<string>;
  /** Login user; any other than root uses sudo. */
  readonly user: string;
  /** If OpenSSH's client makes the connections, how. */
  readonly openssh?: OpenSshAccess;
  /** The machine, if it is a resource of the stack: everything on it is deleted with it. */
  readonly deletedWith?: pulumi.Resource;
}
