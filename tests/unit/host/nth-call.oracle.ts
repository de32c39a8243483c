/** What a stage may do after one of its calls has failed, beside a run without the fault; and what its message has to name. */
import type { Call, Fault, Run } from "./nth-call";
import type { Scenario } from "./nth-call.scenarios";

type Rules = readonly [RegExp, string][];

export const matches = (rules: Rules | undefined, text: string) =>
  rules?.some(([pattern]) => pattern.test(text)) === true;

/** A script that warns has done its work only where it says nothing. */
export const endsWell = (scenario: Scenario, run: Run) =>
  run.status === 0 && !(scenario.warns === true && run.stderr !== "");

// Changes.

/** Changes that change nothing where all is as it should be; where it is not, the end differs. */
const harmless: Rules = [
  [/^systemctl (start|enable|daemon-reload)\b/, "a unit that runs, or is enabled, already"],
  [/^ip -[46] rule add pref 0 lookup local protocol kernel$/, "the kernel has no rule twice"],
  [/^dpkg --configure -a /, "what an installation that was cut off has left"],
];

/** Changes that may be made again, with those before them and after them: the second time finds the first one's work done. */
const repeatable: Rules = [
  [/^kubectl .* create configmap tailkube-/, "a ConfigMap that is there stays as it is"],
  [/^kubectl .* patch configmap tailkube-\S+ --type merge /, "a merge patch made twice is made once"],
  [/^apt-get .*\binstall /, "apt installs what is not installed yet"],
  [/^kubectl .* replace -f -$/, "a Secret that is stored as it would be stored now is not written"],
];

/** Questions whose answer only decides the text of a message, or whether something harmless is left out. */
const advisory: Rules = [
  [/^systemctl is-enabled /, "what is enabled already is enabled once more"],
  [/^gpg .*--show-keys .*\/keyrings\//, "the key is fetched once more"],
  [/^kubectl .* get pods -A --field-selector spec\.nodeName=/, "evictions are by the UIDs of the last answer"],
  [/^approve$/, "the timer runs it again"],
  [/^(tailscale )?ping /, "what is measured is only warned of, and what is unknown is no reason to stop"],
];

/** Questions whose answers are measured paths (host/lib/control-plane/round-trips.sh), or say which there are. */
const measuring = /^(tailscale )?ping |get nodes -l node-role\.kubernetes\.io\/control-plane -o jsonpath=\{range /;

/** What a stage prints for the program, without what it has changed: some of that a call may have done whose answer was lost. */
function resultOf({ stdout }: Run): Record<string, unknown> {
  if (!stdout.startsWith("{")) return { stdout };
  const said = JSON.parse(stdout.replace(/"[0-9a-f]{32}"/g, '"NONCE"')) as Record<string, unknown>;
  delete said.changed;
  return said;
}

/** Whether a text is that of a run without the fault, but for words that are `-`, or empty: unknown. */
function isPartOf(text: unknown, whole: unknown): boolean {
  if (typeof text !== "string" || typeof whole !== "string") return false;
  const parts = (of: string) => of.split(/[ \n]/);
  return (
    text === "" ||
    (parts(text).length === parts(whole).length &&
      parts(text).every((word, i) => word === "-" || word === parts(whole)[i]))
  );
}

/** What a run says to the program that it does not say without the fault. */
export function saysOther(good: Run, run: Run, fault: Fault): string | undefined {
  const [said, wanted] = [resultOf(run), resultOf(good)];
  if (measuring.test(fault.text) && isPartOf(said.roundTrips, wanted.roundTrips)) said.roundTrips = wanted.roundTrips;
  const texts = [said, wanted].map((one) => JSON.stringify(one));
  return texts[0] === texts[1] ? undefined : `says: ${texts[0]} instead of ${texts[1]}`;
}

/** Ways to one change, or to one question, that a script may take either of. */
export const asOne = (text: string) =>
  text
    .replace(/ exec (pod\/)?etcd-\S+ -- /, " exec etcd -- ")
    .replace(/^systemctl disable --quiet --now /, "systemctl stop ")
    .replace(/--server \S+ /, "")
    .replace(/^ssh .* (\S+) true$/, "ssh HOST true")
    .replace(/ --timeout=\d+s/, " --timeout=");

/** Where the changes of a run part from those without the fault: one that is not next there, comes again or is left out. */
export function partsFrom(scenario: Scenario, good: readonly Call[], run: Run, fault: Fault): string | undefined {
  const { otherWay } = scenario;
  const other = otherWay !== undefined && otherWay.fault.test(fault.text) ? otherWay.changes : undefined;
  const mayCome = (text: string) =>
    matches(scenario.putsBack, text) || matches(harmless, text) || other?.test(text) === true;
  const wanted = good.filter(({ change }) => change).map(({ text }) => text);
  const made: string[] = [];
  let at = 0;
  for (const { text, change } of run.calls) {
    if (!change) continue;
    let next = at;
    while (next < wanted.length && asOne(wanted[next]!) !== asOne(text) && mayCome(wanted[next]!)) next += 1;
    if (next < wanted.length && asOne(wanted[next]!) === asOne(text)) {
      at = next + 1;
      made.push(asOne(text));
    } else if (asOne(text) === asOne(fault.text) && made.includes(asOne(text))) {
      // The very call that has failed, once more.
    } else if (!mayCome(text) && !(matches(repeatable, text) && made.includes(asOne(text)))) {
      if (!wanted.some((one) => asOne(one) === asOne(text)))
        return `issues what is not issued without the fault: ${text}`;
      const how = made.includes(asOne(text)) ? "once more" : "too early";
      return `issues ${how}: ${text}; next is ${wanted[at] ?? "nothing"}`;
    }
  }
  const left = wanted.slice(at).find((text) => !mayCome(text));
  return endsWell(scenario, run) && left !== undefined && other === undefined ? `leaves out: ${left}` : undefined;
}

/** A change that was made after a question without an answer. */
export function unanswered(scenario: Scenario, run: Run, fault: Fault): string | undefined {
  const failed = (call: Call) =>
    call.text === fault.text &&
    (fault.mode === "always" ? call.occurrence >= fault.occurrence : call.occurrence === fault.occurrence);
  const first = run.calls.findIndex(failed);
  const question = run.calls[first];
  if (question === undefined || question.change) return undefined;
  if (matches(advisory, question.text) || matches(scenario.advisory, question.text)) return undefined;
  if (scenario.otherWay?.fault.test(fault.text) === true) return undefined;
  const asInstead = scenario.instead?.find(({ of }) => of.test(question.text))?.asks;
  for (const call of run.calls.slice(first + 1)) {
    if (asOne(call.text) === asOne(fault.text) && !failed(call)) return undefined;
    if (asInstead?.test(call.text) === true) return undefined;
    if (call.change && !matches(scenario.putsBack, call.text) && !matches(harmless, call.text))
      return `goes on without an answer, to: ${call.text}`;
  }
  return undefined;
}

// Messages.

/** Clients of many things: the message has to name the thing. */
const clients = "kubectl|curl|systemctl|ip|ctr|tc|nft|sysctl|bash|ssh";
const verbs =
  "get|list|show|patch|delete|create|apply|annotate|label|exec|remove|add|del|set|stop|start|restart|enable|disable|is-active|is-enabled|images|run|wait|install|update|replace|up|down";
/** Parts of a call that say how it is made, not of what. */
const manner: readonly [RegExp, RegExp][] = [
  [/^kubectl /, /--(kubeconfig|server|type) \S+/g],
  [/^kubectl /, / -o (jsonpath|custom-columns|go-template)=.*/g],
  [/^(kubectl|ctr) /, / -[nof] \S+/g],
  [/^curl /, / (-[owXH]|--(max-time|connect-timeout|noproxy|write-out|retry|retry-max-time)) \S+/g],
  [/./, / -\S+/g],
];

/** What the parts of a call are called in messages. */
const called: readonly [RegExp, RegExp][] = [
  [/etcdctl|etcdutl/, /\betcd\b|\bmembers?\b|\bvoters?\b/],
  [/^kubectl .* replace -f - /, /\bSecrets\b/],
  [/k8s-app=kube-dns/, /\bCoreDNS\b/],
  [/ciliumloadbalancerippools/, /\bpools? of addresses\b/],
  [/certificatesigningrequests/, /\brequests?\b/],
  [/ \/run\/tailkube\/discovery\.conf .*get --raw \/version /, /\btoken\b/],
  [/bootstrap-token-/, /\bbootstrap tokens?\b/],
  [/^kubectl .* get crd /, /\bCustomResourceDefinitions?\b/],
  [/^tailscale /, /\btailscaled?\b/i],
  [/^sysctl /, /\bkernel's settings\b|\bsettings? of the kernel\b/],
  [/^ip .*\blink /, /\binterfaces?\b/],
  [/^ctr /, /\bcontainerd\b/],
  [/:10248\/healthz /, /\bkubelet\b/],
  // installed/etcd.sh finds etcd with it.
  [/^ctr .*\btasks ls /, /\betcd\b/],
  [/^kubectl .*--kubeconfig \/etc\/kubernetes\/kubelet\.conf /, /\bkubelet's identity\b/],
  [/^ssh /, /\bhosts can be reached\b/],
  [/\/readyz/, /API server|endpoint/],
  [/^(apt-get|apt-cache|apt-mark|dpkg|dpkg-query)\b/, /\bpackages?\b|repositor/],
];

const words = (text: string) => text.toLowerCase().split(/[^a-z0-9._/:-]+|[.:](?= |$)/).filter(Boolean); // prettier-ignore
const singular = (word: string) =>
  word
    .replace(/\.service$/, "")
    .replace(/(?<=[a-z]{2})ies$/, "y")
    .replace(/sses$/, "ss")
    .replace(/(?<=[a-z]{3})(?<![sui])s$/, "");

/** Words that stand for what a call asks or changes: its tool, objects, units, paths and addresses. */
export function subjectsOf(call: string): string[] {
  const bare = manner.reduce((text, [of, how]) => (of.test(call) ? text.replace(how, " ") : text), call);
  // A field may be the subject: a note of this program on an object.
  const notes = [...call.matchAll(/tailkube\\?\.dev\/([a-z-]+)/g)].map(([, note]) => note!);
  const parts = [...words(bare), ...notes].flatMap((word) => [
    word,
    ...word.split(/[/:]+/),
    // Of a kind with its API group.
    ...(call.startsWith("kubectl ") ? [word.replace(/\..*/, "")] : []),
  ]);
  const common = new RegExp(`^(${clients}|${verbs}|\\d+|https?|true|false|all|name|default|data|metadata|spec)$`);
  return [...new Set(parts.map(singular))].filter((word) => word.length >= 3 && !common.test(word));
}

/** Whether a message says what was asked, in words of its own. */
export function names(message: string, call: string): boolean {
  const phrase = (text: string) =>
    ` ${words(text.replace(/[-_/:.]+/g, " "))
      .map(singular)
      .join(" ")} `;
  const said = phrase(message);
  return (
    subjectsOf(call).some((word) => said.includes(phrase(word))) ||
    called.some(([of, as]) => of.test(call) && as.test(message))
  );
}

/** The stage's own line, without what the command that failed has said. */
export function messageOf(scenario: Scenario, run: Run, said: string): string | undefined {
  // Before it may stand what the command itself has to say.
  const lines = run.stderr.trimEnd().split("\n");
  if (lines.filter((line) => line.startsWith("tailkube: ")).length !== 1) return undefined;
  // A stage uses functions of an earlier one, whose records they write, in its name.
  const of = `${scenario.node.name}: (?:${scenario.stage}|runtime|tailnet|lan): `;
  const line = new RegExp(`^tailkube: ${scenario.operator === undefined ? of : ""}(.{20,})`);
  const found = line.exec(lines[lines.length - 1]!)?.[1];
  return said === "" ? found : found?.split(said).join("");
}
