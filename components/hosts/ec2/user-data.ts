/** What a new machine in a cloud is told at its first boot. */
import { stringify } from "yaml";
import type { HostKey } from "../../../model/ssh-key";

/**
 * User data that makes a machine reachable by SSH, and nothing more: its first host key, so that the first connection is no
 * blind one. The image's own user gets the key pair's public key from the cloud. Secret: it holds the host key's private half.
 */
export function userData(hostKey: HostKey): string {
  const config = {
    ssh_deletekeys: true,
    // With keys given, cloud-init makes none of its own (its module cc_ssh): no other can be taken for the machine's.
    ssh_keys: { ecdsa_private: hostKey.privateKey, ecdsa_public: hostKey.publicKey },
    ssh_pwauth: false,
    disable_root: true,
  };
  return `#cloud-config\n${stringify(config, { lineWidth: 0 })}`;
}
