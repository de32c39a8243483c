/** The problems of a config, collected without those that only follow from others. */
import { type Key, type Path, pathOf, type Problem, problemLine } from "../model/problem";
import { ConfigError } from "../model/messages";

export class Findings {
  private readonly wrong: Path[] = [];
  /** By its line, because several rules may find the same problem. */
  private readonly found = new Map<string, Problem>();

  /** Adds the problems that depend on no wrong key, nor on anything inside one. */
  add(problems: readonly Problem[]): void {
    for (const one of problems) {
      const keys = [one.path, ...(one.about ?? [])].map(pathOf);
      if (!keys.some((key) => this.isWrong(key))) this.found.set(problemLine(one), one);
    }
  }

  /** Adds problems of single keys. Later problems that depend on these keys are dropped. */
  addWrong(problems: readonly Problem[], keys: readonly Key[] = problems.map(({ path }) => path)): void {
    this.add(problems);
    this.wrong.push(...keys.map(pathOf));
  }

  /** Throws a ConfigError if there is a problem. */
  throwAny(): void {
    if (this.found.size > 0) throw new ConfigError([...this.found.keys()]);
  }

  private isWrong(key: Path): boolean {
    return this.wrong.some((outer) => outer.every((part, i) => key[i] === part));
  }
}
