/** `tailkube ssh`. */
import { shellQuote } from "../components/hosts/script-text";
import { session } from "./reach";
import type { Node } from "./stack";

/** One word is for the host's shell, as with ssh; several are a command and its arguments, as they are. */
export const remoteCommand = (words: readonly string[]): string =>
  words.length === 1
    ? words[0]!
    : words.map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : shellQuote(word))).join(" ");

export const ssh = (node: Node, words: readonly string[]): Promise<number> => session(node, remoteCommand(words));
