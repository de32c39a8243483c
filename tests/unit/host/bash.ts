import { spawnSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  existsSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { scriptText, shellQuote } from "../../../components/hosts/script-text";
import { withRequired } from "../../../components/hosts/stages";

export interface Finished {
  stdout: string;
  stderr: string;
  /** Exit code; undefined if a signal ended it. */
  status: number | undefined;
}

/** Runs a text as a host does: on bash's stdin, with arguments. */
export function bash(text: string, ...args: string[]): Finished {
  const { stdout, stderr, status, error } = spawnSync("bash", ["-s", "--", ...args], {
    input: text,
    encoding: "utf8",
    // A bound for what hangs, not for a machine that is busy.
    timeout: 120_000,
  });
  if (error !== undefined && (error as NodeJS.ErrnoException).code !== "EPIPE") {
    throw error;
  }
  return { stdout, stderr, status: status ?? undefined };
}

/** As `bash`, for a text that has to end well and say nothing on stderr. Returns its stdout. */
export function bashOk(text: string, ...args: string[]): string {
  const { stdout, stderr, status } = bash(text, ...args);
  if (status !== 0 || stderr !== "") {
    throw new Error(`bash ended with ${status}: ${stderr}`);
  }
  return stdout;
}

/** Bash assignments, one a line. */
export function assignments(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${shellQuote(value)}`)
    .join("\n");
}

/** The variables of Kubernetes' own settings, of a node without any. */
export const noSettings: Readonly<Record<string, string>> = Object.fromEntries(
  ["KUBELET_PATCH", "KUBELET_CHECK", "ARGUMENTS", "ETCD_ARGUMENTS", "EXTRA_FILES"].map((name) => [`TK_${name}`, ""]),
);

/** A new empty folder, gone after the running test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tailkube-test-"));
  temporaryFolders.push(folder);
  return folder;
}

const temporaryFolders: string[] = [];

/** Removes what `temporaryFolder` made; for `afterEach`. */
export function removeTemporaryFolders(): void {
  for (const folder of temporaryFolders.splice(0)) {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes a file and the folders above it. */
export function write(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, mode);
}

/** Every path below a folder with its mode and content, for a comparison. */
export function snapshot(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    entries.map((entry) => {
      const path = join(folder, entry);
      const stat = lstatSync(path);
      const mode = (stat.mode & 0o7777).toString(8);
      const content = stat.isSymbolicLink()
        ? readlinkSync(path)
        : stat.isFile()
          ? readFileSync(path, "utf8")
          : "folder";
      return [entry, `${mode} ${content}`];
    }),
  );
}

/** What the fakes on a host took notes of, a line each; none if nothing was asked of them. */
export const logOf = (root: string): string[] =>
  existsSync(`${root}/log`) ? readFileSync(`${root}/log`, "utf8").trimEnd().split("\n") : [];

/** lib/base.sh and what most other files require, in their order. */
const libraryFiles: readonly string[] = [
  ...new Set(
    ["base", "records/files", "records/folders", "software/package-repositories", "node/foreign-cluster"].flatMap(
      (name) => withRequired(`lib/${name}.sh`),
    ),
  ),
];

/** The text of `libraryFiles`, each before what requires it. */
export const libraryText = () => libraryFiles.map(scriptText).join("\n");

/** The files of a stage, or of single files with all that they require, without those that `withLibrary` has. */
export const partsOf = (...names: string[]): string[] => [
  ...new Set(
    names
      .flatMap((name) => withRequired(name.includes("/") ? name : `stages/${name}.sh`))
      .filter((file) => !libraryFiles.includes(file)),
  ),
];

/** The library of all stages with its folders moved below `root`, and then some more bash, run as the stage `stage`. */
export function withLibrary(root: string, text: string, stage = "test"): string {
  return [
    assignments({ TK_NODE: "node1", TK_STAGE: stage }),
    libraryText(),
    "set -euo pipefail",
    // Not into the journal of the machine that runs the tests.
    "logger() { :; }",
    // A clean-up that copies folders onto / would change the modes of this machine's own.
    'cp() { [ "${*: -1}" != / ] || { echo "cp onto /" >&2; return 1; }; command cp "$@"; }',
    assignments({
      TK_STATE: `${root}/var/lib/tailkube`,
      TK_ETC: `${root}/etc/tailkube`,
      TK_LIB: `${root}/usr/local/lib/tailkube`,
      TK_RUN: `${root}/run/tailkube`,
    }),
    text,
    "",
  ].join("\n");
}
