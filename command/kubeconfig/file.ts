/** The user's kubeconfig file: found and locked as kubectl does it, and replaced as a whole. */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { parse } from "yaml";
import { Failure } from "../failure";
import { writeNew } from "../files";
import { merged, type Merged, MergeError, type MergeOptions } from "./merge";

/** The files of $KUBECONFIG, or the one in the home. */
export function kubeconfigFiles(environment: NodeJS.ProcessEnv = process.env): string[] {
  const files = (environment.KUBECONFIG ?? "").split(delimiter).filter((file) => file !== "");
  return files.length > 0 ? [...new Set(files)] : [join(environment.HOME ?? homedir(), ".kube", "config")];
}

/** Merges the cluster into that of the files which has its context, or else into the first. */
export async function mergeInto(
  files: readonly string[],
  kubeconfig: string,
  options: MergeOptions,
): Promise<Merged & { file: string }> {
  const file = files.find((one) => hasName(one, options.name)) ?? files[0]!;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // A link, such as one into a folder of dotfiles, stays.
  const target = existsSync(file) ? realpathSync(file) : file;
  return locked(target, () => {
    try {
      const result = merged(existsSync(target) ? readFileSync(target, "utf8") : "", kubeconfig, options);
      writeNew(target, result.text);
      return { ...result, file };
    } catch (error) {
      if (error instanceof MergeError) throw new Failure(`${file}: ${error.message}. Nothing was changed`);
      throw error;
    }
  });
}

/** Whether the file has an entry of that name. An unreadable one has none: the merge says what is wrong with it. */
function hasName(file: string, name: string): boolean {
  try {
    const data = parse(readFileSync(file, "utf8")) as Record<string, { name?: string }[] | null> | null;
    return ["contexts", "clusters", "users"].some((kind) => data?.[kind]?.some((one) => one?.name === name));
  } catch {
    return false;
  }
}

/** kubectl's own lock. */
async function locked<T>(file: string, work: () => T): Promise<T> {
  const lock = `${file}.lock`;
  for (let tries = 0; ; tries++) {
    try {
      closeSync(openSync(lock, "wx", 0o600));
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      if (tries === 50)
        throw new Failure(`${lock} is there: another program changes the file. If none does, remove ${lock}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  }
  try {
    return work();
  } finally {
    rmSync(lock, { force: true });
  }
}
