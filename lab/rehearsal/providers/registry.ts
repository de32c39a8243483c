/** Which resource types are performed, and by what. */
import { HelmRelease, RELEASE_TYPE } from "../kubernetes/release";
import { KubernetesObject } from "../kubernetes/object";
import { isProviderType, packageOf } from "../urn";
import type { Props } from "../values";
import { LocalCommand } from "./localCommand";
import type { Performer } from "./provider";
import { ProviderResource } from "./providerResource";
import { RemoteCommand } from "./remoteCommand";

/** `pulumi` is built into the engine; what it reads is not performed here. */
const PACKAGES = ["command", "kubernetes", "pulumi"];

/** Throws when the type is not performed, and says so. */
export function assertPerformed(type: string): void {
  performerFor(type, {});
}

/**
 * What performs resources of the type.
 * @param config the inputs of the resource's provider
 */
export function performerFor(type: string, config: Props): Performer {
  if (isProviderType(type) && PACKAGES.includes(packageOf(type))) return new ProviderResource(packageOf(type));
  if (type === "command:local:Command") return new LocalCommand();
  if (type === "command:remote:Command") return new RemoteCommand();
  if (type === RELEASE_TYPE) return new HelmRelease(config);
  if (KubernetesObject.performs(type)) return new KubernetesObject(type, config);
  throw new Error(`the rehearsal engine does not support resources of type ${type}`);
}
