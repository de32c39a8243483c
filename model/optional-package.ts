import { userError } from "./report";

/**
 * Loads a package that only some clusters need and that their users must install.
 *
 * @param use what needs it, as the start of a sentence.
 */
export function optionalPackage<T>(name: string, use: string, load: () => T): T {
  try {
    return load();
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    if (code !== "MODULE_NOT_FOUND" || !message.includes(`'${name}`)) throw error;
    throw userError(`${use} needs the package ${name}, which is not installed. Install it: npm install ${name}`);
  }
}
