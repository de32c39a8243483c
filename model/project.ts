/** Paths in the user's project for providers, which the engine starts in the folder of Pulumi.yaml's `main`. */
import { isAbsolute } from "node:path";

let folder = ".";

/** The project's folder for providers. Relative, so that the state does not depend on the project's location. */
export const projectFolder = () => folder;

/** Call it first if `main` is not in the project's folder: the relative path from there to the project. */
export function setProjectFolder(fromMain: string): void {
  folder = fromMain;
}

/** A user's path, absolute or relative to the project, for providers. */
export const inProject = (path: string) => (isAbsolute(path) ? path : `${folder}/${path}`);
