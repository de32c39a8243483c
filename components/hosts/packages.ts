/** Where hosts find packages. */
import type { ClusterConfig, PackageMirrorName } from "../../model/config";

/** Where the scripts find these projects' packages; empty: at the official place. */
export function packageVariables(
  { mirrors }: ClusterConfig,
  ...names: readonly PackageMirrorName[]
): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => [
      [`TK_PACKAGES_${name.toUpperCase()}`, mirrors.packages[name]?.url ?? ""],
      [`TK_PACKAGES_${name.toUpperCase()}_KEY`, mirrors.packages[name]?.keyUrl ?? ""],
    ]),
  );
}
