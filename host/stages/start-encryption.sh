# shellcheck shell=bash
# requires: lib/security/api-server-files
# Stage start-encryption, on each control plane of a cluster that is older than the encryption of its Secrets, when all of them
# can read encrypted ones: from here on it writes as wanted. The API server reloads the file by itself.

apply() {
    api_server_file encryption.yaml "$TK_ENCRYPTION"
    retry 120 "the API does not take the note encryption-key on the namespace kube-system" write_cluster_note encryption-key "$TK_ENCRYPTION_KEY"
    result
}
