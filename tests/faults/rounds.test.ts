import { expect } from "chai";
import * as lab from "../lab/lab";
import { controlPlanes } from "./cluster";
import { engineOk, refreshKubeconfig } from "./stack";

const rounds = 5;

describe("the same hosts again and again", function () {
  this.timeout(90 * 60_000);
  after(() => lab.run("lab/down", [], 300));

  it(`${rounds} rounds of up and destroy leave no device, no Node and no route behind`, async () => {
    await lab.bareHosts();
    const routes = () =>
      lab.hosts.map((host) => lab.onHost(host, "ip -4 route show table all | grep -v 'table local' | sort"));
    const untouched = routes();
    for (let round = 1; round <= rounds; round++) {
      const up = await engineOk(["up"], 900);
      refreshKubeconfig();
      expect(lab.readyNames(), `nodes in round ${round}`).to.deep.equal([...lab.hosts].sort());
      expect(
        lab
          .devices()
          .map(({ name }) => name)
          .sort(),
        `devices in round ${round}`,
      ).to.deep.equal([...lab.hosts].sort());
      const destroy = await engineOk(["destroy"], 400);
      console.log(`      round ${round}: up in ${up.toFixed(0)} s, destroyed in ${destroy.toFixed(0)} s`);
      expect(lab.devices(), `devices after round ${round}`).to.deep.equal([]);
      expect(routes(), `routes after round ${round}`).to.deep.equal(untouched);
      for (const host of controlPlanes) expect(lab.hasEndpoint(host), `the endpoint on ${host}`).to.equal(false);
    }
  });
});
