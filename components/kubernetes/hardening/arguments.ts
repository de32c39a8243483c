/** Hardening of a plain kubeadm cluster: arguments, volumes and fields for kubeadm's documents. */
import type { ExtraArgument as Argument } from "../../../model/config";
import { componentOf, securityFolder, withGiven } from "../settings/components";
import { admissionConfiguration, authenticationConfiguration, type Hardening } from "./files";

/** A volume of kubeadm's documents: HostPathMount of v1beta4. */
export interface HostPathMount {
  name: string;
  hostPath: string;
  mountPath: string;
  readOnly: boolean;
  pathType: "Directory" | "DirectoryOrCreate";
}

/** The audit log's folder. */
export const auditFolder = "/var/log/kubernetes/audit";

/**
 * TLS 1.2's suites with forward secrecy and authenticated encryption, by Go's names (crypto/tls); TLS 1.3 has no others. HTTP/2 requires
 * the third of them (RFC 9113, 9.2.2).
 */
const tlsCipherSuites = [
  "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
  "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/** The `apiServer` part of ClusterConfiguration. */
export function apiServerHardening(a: Hardening): { extraArgs: Argument[]; extraVolumes: HostPathMount[] } {
  const { extraArgs, extraVolumes } = ownApiServer(a);
  return { extraArgs: withGiven("apiServer", extraArgs, a.settings), extraVolumes };
}

function ownApiServer(a: Hardening): { extraArgs: Argument[]; extraVolumes: HostPathMount[] } {
  const { security } = a;
  const file = (name: string) => `${securityFolder}/${name}`;
  const plugins = [
    "NodeRestriction",
    ...(security.serviceExternalIPs ? [] : ["DenyServiceExternalIPs"]),
    ...(security.eventRateLimit ? ["EventRateLimit"] : []),
  ];
  return {
    extraArgs: argumentsOf({
      "enable-admission-plugins": plugins.join(","),
      "admission-control-config-file": admissionConfiguration(a) && file("admission.yaml"),
      // Also without encryption, so that Secrets that were encrypted earlier stay readable.
      "encryption-provider-config": file("encryption.yaml"),
      "encryption-provider-config-automatic-reload": "true",
      "authentication-config": authenticationConfiguration(a) && file("authentication.yaml"),
      ...(security.auditLog && {
        "audit-policy-file": file("audit-policy.yaml"),
        "audit-log-path": `${auditFolder}/audit.log`,
        // Days, old files, and MB per file: at most 1.1 GB.
        "audit-log-maxage": "30",
        "audit-log-maxbackup": "10",
        "audit-log-maxsize": "100",
      }),
      "kubelet-certificate-authority": security.kubeletServingCertificates ? "/etc/kubernetes/pki/ca.crt" : undefined,
      "service-account-extend-token-expiration": security.extendedTokens ? undefined : "false",
      profiling: security.profiling ? undefined : "false",
      "tls-cipher-suites": tlsCipherSuites.join(","),
    }),
    extraVolumes: [
      { name: "tailkube", ...samePath(securityFolder), readOnly: true, pathType: "Directory" },
      ...(security.auditLog
        ? [{ name: "audit", ...samePath(auditFolder), readOnly: false, pathType: "DirectoryOrCreate" as const }]
        : []),
    ],
  };
}

/** The `controllerManager` part of ClusterConfiguration. */
export function controllerManagerHardening({ security, settings }: Hardening): WithFiles {
  const own = argumentsOf({
    profiling: security.profiling ? undefined : "false",
    // Terminated pods without an owner. The default of 12500 is too much for etcd on a small control plane.
    "terminated-pod-gc-threshold": "1000",
  });
  return withFiles("controllerManager", own, settings);
}

/** The `scheduler` part of ClusterConfiguration. */
export function schedulerHardening({ security, settings }: Hardening): WithFiles {
  return withFiles("scheduler", argumentsOf({ profiling: security.profiling ? undefined : "false" }), settings);
}

interface WithFiles {
  extraArgs: Argument[];
  extraVolumes?: HostPathMount[];
}

/** A component that has only its own folder of files. API servers have all of them. */
function withFiles(
  key: "controllerManager" | "scheduler",
  own: readonly Argument[],
  settings: Hardening["settings"],
): WithFiles {
  const folder = `${securityFolder}/${componentOf(key).folder}`;
  return {
    extraArgs: withGiven(key, own, settings),
    ...(settings !== undefined &&
      settings[key].extraFiles.length > 0 && {
        extraVolumes: [{ name: "tailkube", ...samePath(folder), readOnly: true, pathType: "Directory" }],
      }),
  };
}

/** Fields of KubeletConfiguration. */
export function kubeletHardening({ security }: Hardening): Record<string, unknown> {
  return {
    ...(security.kubeletServingCertificates && { serverTLSBootstrap: true }),
    ...(security.seccompDefault && { seccompDefault: true }),
    ...(security.podPidsLimit > 0 && { podPidsLimit: security.podPidsLimit }),
    tlsCipherSuites,
  };
}

const samePath = (path: string) => ({ hostPath: path, mountPath: path });

function argumentsOf(values: Record<string, string | undefined>): Argument[] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}
