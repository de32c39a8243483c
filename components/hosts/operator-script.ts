/** Texts of the commands on the operator's machine that run scripts on hosts, by OpenSSH's client. */
import { scriptText } from "./script-text";

/** A command with root's rights for a login user. `optional`: without them if the user cannot get them. */
export function asRoot(
  { user, openssh }: { user: string; openssh?: { hasSudoPassword: boolean } | undefined },
  command: string,
  optional = false,
): string {
  // ssh-config.sh brings the password.
  if (user === "root" || openssh?.hasSudoPassword === true) return command;
  // The login shell may be one that has another `if`, such as fish or csh.
  return optional
    ? `sh -c 'if sudo -n true; then exec sudo -n ${command}; else exec ${command}; fi'`
    : `sudo -n ${command}`;
}

/** A command of the operator's shell, which ssh-agent starts: the agent ends together with it. */
export function agentCommand(openssh: boolean): string {
  const start = 'exec ssh-agent bash --norc -c "$TAILKUBE_SCRIPT"';
  // The operator's own agent, which is another one in each shell.
  return openssh ? `export TAILKUBE_AGENT="$SSH_AUTH_SOCK"; ${start}` : start;
}

/** The script of such a command: `file` below host/, after what it needs. `way`: if ssh has a configuration of its own for the host. */
export function operatorScript(file: `operator/${string}.sh`, way: boolean): string {
  const files = [...(way ? ["operator/ssh-config.sh"] : []), "operator/answers.sh", "operator/ssh.sh", file];
  return files.map(scriptText).join("\n");
}

/** What its stdin begins with: the private key or, with a way, `secretLines`; then an empty line. */
export function loginText(login: { privateKey: string } | { secretLines: string }): string {
  return "secretLines" in login ? `${login.secretLines}\n` : `${login.privateKey.trim()}\n\n`;
}
