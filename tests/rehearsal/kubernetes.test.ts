/** Helm releases and Kubernetes objects, with scripts in the place of helm and kubectl. */
import { expect } from "chai";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "fs";
import { join } from "path";
import { KubernetesObject } from "../../lab/rehearsal/kubernetes/object";
import { HelmRelease, resourceNames } from "../../lab/rehearsal/kubernetes/release";
import type { OperationContext } from "../../lab/rehearsal/providers/provider";
import { ProviderResource } from "../../lab/rehearsal/providers/providerResource";
import { performerFor } from "../../lab/rehearsal/providers/registry";
import type { ResourceState } from "../../lab/rehearsal/state/deployment";
import { Props, reveal, secret, UNKNOWN } from "../../lab/rehearsal/values";
import { Journal, temporaryFolder } from "./harness";

const KUBECONFIG = `current-context: x
contexts: [{name: x, context: {cluster: c}}]
clusters: [{name: c, cluster: {server: "https://10.200.0.1:6443"}}]
`;

describe("rehearsal: Kubernetes", () => {
  const provider = { kubeconfig: secret(KUBECONFIG), clusterIdentifier: "id" };
  let folder: string;
  let journal: Journal;
  let warnings: string[];
  let context: OperationContext;

  beforeEach(() => {
    folder = temporaryFolder();
    journal = new Journal();
    warnings = [];
    context = {
      urn: "",
      name: "x",
      signal: new AbortController().signal,
      log: () => undefined,
      warn: (message) => warnings.push(message),
    };
  });

  afterEach(() => {
    delete process.env.TAILKUBE_HELM;
    delete process.env.TAILKUBE_KUBECTL;
  });

  /** A script that notes its arguments (without the paths of files), and then does what the body says. */
  function stub(variable: string, body: string): void {
    const file = join(folder, variable);
    const note = `args=; for arg; do [[ $arg == /proc/self/fd/* ]] || args+="$arg "; done; echo "\${args% }" >> '${journal.file}'`;
    writeFileSync(file, `#!/bin/bash\nset -euo pipefail\ncd '${folder}'\n${note}\n${body}\n`);
    chmodSync(file, 0o755);
    process.env[variable] = file;
  }

  describe("a Helm release", () => {
    const release = new HelmRelease(provider);
    const target = "--namespace kube-system --timeout 300s --wait";

    /** @param status of a release that is there already */
    function stubHelm(status?: string): void {
      const listed = (value: string) =>
        `[{"name":"cilium","namespace":"kube-system","revision":"1","status":"${value}","chart":"cilium-1.20.2","app_version":"1.20.2"}]`;
      if (status) writeFileSync(join(folder, "list"), listed(status));
      stub(
        "TAILKUBE_HELM",
        `case $1 in
          list) [[ ! -e list ]] && echo '[]' || cat list ;;
          install | upgrade) cat "\${@: -1}" > values; cat "\${@: -3:1}" > kubeconfig; echo '${listed("deployed")}' > list ;;
          uninstall) rm list ;;
          get) printf 'apiVersion: apps/v1\\nkind: DaemonSet\\nmetadata: {name: cilium, namespace: kube-system}\\n' ;;
        esac`,
      );
    }

    async function checked(more: Props = {}): Promise<Props> {
      const chart = join(folder, "chart");
      mkdirSync(chart, { recursive: true });
      writeFileSync(join(chart, "Chart.yaml"), "name: cilium\nversion: 1.20.2\n");
      const values = { mtu: 1280, password: secret("in the values") };
      const inputs = { compat: "true", name: "cilium", namespace: "kube-system", chart, values };
      return release.check({ ...inputs, ...more }, undefined, "cilium");
    }

    it("is kept with all its inputs, as the provider keeps it", async () => {
      const inputs = await checked();
      expect(inputs).to.include({ version: "1.20.2", timeout: 300, atomic: false, keyring: "" });
      expect(inputs).to.not.have.property("compat");
      const named = await checked({ name: null });
      expect(named.name).to.match(/^cilium-[0-9a-f]{8}$/);
      const again = await release.check({ chart: join(folder, "chart") }, named, "cilium");
      expect(again.name, "a generated name stays").to.equal(named.name);
    });

    it("is installed with values and kubeconfig by files that nobody else sees", async () => {
      stubHelm();
      const { id, outputs } = await release.create(context, await checked({ createNamespace: true }));
      expect(id).to.equal("kube-system/cilium");
      const chart = join(folder, "chart");
      expect(journal.take()).to.deep.equal([
        "list --all --namespace kube-system --filter ^cilium$ --output json --kubeconfig",
        `install cilium ${chart} --version 1.20.2 ${target} --create-namespace --kubeconfig --values`,
        "list --all --namespace kube-system --filter ^cilium$ --output json --kubeconfig",
        "get manifest cilium --namespace kube-system --kubeconfig",
      ]);
      expect(readFileSync(join(folder, "values"), "utf8")).to.equal('{"mtu":1280,"password":"in the values"}');
      expect(readFileSync(join(folder, "kubeconfig"), "utf8")).to.equal(KUBECONFIG);
      expect(outputs.status).to.include({ status: "deployed", revision: 1, chart: "cilium", version: "1.20.2" });
      expect(outputs.resourceNames).to.deep.equal({ "DaemonSet.apps/apps/v1": ["kube-system/cilium"] });
    });

    it("that an interrupted run left pending or failed is uninstalled first", async () => {
      for (const status of ["pending-install", "failed"]) {
        stubHelm(status);
        await release.create(context, await checked());
        expect(journal.take().map((line) => line.split(" ")[0])).to.deep.equal([
          ...["list", "uninstall", "install", "list", "get"],
        ]);
        expect(warnings.pop()).to.contain(`${status}: it is uninstalled first`);
      }
    });

    it("that is deployed already is upgraded", async () => {
      stubHelm("deployed");
      await release.create(context, await checked());
      expect(journal.take().map((line) => line.split(" ")[0])).to.deep.equal(["list", "upgrade", "list", "get"]);
    });

    it("is rolled back before an upgrade when the last one was interrupted", async () => {
      stubHelm("pending-upgrade");
      await release.update(context, {} as ResourceState, await checked());
      expect(
        journal
          .take()
          .map((line) => line.split(" ")[0])
          .slice(0, 3),
      ).to.deep.equal([...["list", "rollback", "upgrade"]]);
    });

    it("is uninstalled, if it is still there", async () => {
      stubHelm("deployed");
      const old = { inputs: await checked() } as ResourceState;
      await release.delete(context, old);
      expect(journal.take()[1]).to.equal("uninstall cilium --namespace kube-system --wait --timeout 300s --kubeconfig");
      await release.delete(context, old);
      expect(journal.take()).to.have.length(1);
    });

    it("is replaced for another name or namespace, updated for all else", async () => {
      const old = { inputs: await checked() } as ResourceState;
      const kindOf = async (more: Props) => release.diff(old, await checked(more)).map((change) => change.replace);
      expect(await kindOf({})).to.deep.equal([]);
      expect(await kindOf({ values: { mtu: 1230, password: secret("in the values") } })).to.deep.equal([false]);
      expect(await kindOf({ namespace: "cilium" })).to.deep.equal([true]);
      expect(release.preview(await checked())).to.include({ status: UNKNOWN });
    });

    it("refuses what it does not perform, and clusters that nobody named", async () => {
      const messageOf = (work: Promise<unknown>) => work.then(String, (error: Error) => error.message);
      expect(await messageOf(checked({ postrender: "x" }))).to.contain('does not support the input "postrender"');
      expect(await messageOf(checked({ valueYamlFiles: [] }))).to.contain('"valueYamlFiles"');
      expect(await messageOf(checked({ repositoryOpts: { repo: "x", password: "y" } }))).to.contain('"password"');
      stubHelm();
      expect(await messageOf(new HelmRelease({}).create(context, await checked()))).to.contain("has no kubeconfig");
    });

    it("tells why helm failed", async () => {
      stub("TAILKUBE_HELM", 'case $1 in list) echo "[]" ;; *) echo "Error: no nodes" >&2; exit 1 ;; esac');
      const message = await release.create(context, await checked()).then(String, (error: Error) => error.message);
      expect(message).to.equal("helm install ended with exit status 1:\nError: no nodes");
    });

    it("names what its manifest holds", () => {
      const manifest =
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\n---\n# nothing\n---\n" +
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a, namespace: n}\n";
      expect(resourceNames(manifest)).to.deep.equal({ "ConfigMap/v1": ["b", "n/a"] });
    });
  });

  describe("an object", () => {
    function stubKubectl(): void {
      stub("TAILKUBE_KUBECTL", 'cat > stdin; [[ $1 != apply ]] || cat stdin; [[ $1 != get ]] || echo "configmap/x"');
    }
    const stdin = (): Props => JSON.parse(readFileSync(join(folder, "stdin"), "utf8")) as Props;
    const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace: "n" } };

    it("is applied on the server, under a field manager of its own", async () => {
      stubKubectl();
      const performer = new KubernetesObject("kubernetes:core/v1:Secret", provider);
      const inputs = performer.check(
        { apiVersion: "v1", kind: "Secret", metadata: { namespace: "n" }, stringData: secret({ a: "geheim" }) },
        undefined,
        "token",
      );
      const { id, outputs } = await performer.create(context, inputs);
      expect(id).to.match(/^n\/token-[0-9a-f]{8}$/);
      expect(journal.take()[0]).to.match(
        /^apply --server-side --field-manager=pulumi-kubernetes-[0-9a-f]{8} -o json -f - --kubeconfig$/,
      );
      expect(stdin().data).to.deep.equal({ a: "Z2VoZWlt" });
      expect(outputs.data, "what was secret stays secret").to.deep.equal(secret({ a: "Z2VoZWlt" }));
      expect(outputs.__inputs).to.deep.equal(inputs);
      const old = { inputs, outputs } as unknown as ResourceState;
      await performer.update(context, old, inputs);
      expect(journal.take()[0]).to.contain(reveal(outputs.__fieldManager!) as string);
      await performer.delete(context, old);
      expect(journal.take()[0]).to.contain("delete --ignore-not-found");
      expect(stdin()).to.have.keys("apiVersion", "kind", "metadata");
    });

    it("is awaited when it is rolled out", async () => {
      stubKubectl();
      const performer = new KubernetesObject("kubernetes:apps/v1:Deployment", provider);
      const inputs = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d", namespace: "n" } };
      await performer.create(context, performer.check(inputs, undefined, "d"));
      expect(journal.take()[1]).to.contain("rollout status deployment/d --namespace n");
    });

    it("that is only patched is given up, not deleted", async () => {
      stubKubectl();
      const performer = new KubernetesObject("kubernetes:core/v1:ConfigMapPatch", provider);
      const inputs = performer.check({ ...configMap, data: { a: "b" } }, undefined, "patch");
      const { outputs } = await performer.create(context, inputs);
      journal.take();
      await performer.delete(context, { inputs, outputs } as unknown as ResourceState);
      const [get, apply] = journal.take();
      expect(get).to.contain("get --ignore-not-found");
      expect(apply).to.contain(`apply --server-side --field-manager=${outputs.__fieldManager as string}`);
      expect(stdin()).to.deep.equal(configMap);
    });

    it("is replaced when its name or what cannot be changed changes", () => {
      const performer = new KubernetesObject("kubernetes:core/v1:ConfigMap", provider);
      const old = { inputs: { ...configMap, data: { a: "1" } } } as unknown as ResourceState;
      const replaces = (inputs: Props) => performer.diff(old, inputs).map((change) => change.replace);
      expect(replaces({ ...configMap, data: { a: "2" } })).to.deep.equal([true]);
      for (const ignored of ["data", "data.a", "*"]) {
        expect(performer.diff(old, { ...configMap, data: { a: "2" } }, [ignored]), ignored).to.deep.equal([]);
      }
      const metadata = { ...configMap.metadata, labels: { l: "1" } };
      expect(replaces({ ...configMap, metadata, data: { a: "1" } })).to.deep.equal([false]);
    });

    it("of a type that is none of the API is refused", () => {
      for (const type of [
        "kubernetes:yaml/v2:ConfigFile",
        "kubernetes:helm.sh/v4:Chart",
        "kubernetes:core/v1:PodList",
      ]) {
        expect(() => performerFor(type, {}), type).to.throw(`does not support resources of type ${type}`);
      }
    });
  });

  describe("a provider", () => {
    const performer = new ProviderResource("kubernetes");
    const elsewhere = KUBECONFIG.replace("10.200.0.1", "10.0.0.9");

    it("is another one for another cluster, not for another way to it", () => {
      const replaces = (olds: Props, news: Props) =>
        performer.diff({ inputs: olds } as ResourceState, news).some((change) => change.replace);
      expect(replaces({ kubeconfig: KUBECONFIG }, { kubeconfig: `${KUBECONFIG}users: []\n` })).to.equal(false);
      expect(replaces({ kubeconfig: KUBECONFIG }, { kubeconfig: elsewhere })).to.equal(true);
      const identified = (kubeconfig: string, clusterIdentifier: string) => ({ kubeconfig, clusterIdentifier });
      expect(replaces(identified(KUBECONFIG, "a"), identified(elsewhere, "a"))).to.equal(false);
      expect(replaces(identified(KUBECONFIG, "a"), identified(KUBECONFIG, "b"))).to.equal(true);
    });

    it("refuses what it does not perform", () => {
      expect(() => performer.check({ renderYamlToDirectory: "out" }, undefined, "p")).to.throw("renderYamlToDirectory");
    });
  });
});
