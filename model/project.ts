/** Paths of the project as providers take them: the engine starts them in the folder of Pulumi.yaml's `main`, which is program/. */
import { isAbsolute, join } from "node:path";

/** The project's folder, where Pulumi.yaml is. Relative, so that a stack's state is the same wherever the project lies. */
export const projectFolder = "..";

/** A path that a user wrote, which is absolute or relative to the project. */
export const inProject = (path: string) => (isAbsolute(path) ? path : join(projectFolder, path));
