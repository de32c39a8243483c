import { scriptText } from "./script-text";
import { stageCommand } from "./stages";

/** /usr/local/lib/tailkube/checks on a control plane: the checks of `up` without Pulumi, with the values that the last run noted in the cluster. */
export const checksCommand = (node: string) =>
  stageCommand("checks-command.sh", "check-cluster", node, { TK_PROBE: scriptText("installed/probe.sh") });
