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

/** How such a command reaches a host, and what it runs there; some may be known only during a run. */
export interface OperatorConnection<T> {
  node: string;
  address: T;
  port: T;
  user: string;
  /** Public host key: its type and its base64 text. */
  hostKey: T;
  /** ssh's own configuration for the host, if it has any. */
  way: T | undefined;
  command: string;
  /** What runs a script on the host. */
  shell: string;
}

/** The environment of such a command: its script, `file` below host/ after what it needs, and what host/operator/ssh.sh is given. */
export function operatorEnvironment<T>(
  file: `operator/${string}.sh`,
  { node, address, port, user, hostKey, way, command, shell }: OperatorConnection<T>,
) {
  const files = [
    ...(way !== undefined ? ["operator/ssh-config.sh"] : []),
    "operator/answers.sh",
    "operator/ssh.sh",
    file,
  ];
  return {
    TAILKUBE_SCRIPT: files.map(scriptText).join("\n"),
    TAILKUBE_NODE: node,
    TAILKUBE_HOST: address,
    TAILKUBE_PORT: port,
    TAILKUBE_USER: user,
    TAILKUBE_HOST_KEY: hostKey,
    TAILKUBE_COMMAND: command,
    TAILKUBE_SHELL: shell,
    ...(way !== undefined && { TAILKUBE_WAY: way }),
  };
}

/** What its stdin begins with: the private key or, with a way, `secretLines`; then an empty line. */
export function loginText(login: { privateKey: string } | { secretLines: string }): string {
  return "secretLines" in login ? `${login.secretLines}\n` : `${login.privateKey.trim()}\n\n`;
}
