/** What a rule between the keys of a config is given, and what it returns. */
import type { ClusterConfig, Secrets } from "../../model/config";
import type { Problem } from "../../model/problem";
import type { StackValues } from "../schema/stack";
import type { ReadFile } from "../source";

export interface Given {
  /** What the program would work with. */
  config: ClusterConfig;
  /** What of it the user has written, with defaults. */
  values: StackValues;
  secrets: Secrets;
  readFile: ReadFile;
}

/** Each problem names the keys that it rests on (`about`), for these may be wrong: then they have a default or a stand-in. */
export type Rule = (given: Given) => Problem[];
