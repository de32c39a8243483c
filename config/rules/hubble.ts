/** Rules of Hubble. The conflicts with the user's own values of Cilium are found with those of the other pinned values. */
import type { Problem } from "../../model/problem";
import type { Given } from "./rule";

export function hubbleProblems({ values }: Given): Problem[] {
  const { relay, ui } = values.hubble;
  if (!ui || relay) return [];
  return [
    {
      path: "hubble.ui",
      got: true,
      wrong: "requires hubble.relay, which gives the UI its flows",
      fix: "Set hubble.relay to true, or remove the key.",
      about: ["hubble.relay"],
    },
  ];
}
