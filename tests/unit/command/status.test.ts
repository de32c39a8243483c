/** What `tailkube status` says of clusters in which something is wrong. */
import { expect } from "chai";
import fc from "fast-check";
import { expectGolden } from "../../golden/golden";
import { exitCodes } from "../../../command/failure";
import { problemsOf } from "../../../command/status/problems/all";
import { statusFrom } from "../../../command/status/status";
import {
  answer,
  answersOf,
  certificates,
  etcdAnswers,
  faults,
  type Fixture,
  healthy,
  json,
  names,
  nodesJson,
  now,
  silence,
  stateOf,
  units,
  withVip,
} from "./fixtures";

const problems = (fixture: Fixture) => problemsOf(stateOf(fixture));
const ids = (fixture: Fixture) => problems(fixture).map(({ id, node }) => (node === undefined ? id : `${id} ${node}`));
const broken = (...change: ((fixture: Fixture) => void)[]) => {
  const fixture = healthy();
  for (const one of change) one(fixture);
  return fixture;
};

describe("tailkube status", () => {
  it("finds nothing wrong with a healthy cluster", () => {
    const { text, code, json: data } = statusFrom(stateOf(healthy()));
    expectGolden("status-healthy.txt", text);
    expect(code).to.equal(exitCodes.ok);
    expect(JSON.parse(data)).to.include({ ok: true, cluster: "home" });
  });

  for (const [name, fault] of Object.entries(faults)) {
    it(`names the fault and its cure first: ${name}`, () => {
      const fixture = broken(fault);
      const { text, code } = statusFrom(stateOf(fixture));
      expectGolden(`status-${name}.txt`, text);
      expect(code).to.equal(exitCodes.wrong);
      const [first] = problems(fixture);
      expect(first).to.include({ id: name, level: "error" });
      expect(first!.cure).to.not.be.empty;
    });
  }

  it("works while one control plane is down, and does not call it not Ready", () => {
    const fixture = broken((f) => {
      silence(f, "cp1");
      for (const name of ["cp2", "cp3"]) {
        Object.assign(answersOf(f, name), etcdAnswers({ 0: "context deadline exceeded" }), {
          nodes: answer(
            nodesJson(({ metadata, status }) => {
              if (metadata.name === "cp1")
                Object.assign(status.conditions[2]!, {
                  status: "Unknown",
                  message: "Kubelet stopped posting node status.",
                });
            }),
          ),
        });
      }
      f.here.nodes = { none: "connect ETIMEDOUT 192.0.2.11:6443" };
    });
    const { text } = statusFrom(stateOf(fixture));
    expectGolden("status-control-plane-down.txt", text);
    expect(ids(fixture)).to.deep.equal(["host-no-answer cp1", "etcd-member-down cp1", "node-no-answer cp1"]);
    expect(text).to.match(/^cp1 +control-plane +no answer +no answer/m);
  });

  it("asks the hosts when no API server answers, and then knows no node to be not Ready", () => {
    const refused = answer("", 7, "curl: (7) Failed to connect");
    const fixture = broken((f) => {
      f.here = { nodes: { none: "connect ECONNREFUSED" }, endpoint: { none: "connect ETIMEDOUT" } };
      for (const name of names) answersOf(f, name).endpoint = refused;
      for (const name of names.slice(0, 3)) {
        for (const question of ["ready", "nodes", "daemonsets", "deployments"]) answersOf(f, name)[question] = refused;
        answersOf(f, name).loopback = json([]);
      }
    });
    const { text, json: data } = statusFrom(stateOf(fixture));
    expect(ids(fixture)).to.include.members(["endpoint-nowhere", "api-server-not-ready cp1", "api-no-answer"]);
    expect(ids(fixture).join()).to.not.include("node-not-ready");
    expect(text).to.match(/^w1 +worker +no answer +yes +1\.37\.2/m);
    const { nodes } = JSON.parse(data) as { nodes: { ready: boolean | null }[] };
    expect(nodes.map(({ ready }) => ready)).to.deep.equal([null, null, null, null]);
  });

  it("ends with 3 if neither a host nor the API answers, and says why", () => {
    const fixture = broken((f) => {
      for (const name of names) silence(f, name, "Network is unreachable");
      f.here = { nodes: { none: "connect ENETUNREACH" }, endpoint: { none: "connect ENETUNREACH" } };
    });
    const { code, text } = statusFrom(stateOf(fixture));
    expect(code).to.equal(exitCodes.notAsked);
    expect(text).to.include("w1: no answer by SSH at 192.0.2.14 port 22: Network is unreachable");
    expect(text).to.not.include("not Ready");
  });

  it("uses the answer of the API to this machine when no host answers by SSH", () => {
    const fixture = broken((f) =>
      names.forEach((name) => silence(f, name, "it refuses the login: the SSH key is not accepted")),
    );
    const { code, text } = statusFrom(stateOf(fixture));
    expect(code).to.equal(exitCodes.wrong);
    expect(text).to.match(/^w1 +worker +yes +no answer/m);
    expect(text).to.include("the API says that the node is Ready, so the machine runs");
  });

  it("sees an expired device by its peers when the host is reached by the tailnet alone", () => {
    const fixture = broken(faults["device-expired"]!, (f) => silence(f, "w1"));
    expect(ids(fixture).slice(0, 2)).to.deep.equal(["device-expired w1", "host-no-answer w1"]);
  });

  it("shows which control plane has a virtual IP, and that it must not be on two or on none", () => {
    const refused = answer("", 7, "curl: (7) Failed to connect");
    const text = (fixture: Fixture) => statusFrom(stateOf(fixture)).text;
    const well = withVip(healthy(), "cp2");
    expect(ids(well)).to.deep.equal([]);
    expect(text(well)).to.match(/^cp1 .* no +20/m);
    expect(text(well)).to.match(/^cp2 .* has it +20/m);
    const two = withVip(healthy(), "cp1", "cp3");
    expect(ids(two)).to.deep.equal(["endpoint-twice"]);
    expect(text(two)).to.include("is on cp1 and cp3 at the same time");
    const unanswered = broken((f) => {
      for (const name of names) answersOf(f, name).endpoint = refused;
    });
    expect(ids(withVip(unanswered))).to.deep.equal(["endpoint-nowhere"]);
    const stopped = withVip(healthy(), "cp1");
    answersOf(stopped, "cp3").units = answer(units(true, { "tailkube-endpoint": "inactive" }));
    expect(ids(stopped)).to.include("service-stopped cp3");
  });

  it("does not say that the endpoint is nowhere while a control plane that may have it is silent", () => {
    const fixture = broken((f) => {
      silence(f, "cp1");
      for (const name of ["cp2", "cp3"]) answersOf(f, name).loopback = json([]);
    });
    expect(ids(fixture)).to.not.include("endpoint-nowhere");
  });

  it("tells an endpoint that is not advertised from one that is not approved, and from one node without a route", () => {
    const unanswered = (f: Fixture) => {
      for (const name of names) answersOf(f, name).endpoint = answer("", 28, "curl: (28) timed out");
    };
    const noPrimary = (f: Fixture) => {
      for (const [i, name] of names.entries()) {
        const { output } = answersOf(f, name).tailscale!;
        answersOf(f, name).tailscale = answer(
          output.replaceAll('"PrimaryRoutes":["10.200.0.1/32"]', '"PrimaryRoutes":[]'),
        );
        void i;
      }
    };
    const notAdvertised = (f: Fixture) => {
      for (const name of names) answersOf(f, name).prefs = json({ AdvertiseRoutes: null });
    };
    expect(ids(broken(unanswered, noPrimary))).to.deep.equal(["endpoint-not-approved"]);
    expect(ids(broken(unanswered, noPrimary, notAdvertised))).to.deep.equal(["endpoint-not-advertised"]);
    expect(ids(broken((f) => (answersOf(f, "w1").endpoint = answer("", 28, "timed out"))))).to.deep.equal([
      "endpoint-not-reached w1",
    ]);
  });

  it("warns before certificates, authorities and devices expire, after all errors", () => {
    const fixture = broken(
      (f) =>
        (answersOf(f, "cp2").certificates = certificates(true, {
          "/etc/kubernetes/admin.conf": new Date(now.getTime() + 5 * 86_400_000),
        })),
      (f) =>
        (answersOf(f, "cp1").certificates = certificates(true, {
          "/etc/kubernetes/pki/ca.crt": new Date(now.getTime() + 100 * 86_400_000),
        })),
      (f) => (answersOf(f, "w1").units = answer(units(false, { kubelet: "failed" }))),
    );
    expect(ids(fixture)).to.deep.equal(["service-stopped w1", "certificate-expires cp2", "authority-expires"]);
  });

  it("says when etcd has lost its majority, before the members that are down", () => {
    const fixture = broken((f) => {
      for (const name of names.slice(0, 3))
        Object.assign(answersOf(f, name), etcdAnswers({ 1: "deadline", 2: "deadline" }));
    });
    expect(ids(fixture)).to.deep.equal(["etcd-majority-lost", "etcd-member-down cp2", "etcd-member-down cp3"]);
  });

  it("says that the health of etcd's members is unknown, and not that they are down", () => {
    const fixture = broken((f) => {
      for (const name of names.slice(0, 3)) answersOf(f, name).etcdHealth = answer("", 124);
    });
    expect(ids(fixture)).to.deep.equal(["etcd-health-unknown"]);
  });

  it("never takes silence for a no: with fewer answers, no new claim about a node that is not asked", () => {
    const claims = [
      "node-not-ready",
      "service-stopped",
      "disk-full",
      "certificate-expired",
      "device-logged-out",
      "api-server-not-ready",
      "etcd-majority-lost",
      "etcd-member-down",
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(faults)),
        fc.subarray(names),
        fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(20)), { maxLength: 12 }),
        (fault, silent, lost) => {
          const fixture = broken(faults[fault]!);
          // An endpoint that is nowhere has the stopped watches among its reasons.
          const reasons =
            fault === "endpoint-nowhere" ? ["cp1", "cp2", "cp3"].map((name) => `service-stopped ${name}`) : [];
          const before = new Set([...ids(fixture), ...reasons]);
          for (const [name, number] of lost) {
            const answers = answersOf(fixture, name);
            const question = Object.keys(answers)[number % Object.keys(answers).length]!;
            // What a control plane's own API server does not answer is a statement about it.
            if (question !== "ready") answers[question] = answer("", 124, "");
          }
          for (const name of silent) silence(fixture, name);
          for (const id of ids(fixture)) {
            if (claims.includes(id.split(" ")[0]!)) expect(before).to.include(id);
          }
          expect(statusFrom(stateOf(fixture)).text).to.include("NODE ");
        },
      ),
      { numRuns: 40 },
    );
  });
});
