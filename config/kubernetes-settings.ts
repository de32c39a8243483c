/** Kubernetes' own settings of a stack's config, as the program uses them. Pure. */
import { type ComponentKey, components, extraFileKey, givenKeys } from "../components/kubernetes/settings/components";
import { timingArguments } from "../components/kubernetes/settings/etcd-timing";
import type { ComponentSettings, ExtraArgument, KubernetesSettings, OidcIssuer } from "../model/config";
import type { StackValues } from "./schema/stack";

interface WrittenComponent {
  extraArgs: ExtraArgument[];
  extraFiles?: { name: string; content: string }[];
}

/** What the config says of a component. */
export const writtenComponent = (values: Pick<StackValues, "kubernetes">, key: ComponentKey): WrittenComponent =>
  values.kubernetes[key];

/** The settings without the content of files; undefined if there are none. */
export function kubernetesSettings(values: Pick<StackValues, "kubernetes">): KubernetesSettings | undefined {
  const { kubelet, featureGates, oidc } = values.kubernetes;
  const component = (key: ComponentKey): ComponentSettings => {
    const { extraArgs, extraFiles = [] } = writtenComponent(values, key);
    return { extraArgs, extraFiles: extraFiles.map(({ name }) => name) };
  };
  const { roundTripMilliseconds: roundTrip } = values.kubernetes.etcd;
  const etcd = component("etcd");
  const settings: KubernetesSettings = {
    apiServer: component("apiServer"),
    controllerManager: component("controllerManager"),
    scheduler: component("scheduler"),
    // From here on they are arguments as a user's own: in kubeadm's documents, in what a change restarts, and in the preview.
    etcd: roundTrip === undefined ? etcd : { ...etcd, extraArgs: [...etcd.extraArgs, ...timingArguments(roundTrip)] },
    kubelet,
    // The schema accepts only true and false, and only texts.
    featureGates: featureGates as Record<string, boolean>,
    oidc: oidc.map(({ ca, groupsClaim, ...one }) => ({
      ...one,
      requiredClaims: one.requiredClaims as Record<string, string>,
      ...(ca !== undefined && { ca }),
      ...(groupsClaim !== undefined && { groupsClaim }),
    })) satisfies OidcIssuer[],
  };
  return givenKeys(settings).length > 0 ? settings : undefined;
}

/** The content of all extra files, by `extraFileKey`. It may be secret. */
export function extraFileContents(values: Pick<StackValues, "kubernetes">): Record<string, string> {
  return Object.fromEntries(
    components.flatMap(({ key }) =>
      (writtenComponent(values, key).extraFiles ?? []).map(({ name, content }) => [extraFileKey(key, name), content]),
    ),
  );
}
