import { scriptText } from "./script-text";
import { stageCommand } from "./stages";

/**
 * /usr/local/lib/tailkube/checks on control planes: the checks of `up` without Pulumi, with the values that the last run noted in the
 * cluster. host/stages/control-plane.sh adds the node's name, so that the text is the same for all.
 */
export const checksCommand = () =>
  stageCommand("checks-command.sh", "check-cluster", { TK_PROBE: scriptText("installed/probe.sh") });
