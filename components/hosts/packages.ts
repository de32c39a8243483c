import type { ClusterConfig, PackageMirrorName } from "../../model/config";

/** The variables with the mirrors of these projects' packages; empty for the official servers. */
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
