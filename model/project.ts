/** Paths of the user's project as providers take them: the engine starts them in the folder of Pulumi.yaml's `main`. */
import { isAbsolute } from "node:path";

let folder = ".";

/** The project's folder as providers see it. Relative, so that a stack's state is the same wherever the project lies. */
export const projectFolder = () => folder;

/** Call it before anything else where `main` is not in the project's folder: the way back from there. */
export function setProjectFolder(fromMain: string): void {
  folder = fromMain;
}

/** A path that a user wrote, which is absolute or relative to the project. */
export const inProject = (path: string) => (isAbsolute(path) ? path : `${folder}/${path}`);
