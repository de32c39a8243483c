import { stringify } from "yaml";
import type { HostKey } from "../../../model/ssh-key";

/**
 * User data with a machine's first host key, so that the first connection can verify it. The image's own user gets the key pair's
 * public key from AWS. Secret, because it contains the private host key.
 */
export function userData(hostKey: HostKey): string {
  const config = {
    ssh_deletekeys: true,
    // With these keys, cloud-init generates no others (its module cc_ssh).
    ssh_keys: { ecdsa_private: hostKey.privateKey, ecdsa_public: hostKey.publicKey },
    ssh_pwauth: false,
    disable_root: true,
  };
  return `#cloud-config\n${stringify(config, { lineWidth: 0 })}`;
}
