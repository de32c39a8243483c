/**
 * Stages as they travel and as the stack's state keeps them: packed, because every run without changes sends each text between the engine,
 * the provider and the program several times, and encrypts it.
 */
import { bareCode } from "./bare-code";
import { checksCommand } from "./checks-command";
import { keepPacked, pack, type Packed, packedFile, readPacked, sha256 } from "./packing";
import {
  approverScript,
  balancerWatchScript,
  endpointWatchScript,
  networkScript,
  scriptText,
  vipWatchScript,
} from "./script-text";
import { assignments, type Stage, stages, stageText, type StageScript, stageVariables } from "./stages";

/** The scripts that stages get in variables and install, with their comments. Those that are left out are short. */
const installed = () => [
  networkScript(),
  endpointWatchScript(),
  vipWatchScript(),
  balancerWatchScript(),
  approverScript(),
  checksCommand(),
  ...["guard", "routes", "etcd", "probe", "offload", "udp-gro"].map((name) => scriptText(`installed/${name}.sh`)),
];

/** A text of host/, which never holds a secret, and what makes the text that is packed. */
interface Fixed {
  text: string;
  form: "bare" | "whole";
}

const keyOf = ({ text, form }: Fixed) => sha256(`${form}\n${text}`);
const packFixed = ({ text, form }: Fixed) => pack(form === "bare" ? bareCode(text) : text);
const stageFixed = (stage: Stage): Fixed => ({ text: stageText(stage), form: "bare" });
const installedFixed = (text: string): Fixed => ({ text, form: "whole" });

/** All that stages have packed. */
export function packAll(): Packed {
  const all = [...stages.map(stageFixed), ...installed().map(installedFixed)];
  return Object.fromEntries(all.map((fixed) => [keyOf(fixed), packFixed(fixed)]));
}

export { packedFile };

let table: Packed | undefined;

function packed(fixed: Fixed): string {
  const key = keyOf(fixed);
  table ??= readPacked();
  if (table[key] === undefined) {
    table = packAll();
    keepPacked(table);
  }
  return table[key]!;
}

/** By text, because each is sent to several hosts. */
const memo = new Map<string, string>();

function once(text: string, make: () => string): string {
  const found = memo.get(text) ?? make();
  memo.set(text, found);
  return found;
}

let toInstall: ReadonlySet<string> | undefined;

/** The packed script if the text is one that stages install. */
function packedScript(text: string): string | undefined {
  // Shorter ones travel as they are.
  if (text.length < 2000) return undefined;
  toInstall ??= new Set(installed());
  return toInstall.has(text) ? once(text, () => packed(installedFixed(text))) : undefined;
}

const packedFiles = (stage: Stage) => once(stage, () => packed(stageFixed(stage)));

let unpackText: string | undefined;

/**
 * What `renderStdin` (stages.ts) makes, packed. Before its last line there are only definitions, and that line evaluates only what has
 * been unpacked whole. Variables that may be secret are as they are. Throws on a variable name that is not TK_[A-Z0-9_]+.
 */
export function packedStdin(script: StageScript): string {
  const names: string[] = [];
  const variables = Object.entries(stageVariables(script)).map(([name, value]): [string, string] => {
    const found = packedScript(value);
    if (found !== undefined) names.push(name);
    return [name, found ?? value];
  });
  unpackText ??= bareCode(scriptText("lib/unpack.sh"));
  return [
    ...assignments(script.stage, { ...Object.fromEntries(variables), TK_PACKED: packedFiles(script.stage) }),
    unpackText,
    `unpack ${[...names, "TK_PACKED"].join(" ")}; eval "$TK_PACKED"; main "$1" </dev/null`,
    "",
  ].join("\n");
}
