/** `command:remote:Command`: commands on other machines, over SSH. */
import { isPlainObject, Props, reveal, secret, UNKNOWN } from "../values";
import { Command, CommandResult, CommandRun } from "./command";
import { allowOnly, readNumber, readObject, readString, mapMembers, withDefaults } from "./inputs";
import type { OperationContext } from "./provider";
import { Connection, dial, execute } from "./ssh";

const CONNECTION_INPUTS = [
  "host",
  "port",
  "user",
  "password",
  "privateKey",
  "privateKeyPassword",
  "hostKey",
  "agentSocketPath",
  "dialErrorLimit",
  "perDialTimeout",
];
/** Secret even within the connection, which is secret as a whole. */
const SECRET_MEMBERS = ["password", "privateKey", "privateKeyPassword"];
const CONNECTION_DEFAULTS = { port: 22, user: "root", dialErrorLimit: 10, perDialTimeout: 15 };

export class RemoteCommand extends Command {
  protected readonly ownInputs = ["connection"];

  override check(inputs: Props, olds: Props | undefined, name: string): Props {
    const result = super.check(inputs, olds, name);
    if (result.connection === undefined) throw new Error(`command "${name}": connection is missing`);
    const plain = reveal(result.connection);
    if (isPlainObject(plain)) {
      allowOnly(plain, CONNECTION_INPUTS, `command "${name}": connection`);
      if (plain.host !== UNKNOWN && !readString(plain, "host")) {
        throw new Error(`command "${name}": connection.host is missing`);
      }
    }
    const connection = withDefaults(result.connection, CONNECTION_DEFAULTS);
    return { ...result, connection: secret(mapMembers(connection, SECRET_MEMBERS, secret)) };
  }

  protected async run(inputs: Props, run: CommandRun, context: OperationContext): Promise<CommandResult> {
    const client = await dial(connectionOf(inputs), run.signal, (message) => context.warn(message));
    try {
      return await execute(client, run);
    } finally {
      client.end();
    }
  }
}

function connectionOf(inputs: Props): Connection {
  const props = readObject(inputs, "connection")!;
  return {
    host: readString(props, "host")!,
    port: readNumber(props, "port") ?? CONNECTION_DEFAULTS.port,
    user: readString(props, "user") ?? CONNECTION_DEFAULTS.user,
    password: readString(props, "password"),
    privateKey: readString(props, "privateKey"),
    privateKeyPassword: readString(props, "privateKeyPassword"),
    hostKey: readString(props, "hostKey"),
    agentSocketPath: readString(props, "agentSocketPath"),
    dialErrorLimit: readNumber(props, "dialErrorLimit") ?? CONNECTION_DEFAULTS.dialErrorLimit,
    perDialTimeout: readNumber(props, "perDialTimeout") ?? CONNECTION_DEFAULTS.perDialTimeout,
  };
}
