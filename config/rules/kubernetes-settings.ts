/** Rules for Kubernetes' own settings: none may contradict what the cluster depends on, and none may be without effect. */
import {
  type ComponentKey,
  componentOf,
  components,
  extraFileKey,
  extraFilePath,
  securityFolder,
} from "../../components/kubernetes/settings/components";
import { etcdTiming, isTiming, timingOf, timingProblem } from "../../components/kubernetes/settings/etcd-timing";
import { pinnedArgument } from "../../components/kubernetes/settings/pinned-arguments";
import { pinnedKubeletFields } from "../../components/kubernetes/settings/pinned-kubelet-fields";
import { certificatesIn } from "../../model/certificates";
import type { Values } from "../../model/merge";
import type { Path, Problem } from "../../model/problem";
import { laterContent } from "../schema/stand-ins";
import { writtenComponent } from "../kubernetes-settings";
import type { Given } from "./rule";

export function kubernetesSettingsProblems(given: Given): Problem[] {
  return [
    ...components.flatMap(({ key }) => [...argumentProblems(given, key), ...fileProblems(given, key)]),
    ...timingProblems(given),
    ...gateProblems(given),
    ...kubeletProblems(given),
    ...oidcProblems(given),
  ];
}

/** The config keys that the pins depend on. */
const about = ["security", "nodeNetwork"];

function argumentProblems({ config, values }: Given, key: ComponentKey): Problem[] {
  return writtenComponent(values, key).extraArgs.flatMap((argument, i): Problem[] => {
    const at = { path: ["kubernetes", key, "extraArgs", i], got: `--${argument.name}=${argument.value}` };
    const pin = pinnedArgument(key, argument, config);
    if (pin !== undefined) {
      return [{ ...at, wrong: `conflicts with what the cluster depends on: ${pin.why}`, fix: pin.fix, about }];
    }
    return missingFiles(config.settings?.[key].extraFiles ?? [], key, argument.value).map((path) => ({
      ...at,
      wrong: `names ${path}, which the program does not write`,
      allowed: `${securityFolder}/${componentOf(key).folder}/ and the name of one of kubernetes.${key}.extraFiles`,
      fix: "Add the file there, or correct the path.",
    }));
  });
}

/** Paths in a text that are in a component's folder, but of none of its files. */
function missingFiles(names: readonly string[], key: ComponentKey, text: string): string[] {
  const found = text.match(new RegExp(`${securityFolder}/[A-Za-z0-9._/-]*`, "g")) ?? [];
  const known = new Set(names.map((name) => extraFilePath(key, name)));
  return found.filter((path) => !known.has(path));
}

function fileProblems({ config, values, secrets }: Given, key: ComponentKey): Problem[] {
  const { extraArgs, extraFiles = [] } = writtenComponent(values, key);
  const names = config.settings?.[key].extraFiles ?? [];
  return extraFiles.flatMap(({ name }, i): Problem[] => {
    const path = ["kubernetes", key, "extraFiles", i, "name"];
    const same = names.indexOf(name);
    if (same < i) {
      const wrong = `is already the name of kubernetes.${key}.extraFiles[${same}]`;
      return [{ path, got: name, wrong, fix: "Rename one of the two." }];
    }
    const file = extraFilePath(key, name);
    const others = names.filter((one) => one !== name).map((one) => secrets.extraFiles?.[extraFileKey(key, one)] ?? "");
    if (
      [...extraArgs.map(({ value }) => value), ...others].some((text) => text === laterContent || text.includes(file))
    )
      return [];
    const wrong = `has no effect, because neither an argument of kubernetes.${key}.extraArgs nor another of its files names it`;
    const fix = `Name it as ${file}, or remove it.`;
    return [{ path, got: name, wrong, fix, about: [["kubernetes", key, "extraArgs"]] }];
  });
}

/** etcd's time-outs follow from one key or from the other, and etcd must start with them. */
function timingProblems({ config, values }: Given): Problem[] {
  const { extraArgs, roundTripMilliseconds: roundTrip } = values.kubernetes.etcd;
  const own = extraArgs.flatMap((argument, i) => (isTiming(argument) ? [{ ...argument, i }] : []));
  const at = ({ name, value, i }: (typeof own)[number]) => ({
    path: ["kubernetes", "etcd", "extraArgs", i],
    got: `--${name}=${value}`,
  });
  if (roundTrip !== undefined) {
    const { heartbeat, election } = etcdTiming(roundTrip);
    return own.map((argument) => ({
      ...at(argument),
      wrong: `conflicts with kubernetes.etcd.roundTripMilliseconds: ${roundTrip}, from which a heartbeat of ${heartbeat} ms and an election time-out of ${election} ms follow`,
      fix: "Remove one of the two.",
      about: ["kubernetes.etcd.roundTripMilliseconds"],
    }));
  }
  const timing = timingOf(config.settings);
  const wrong = timing && timingProblem(timing);
  if (wrong === undefined || own.length === 0) return [];
  const { heartbeat, election } = timing!;
  return [
    {
      ...at(own[own.length - 1]!),
      wrong: `makes a heartbeat of ${heartbeat} ms and an election time-out of ${election} ms, but ${wrong}`,
      fix: "Correct the value, or set kubernetes.etcd.roundTripMilliseconds instead.",
    },
  ];
}

/** One gate has one value in each process. */
function gateProblems({ config: { settings }, values }: Given): Problem[] {
  if (settings === undefined) return [];
  return components.flatMap(({ key }) =>
    writtenComponent(values, key).extraArgs.flatMap(({ name, value }, i): Problem[] => {
      if (name !== "feature-gates" || key === "etcd") return [];
      const twice = value
        .split(",")
        .map((one) => one.split("="))
        .find(([gate = "", is]) => gate in settings.featureGates && String(settings.featureGates[gate]) !== is);
      if (twice === undefined) return [];
      return [
        {
          path: ["kubernetes", key, "extraArgs", i],
          got: `--${name}=${value}`,
          wrong: `conflicts with kubernetes.featureGates.${twice[0]}`,
          fix: "Remove one of the two.",
          about: ["kubernetes.featureGates"],
        },
      ];
    }),
  );
}

function kubeletProblems({ config, values }: Given): Problem[] {
  const all: { fields: Values; path: Path }[] = [
    { fields: values.kubernetes.kubelet, path: ["kubernetes", "kubelet"] },
    ...config.nodes.map(({ kubelet = {} }, i) => ({ fields: kubelet, path: ["nodes", i, "kubelet"] })),
  ];
  return all.flatMap(({ fields, path }) =>
    pinnedKubeletFields(fields).map((one) => ({
      path: [...path, ...one.path],
      got: one.got,
      wrong: `conflicts with what the cluster depends on: ${one.pin.why}`,
      fix: one.pin.fix,
    })),
  );
}

function oidcProblems({ values }: Given): Problem[] {
  const issuers = values.kubernetes.oidc;
  return issuers.flatMap(({ issuerUrl, ca }, i): Problem[] => {
    const same = issuers.findIndex((one) => one.issuerUrl === issuerUrl);
    return [
      ...(same < i
        ? [
            {
              path: ["kubernetes", "oidc", i, "issuerUrl"],
              got: issuerUrl,
              wrong: `is already the issuer of kubernetes.oidc[${same}], and the API server accepts each only once`,
              fix: "Put all audiences into one of the two.",
            },
          ]
        : []),
      ...(ca !== undefined && !areCertificates(ca)
        ? [
            {
              path: ["kubernetes", "oidc", i, "ca"],
              wrong: "it is not PEM with certificates alone",
              allowed: "CA certificates, PEM",
              fix: "Correct it in the stack's config.",
            },
          ]
        : []),
    ];
  });
}

/** Whether a text has certificates, and nothing else. */
function areCertificates(text: string): boolean {
  const found = certificatesIn(text);
  return found !== undefined && found.reduce((rest, one) => rest.replace(one, ""), text).trim() === "";
}
