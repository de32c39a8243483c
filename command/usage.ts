/** `tailkube --help`. */
export const usage = `Looks into a cluster of tailkube and its hosts, by SSH and by the stack's outputs. It changes nothing on them.

usage: tailkube COMMAND [OPTIONS]

  status [--json]                problems and their fixes, then nodes, versions, certificates, etcd, endpoint, disks
  checks [-- OPTIONS]            run the checks of pulumi up on the first control plane that answers
  ssh NODE [-- COMMAND...]       log in to a host, or run a command there; one argument is a line for its shell
  kubeconfig [--direct]          print the administrator's kubeconfig; --direct: for the first control plane
  kubeconfig --merge [--use]     merge it into the first file of $KUBECONFIG, or ~/.kube/config; --use: as current context
  etcd snapshot [FILE]           take a snapshot and download it
  etcd list [--json]             list the snapshots on the control planes
  support [--output FILE]        write a tar.gz with status and logs, without secrets

options of all commands
  --stack NAME    the stack; default: the selected one
  --cwd FOLDER    the folder of Pulumi.yaml; default: this one
  --access NAME   the stack's output with the cluster's access; default: access
options of support
  --config-file FILE  the stack's config, as for pulumi up; its secrets are removed from the bundle
options of kubeconfig
  --name NAME     of cluster, user and context; default: the cluster's name

exit status: 0 all is well, 1 something is wrong or failed, 2 wrong usage, 3 the stack or its hosts could not be asked
`;
