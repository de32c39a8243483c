/**
 * etcd's time-outs for control planes that are far from each other.
 *
 * Sources: etcd's tuning guide (https://etcd.io/docs/v3.6/tuning/) and its configuration's own checks (server/embed/config.go, Validate
 * and ElectionTicks).
 */
import type { ExtraArgument, KubernetesSettings } from "../../../model/config";

/** Both in milliseconds. */
export interface EtcdTiming {
  /** How often the leader says that it is there (`heartbeat-interval`). */
  heartbeat: number;
  /** How long a member waits for that before it wants to be the leader (`election-timeout`). */
  election: number;
}

export const defaultTiming: EtcdTiming = { heartbeat: 100, election: 1000 };

/**
 * The longest average round-trip time between two control planes, in milliseconds. /readyz of an API server asks etcd two times, one
 * after the other (`etcd` and `etcd-readiness` in k8s.io/apiserver), and each answer takes a follower two round trips: one of its own to
 * the leader, and one of the leader to a majority. After 2 s, host/installed/endpoint-watch.sh takes the API server for slow, and
 * kube-apiserver gives up each question (DefaultHealthcheckTimeout and DefaultReadinessTimeout). etcd itself would work with more: its
 * guide has 350 to 400 ms between the United States and Japan, and an upper limit of 5 s.
 */
export const longestRoundTrip = 2000 / 4;

/** What `Validate` accepts at most. */
const longestElection = 50_000;
/** The election time-out is at least so many heartbeats (`Validate`). */
const heartbeatsOfElection = 5;
/** The election time-out is at least so many round trips (guide: "so it can account for variance in your network"). */
const tripsOfElection = 10;
/** A heartbeat takes at least this part of a round trip (guide: 0.5 to 1.5). */
const tripsOfHeartbeat = 0.5;

/**
 * What the network may lose of one heartbeat before a follower counts its leader as gone: three times in a row. Linux sends again a round
 * trip and 200 ms after the first loss (TCP_RTO_MIN), and doubles that each time, so the heartbeat is there after seven such times, half
 * a round trip, and the interval since the last one. The guide, too, counts with "a couple of retries".
 */
const afterLoss = (roundTrip: number, heartbeat: number) => 7 * (roundTrip + 200) + roundTrip / 2 + heartbeat;

/**
 * The time-outs for a declared round-trip time of 1 to `longestRoundTrip` milliseconds.
 *
 * The heartbeat is the shortest that the guide allows, but not below etcd's default: while a change goes from member to member, those
 * with the default election time-out still get four heartbeats of a leader with the new interval. The election time-out is ten round
 * trips and 1.5 s for lost heartbeats, in whole heartbeats, because etcd counts in these.
 */
export function etcdTiming(roundTrip: number): EtcdTiming {
  const heartbeat = Math.max(defaultTiming.heartbeat, Math.ceil(roundTrip * tripsOfHeartbeat));
  const wanted = tripsOfElection * roundTrip + 1500;
  return { heartbeat, election: Math.ceil(wanted / heartbeat) * heartbeat };
}

const heartbeatName = "heartbeat-interval";
const electionName = "election-timeout";

/** etcd's arguments for a declared round-trip time. */
export function timingArguments(roundTrip: number): ExtraArgument[] {
  const { heartbeat, election } = etcdTiming(roundTrip);
  return [
    { name: heartbeatName, value: `${heartbeat}` },
    { name: electionName, value: `${election}` },
  ];
}

/** Whether an argument is one of the time-outs. */
export const isTiming = ({ name }: ExtraArgument) => name === heartbeatName || name === electionName;

/** The last value counts, as in etcd. Undefined for a number that is written in another way than in digits. */
function given(settings: Pick<KubernetesSettings, "etcd"> | undefined, name: string, otherwise: number) {
  const value = settings?.etcd.extraArgs.findLast((one) => one.name === name)?.value;
  if (value === undefined) return otherwise;
  return /^(0|[1-9]\d{0,8})$/.test(value) ? Number(value) : undefined;
}

/** The time-outs that members run with; undefined if the settings have one that this program cannot read. */
export function timingOf(settings: Pick<KubernetesSettings, "etcd"> | undefined): EtcdTiming | undefined {
  const heartbeat = given(settings, heartbeatName, defaultTiming.heartbeat);
  const election = given(settings, electionName, defaultTiming.election);
  return heartbeat === undefined || election === undefined ? undefined : { heartbeat, election };
}

/** Why etcd would not start with these time-outs; undefined if it would. */
export function timingProblem({ heartbeat, election }: EtcdTiming): string | undefined {
  if (heartbeat < 1 || election < 1) return "etcd requires both to be above 0";
  if (election > longestElection) return `etcd allows an election time-out of at most ${longestElection} ms`;
  return election < heartbeatsOfElection * heartbeat
    ? `etcd requires an election time-out of at least ${heartbeatsOfElection} heartbeats`
    : undefined;
}

/** The longest average round-trip time for which the guide allows these time-outs, in milliseconds. */
export function toleratedRoundTrip({ heartbeat, election }: EtcdTiming): number {
  return Math.min(heartbeat / tripsOfHeartbeat, election / tripsOfElection);
}

/** Whether a follower keeps its leader if the network loses one heartbeat three times in a row. */
export const toleratesLoss = ({ heartbeat, election }: EtcdTiming, roundTrip: number) =>
  election >= afterLoss(roundTrip, heartbeat);
