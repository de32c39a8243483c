/** Rules between mirrors and other keys. */
import { credentialsOf, hostOf } from "../../components/kubernetes/registries";
import { valueText } from "../../model/messages";
import type { Problem } from "../../model/problem";
import type { Given } from "./rule";

export function mirrorProblems({ config, secrets, values }: Given): Problem[] {
  const { mirrors, bundle, cilium } = config;
  const problems: Problem[] = [];
  const [first] = Object.keys(mirrors.packages);
  if (bundle !== undefined && first !== undefined) {
    const wrong = "it cannot be set together with bundle, which contains the packages";
    problems.push({ path: `mirrors.packages.${first}`, wrong, fix: "Remove one of the two." });
  }
  if (cilium.chart !== undefined && mirrors.charts !== undefined) {
    const wrong = "cannot be set together with cilium.chart";
    problems.push({ path: "mirrors.charts.url", got: mirrors.charts.url, wrong, fix: "Remove one of the two." });
  }
  mirrors.registries.forEach(({ name }, i) => {
    const same = mirrors.registries.findIndex((one) => one.name === name);
    if (same === i) return;
    problems.push({
      path: `mirrors.registries[${i}].name`,
      got: name,
      wrong: `is already the name of mirrors.registries[${same}]`,
      fix: "Put all endpoints into one of the two.",
      about: [`mirrors.registries[${same}].name`],
    });
  });
  return [...problems, ...credentialProblems(values.mirrors.registries, secrets.registryCredentials ?? "")];
}

/** Each line of credentials is for an endpoint, and no password is sent unencrypted. */
function credentialProblems(
  registries: Given["values"]["mirrors"]["registries"],
  registryCredentials: string,
): Problem[] {
  const credentials = credentialsOf(registryCredentials) ?? new Map<string, string>();
  const all = registries.flatMap(({ endpoints, caFile }, i) =>
    endpoints.map((endpoint, j) => ({ endpoint, caFile, key: `mirrors.registries[${i}].endpoints[${j}]` })),
  );
  const hosts = new Set(all.map(({ endpoint }) => hostOf(endpoint)));
  const plain = all.filter(
    ({ endpoint, caFile }) =>
      endpoint.startsWith("http://") && (credentials.has(hostOf(endpoint)) || caFile !== undefined),
  );
  return [
    ...plain.map(({ endpoint, caFile, key }) => ({
      path: key,
      got: endpoint,
      wrong:
        caFile === undefined ? "would send the password in registryCredentials unencrypted" : "does not use caFile",
      allowed: "an https URL",
      fix: "Use https.",
    })),
    ...[...credentials.keys()]
      .filter((host) => !hosts.has(host))
      .map((host) => ({
        path: "registryCredentials",
        wrong: `it has a line for ${valueText(host)}, which is not the host of any endpoint`,
        allowed: [...hosts].join(", ") || "no line without mirrors.registries",
        fix: "Correct the line, or remove it.",
        about: ["mirrors.registryCredentialsFile", "mirrors.registries", ...all.map(({ key }) => key)],
      })),
  ];
}
