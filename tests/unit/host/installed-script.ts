/** Scripts of host/installed/ in tests. */
import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";

/** A script of host/installed/, as it is on a host, that works below `root`, with the commands in `root`/bin before all others. */
export function relocated(script: string, root: string): string {
  const text = script
    .replace(/^export PATH=(.*)$/m, `export PATH=${root}/bin:$1`)
    .replace(/(^|[\s="'.])\/(etc|usr\/local\/lib|var\/lib|run)\/tailkube/gm, `$1${root}/$2/tailkube`);
  expect(text).to.not.match(/[\s="'.]\/(etc|usr\/local\/lib|var\/lib|run)\/tailkube/);
  return text;
}

/** The lines of a file that are not empty; none if there is no such file. */
export function lines(path: string): string[] {
  return existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line !== "")
    : [];
}
