/** The input and output of a rule between several keys of a config. */
import type { ClusterConfig, Secrets } from "../../model/config";
import type { Problem } from "../../model/problem";
import type { StackValues } from "../schema/stack";
import type { ReadFile } from "../source";

export interface Given {
  /** What the program works with. */
  config: ClusterConfig;
  /** What the user has written, with defaults. */
  values: StackValues;
  secrets: Secrets;
  readFile: ReadFile;
}

/** Each problem names the keys that it depends on (`about`): one that is wrong has a default or a stand-in as its value. */
export type Rule = (given: Given) => Problem[];
