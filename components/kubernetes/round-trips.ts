/** What control planes have measured between each other (host/lib/control-plane/round-trips.sh), and what that means for etcd. Pure. */
import type { ClusterConfig } from "../../model/config";
import { controlPlanes } from "../../model/nodes";
import {
  defaultTiming,
  type EtcdTiming,
  longestRoundTrip,
  timingOf,
  toleratedRoundTrip,
  toleratesLoss,
} from "./settings/etcd-timing";

/** The path from one control plane to another. */
export interface RoundTrips {
  from: string;
  to: string;
  /** Average in milliseconds. Absent: unknown, because no ping was answered. */
  average?: number;
  /** Lost pings, in percent; absent with the average. */
  lost?: number;
  /** `direct`, `relay:REGION` or `peer-relay`; absent if unknown, and in a LAN. */
  path?: string;
}

/** More than one lost ping of a round is no accident. */
const toleratedLoss = 2;

/** The result of the stage control-plane. A stage of an older program has none. */
export function roundTripsOf(from: string, result: string | undefined): RoundTrips[] {
  return (result ?? "").split("\n").flatMap((line) => {
    const [to, average, sent, received, path] = line.split(" ");
    if (path === undefined) return [];
    return [
      {
        from,
        to: to!,
        ...(average !== "-" && {
          average: Number(average),
          lost: Math.round((1 - Number(received) / Number(sent)) * 1000) / 10,
        }),
        ...(path !== "-" && { path }),
      },
    ];
  });
}

const words = ({ from, to, average, lost, path }: RoundTrips) =>
  [
    `${from} to ${to}: ${average === undefined ? "unknown" : `${average} ms`}`,
    ...(lost ? [`${lost} % lost`] : []),
    ...(path?.startsWith("relay:") ? [`relayed through ${path.slice("relay:".length)}`] : []),
    ...(path === "peer-relay" ? ["through a peer relay"] : []),
  ].join(", ");

/**
 * What to declare for an average: a tenth more, in tens of milliseconds, so that the same path is not reported again when it is slightly
 * slower.
 */
const toDeclare = (average: number) => Math.min(longestRoundTrip, Math.ceil((average * 1.1) / 10) * 10);

const timingWords = ({ heartbeat, election }: EtcdTiming) => `heartbeat ${heartbeat} ms, election ${election} ms`;

/** Warnings, a line each: paths that etcd's time-outs do not suit, and paths of which nothing is known. */
export function roundTripWarnings(config: ClusterConfig, measured: readonly RoundTrips[]): string[] {
  const declared = new Set(controlPlanes(config.nodes).map(({ name }) => name));
  const paths = measured.filter(({ from, to }) => declared.has(from) && declared.has(to));
  const timing = timingOf(config.settings) ?? defaultTiming;
  const tolerated = toleratedRoundTrip(timing);
  const suits = ({ average, lost }: RoundTrips) =>
    average === undefined || (average <= tolerated && (lost! <= toleratedLoss || toleratesLoss(timing, average)));
  const tooFar = paths.filter(({ average }) => average !== undefined && average > longestRoundTrip);
  const slow = paths.filter((path) => !suits(path) && !tooFar.includes(path));
  const unknown = paths.filter(({ average }) => average === undefined);
  const list = (some: readonly RoundTrips[]) => some.map(words).join("; ");
  return [
    ...(tooFar.length > 0
      ? [
          `Control planes are too far from each other for etcd and the API: ${list(tooFar)}. Above ${longestRoundTrip} ms no time-outs help. Give them a faster path, or replace them (docs/operate/wan.md).`,
        ]
      : []),
    ...(slow.length > 0
      ? [
          `etcd's time-outs (${timingWords(timing)}) are too short for ${list(slow)}, and the cluster may lose its leader again and again. Set kubernetes.etcd.roundTripMilliseconds: ${toDeclare(Math.max(...slow.map(({ average }) => average!)))} (docs/operate/wan.md).`,
        ]
      : []),
    ...(unknown.length > 0
      ? [
          `The round-trip time between control planes is not known, because no ping was answered: ${list(unknown)}. etcd's time-outs (${timingWords(timing)}) suit up to ${tolerated} ms; for more, set kubernetes.etcd.roundTripMilliseconds (docs/operate/wan.md).`,
        ]
      : []),
  ];
}
