/** Create, update, replace, delete: what is done, and in which order. */
import { expect } from "chai";
import type { Goal } from "../../lab/rehearsal/goal";
import { secret, UNKNOWN } from "../../lab/rehearsal/values";
import { commandUrn, component, goal, Journal, PROJECT, Rehearsal, STACK, STACK_URN } from "./harness";

describe("rehearsal: what is done for a resource", () => {
  let journal: Journal;
  let stack: Rehearsal;

  beforeEach(() => {
    journal = new Journal();
    stack = new Rehearsal();
  });

  /** A command that records what it is asked to do. */
  function recorder(name: string, more: Goal["inputs"] = {}, options: Partial<Goal> = {}): Goal {
    const inputs = {
      create: journal.note(`create ${name}`),
      delete: journal.note(`delete ${name}`),
      logging: "none",
      ...more,
    };
    return goal("command:local:Command", name, inputs, options);
  }

  /** Options of a resource that uses an output of another in the named input. */
  function using(name: string, input: string): Partial<Goal> {
    return { dependencies: [commandUrn(name)], propertyDependencies: { [input]: [commandUrn(name)] } };
  }

  it("creates what is new, and does nothing the second time", async () => {
    const program = (register: (goal: Goal) => Promise<unknown>) => register(recorder("a"));
    const first = await stack.up(program);
    expect(first.counts).to.include({ create: 2, same: 0 });
    expect(journal.take()).to.deep.equal(["create a"]);
    const writes = stack.writes;
    const second = await stack.up(program);
    expect(second.counts).to.include({ create: 0, update: 0, replace: 0, delete: 0, same: 2 });
    expect(journal.take()).to.deep.equal([]);
    expect(stack.writes, "an unchanged state is not written").to.equal(writes);
  });

  it("updates by the update command, or by the create command if there is none", async () => {
    await stack.up((register) => register(recorder("a")));
    journal.take();
    await stack.up((register) => register(recorder("a", { stdin: "x" })));
    expect(journal.take()).to.deep.equal(["create a"]);
    await stack.up((register) => register(recorder("a", { stdin: "y", update: journal.note("update a") })));
    expect(journal.take()).to.deep.equal(["update a"]);
    expect(stack.find("a")!.inputs).to.include({ stdin: "y" });
  });

  it("replaces on changed triggers: the new one first, the old one at the end of the run", async () => {
    const program = (trigger: string) => async (register: (goal: Goal) => Promise<unknown>) => {
      await register(recorder("a", { triggers: [trigger] }));
      await register(recorder("b"));
    };
    await stack.up(program("1"));
    journal.take();
    const oldId = stack.find("a")!.id;
    const result = await stack.up(program("2"));
    expect(result.counts).to.include({ replace: 1, delete: 0, same: 2 });
    expect(journal.take()).to.deep.equal(["create a", "delete a"]);
    expect(stack.find("a")!.id).to.not.equal(oldId);
    expect(stack.state.resources.filter((resource) => resource.delete)).to.deep.equal([]);
  });

  it("replaces when triggers are set or taken away", async () => {
    await stack.up((register) => register(recorder("a")));
    const set = await stack.up((register) => register(recorder("a", { triggers: ["1"] })));
    expect(set.counts.replace).to.equal(1);
    const longer = await stack.up((register) => register(recorder("a", { triggers: ["1", "2"] })));
    expect(longer.counts.replace).to.equal(1);
    const unset = await stack.up((register) => register(recorder("a")));
    expect(unset.counts.replace).to.equal(1);
  });

  it("deletes before it replaces when asked to, dependents that are replaced too first", async () => {
    const dbr = { deleteBeforeReplace: true };
    const program = (value: string) => async (register: (goal: Goal) => Promise<unknown>) => {
      await register(recorder("root", { triggers: [value] }, dbr));
      // Replaced with the root, for its trigger is the root's output.
      await register(recorder("replaced", { triggers: [value] }, { ...dbr, ...using("root", "triggers") }));
      // Only updated: its standard input is the root's output.
      await register(recorder("updated", { stdin: value }, using("root", "stdin")));
      // Not touched: only its order depends on the root.
      await register(recorder("ordered", {}, { dependencies: [commandUrn("root")] }));
      await register(recorder("leaf", { triggers: [value] }, { ...dbr, ...using("replaced", "triggers") }));
    };
    await stack.up(program("1"));
    journal.take();
    const result = await stack.up(program("2"));
    expect(journal.take()).to.deep.equal([
      "delete leaf",
      "delete replaced",
      "delete root",
      "create root",
      "create replaced",
      "create updated",
      "create leaf",
    ]);
    expect(result.counts).to.include({ replace: 3, update: 1, delete: 0, create: 0 });
    expect(stack.state.resources.some((resource) => resource.pendingReplacement)).to.equal(false);
  });

  it("goes on with a replacement that failed between deletion and creation", async () => {
    const dbr = { deleteBeforeReplace: true };
    await stack.up((register) => register(recorder("a", { triggers: ["1"] }, dbr)));
    journal.take();
    const failed = await stack.up((register) => register(recorder("a", { triggers: ["2"], create: "exit 3" }, dbr)));
    expect(failed.ok).to.equal(false);
    expect(journal.take()).to.deep.equal(["delete a"]);
    expect(stack.find("a")!.pendingReplacement).to.equal(true);
    const again = await stack.up((register) => register(recorder("a", { triggers: ["2"] }, dbr)));
    expect(again.ok).to.equal(true);
    expect(journal.take(), "it is not deleted twice").to.deep.equal(["create a"]);
    expect(stack.find("a")!.pendingReplacement).to.equal(undefined);
  });

  it("deletes what the program no longer registers, dependents first", async () => {
    await stack.up(async (register) => {
      await register(recorder("a"));
      await register(recorder("b", {}, { dependencies: [commandUrn("a")] }));
      await register(recorder("c", {}, { dependencies: [commandUrn("b")] }));
      await register(recorder("kept"));
    });
    journal.take();
    const result = await stack.up((register) => register(recorder("kept")));
    expect(journal.take()).to.deep.equal(["delete c", "delete b", "delete a"]);
    expect(result.counts).to.include({ delete: 3, same: 2 });
  });

  it("destroys in reverse order of dependencies, the independent ones at once", async () => {
    const meet = (me: string, other: string) =>
      // Each waits for the other: only if both run at once do both end.
      `${journal.note(`begin ${me}`)}; for i in $(seq 100); do grep -q "begin ${other}" '${journal.file}' && exit 0; ` +
      "sleep 0.05; done; exit 1";
    await stack.up(async (register) => {
      await register(recorder("root"));
      await register(recorder("x", { delete: meet("x", "y") }, { dependencies: [commandUrn("root")] }));
      await register(recorder("y", { delete: meet("y", "x") }, { dependencies: [commandUrn("root")] }));
    });
    journal.take();
    const result = await stack.destroy();
    expect(result.ok, result.output).to.equal(true);
    expect(journal.take().pop()).to.equal("delete root");
    expect(stack.state.resources).to.deep.equal([]);
  });

  it("runs no more steps at once than --parallel allows", async () => {
    const slow = (name: string) =>
      recorder(name, { create: `${journal.note("in")}; sleep 0.2; ${journal.note("out")}` });
    const program = (register: (goal: Goal) => Promise<unknown>) =>
      Promise.all(["a", "b", "c"].map((name) => register(slow(name))));
    await stack.up(program, false, 1);
    expect(journal.take()).to.deep.equal(["in", "out", "in", "out", "in", "out"]);
    await stack.destroy();
    journal.take();
    await stack.up(program, false, 3);
    expect(journal.take().slice(0, 3)).to.deep.equal(["in", "in", "in"]);
  });

  it("leaves the deletion of what vanishes with another resource to that one", async () => {
    const program = async (register: (goal: Goal) => Promise<unknown>) => {
      await register(recorder("host"));
      await register(recorder("guest", {}, { deletedWith: commandUrn("host") }));
    };
    await stack.up(program);
    journal.take();
    const result = await stack.destroy();
    expect(journal.take()).to.deep.equal(["delete host"]);
    expect(result.output).to.contain("guest  deleted  vanishes with host");

    await stack.up(program);
    journal.take();
    await stack.up((register) => register(recorder("host")));
    expect(journal.take(), "the host stays, so the guest is deleted by itself").to.deep.equal(["delete guest"]);
  });

  it("replaces what vanishes with a resource that is deleted before its replacement", async () => {
    const dbr = { deleteBeforeReplace: true };
    const program = (trigger: string) => async (register: (goal: Goal) => Promise<unknown>) => {
      await register(recorder("host", { triggers: [trigger] }, dbr));
      await register(recorder("guest", {}, { deletedWith: commandUrn("host") }));
    };
    await stack.up(program("1"));
    journal.take();
    const result = await stack.up(program("2"));
    expect(journal.take()).to.deep.equal(["delete host", "create host", "create guest"]);
    expect(result.counts.replace).to.equal(2);
  });

  it("replaces what vanishes with a resource that is replaced, also if that one goes at the end of the run", async () => {
    const program = (trigger: string) => async (register: (goal: Goal) => Promise<unknown>) => {
      await register(recorder("host", { triggers: [trigger] }));
      await register(recorder("guest", {}, { deletedWith: commandUrn("host") }));
      await register(recorder("guests-guest", {}, { deletedWith: commandUrn("guest") }));
      await register(recorder("other", {}, { dependencies: [commandUrn("host")] }));
    };
    await stack.up(program("1"));
    journal.take();
    const planned = await stack.up(program("2"), true);
    expect(planned.output).to.contain("+- guest  replace").and.to.contain("(needs replacement)");
    const result = await stack.up(program("2"));
    expect(journal.take()).to.deep.equal(["create host", "create guest", "create guests-guest", "delete host"]);
    expect(result.counts).to.include({ replace: 3, same: 2, delete: 0 });
    expect(result.output).to.contain("the replaced one; vanishes with host");
    expect(stack.state.resources.some((resource) => resource.delete)).to.equal(false);
  });

  it("replaces what is to vanish only from now on with a resource that is replaced, and deletes it by itself", async () => {
    const program = (trigger: string, options: Partial<Goal>) => async (register: (goal: Goal) => Promise<unknown>) => {
      await register(recorder("host", { triggers: [trigger] }, { deleteBeforeReplace: true }));
      await register(recorder("guest", {}, { deleteBeforeReplace: true, ...options }));
    };
    await stack.up(program("1", {}));
    journal.take();
    const result = await stack.up(program("2", { deletedWith: commandUrn("host") }));
    expect(journal.take()).to.deep.equal(["delete host", "create host", "delete guest", "create guest"]);
    expect(result.counts.replace).to.equal(2);
  });

  it("leaves alone what vanishes with a resource that is updated", async () => {
    const program = (stdin: string) => async (register: (goal: Goal) => Promise<unknown>) => {
      await register(recorder("host", { stdin }));
      await register(recorder("guest", {}, { deletedWith: commandUrn("host") }));
    };
    await stack.up(program("1"));
    const result = await stack.up(program("2"));
    expect(result.counts).to.include({ update: 1, replace: 0, same: 2 });
  });

  describe("deletes at the end of a run", () => {
    /** Its deletion ends when the others' have begun, or else fails. */
    const meets = (name: string, others: string[], options: Partial<Goal> = {}): Goal => {
      const waits = others.map((other) => `grep -qx 'begin ${other}' '${journal.file}'`).join(" && ");
      const remove = `${journal.note(`begin ${name}`)}; for i in $(seq 200); do ${waits} && exit 0; sleep 0.05; done; exit 1`;
      return recorder(name, { delete: remove }, options);
    };
    const after = (...names: string[]): Partial<Goal> => ({ dependencies: names.map(commandUrn) });
    const positions = (names: string[]): string[] => names.map((name) => name.replace(/^\w+ /, ""));

    it("only when all else is done, dependents first and the independent at once", async () => {
      await stack.up(async (register) => {
        await register(recorder("root"));
        await register(meets("x", ["y", "z"], after("root")));
        await register(meets("y", ["x", "z"], after("root")));
        await register(meets("z", ["x", "y"], using("root", "stdin")));
        await register(recorder("leaf", {}, after("x")));
      });
      journal.take();
      const result = await stack.up((register) =>
        register(recorder("new", { create: `sleep 0.3; ${journal.note("create new")}` })),
      );
      expect(result.ok, result.output).to.equal(true);
      const done = positions(journal.take());
      expect([done[0], done[1], done.at(-1)]).to.deep.equal(["new", "leaf", "root"]);
      expect(done.slice(2, 5).sort()).to.deep.equal(["x", "y", "z"]);
    });

    it("level by level: what nothing keeps waits for the deeper ones all the same", async () => {
      await stack.up(async (register) => {
        await register(meets("root", ["lonely"]));
        await register(recorder("leaf", { delete: `sleep 0.3; ${journal.note("delete leaf")}` }, after("root")));
        await register(meets("lonely", ["root"]));
      });
      journal.take();
      const result = await stack.destroy();
      expect(result.ok, result.output).to.equal(true);
      const done = positions(journal.take());
      expect(done[0]).to.equal("leaf");
      expect(done.slice(1).sort()).to.deep.equal(["lonely", "root"]);
    });

    it("what depends on a component before the component's children", async () => {
      const parent = component("parent");
      const parentUrn = `urn:pulumi:${STACK}::${PROJECT}::test:index:Component::parent`;
      await stack.up(async (register) => {
        await register(parent);
        await register(recorder("child", {}, { parent: parentUrn }));
        await register(recorder("user", {}, { dependencies: [parentUrn] }));
      });
      journal.take();
      await stack.up((register) => register(parent));
      expect(journal.take()).to.deep.equal(["delete user", "delete child"]);
    });

    it("replaced ones in the order of what they depended on", async () => {
      const program = (value: string) => async (register: (goal: Goal) => Promise<unknown>) => {
        await register(recorder("a", { triggers: [value] }));
        await register(recorder("b", { triggers: [value] }, using("a", "triggers")));
        await register(recorder("c", { triggers: [value] }, using("b", "triggers")));
      };
      await stack.up(program("1"));
      journal.take();
      await stack.up(program("2"));
      expect(journal.take().slice(3)).to.deep.equal(["delete c", "delete b", "delete a"]);
    });

    it("no more once one has failed, but what was begun beside it ends", async () => {
      await stack.up(async (register) => {
        await register(recorder("root"));
        await register(recorder("bad", { delete: "exit 1" }, after("root")));
        await register(recorder("slow", { delete: `sleep 0.3; ${journal.note("delete slow")}` }, after("root")));
      });
      journal.take();
      const failed = await stack.up(async () => undefined);
      expect(failed.ok).to.equal(false);
      expect(journal.take()).to.deep.equal(["delete slow"]);
      expect([stack.find("root"), stack.find("bad"), stack.find("slow")].map(Boolean)).to.deep.equal([
        true,
        true,
        false,
      ]);
    });
  });

  it("updates a component whose inputs change, by name only", async () => {
    const program = (color: string) => (register: (goal: Goal) => Promise<unknown>) =>
      register({ ...component("parent"), inputs: { color } });
    await stack.up(program("red"));
    const result = await stack.up(program("blue"));
    expect(result.counts).to.include({ update: 1, same: 1 });
    expect(result.output).to.contain("~ parent  updated");
    expect(stack.find("parent")!.inputs).to.deep.equal({ color: "blue" });
    const planned = await stack.up(program("green"), true);
    expect(planned.output).to.contain('~ color: "blue" => "green"');
    expect((await stack.up(program("blue"))).counts).to.include({ update: 0, same: 2 });
  });

  it("only forgets what is retained", async () => {
    await stack.up((register) => register(recorder("a", {}, { retainOnDelete: true })));
    journal.take();
    const result = await stack.up(async () => undefined);
    expect(journal.take()).to.deep.equal([]);
    expect(result.output).to.contain("retained");
    expect(stack.find("a")).to.equal(undefined);
  });

  it("refuses to delete or replace what is protected, and does nothing else then", async () => {
    await stack.up(async (register) => {
      await register(recorder("a", { triggers: ["1"] }, { protect: true }));
      await register(recorder("b"));
    });
    journal.take();
    const deletion = await stack.up(async () => undefined);
    expect(deletion.ok).to.equal(false);
    expect(deletion.output).to.contain("protected, not deleted: a");
    const replacement = await stack.up((register) =>
      register(recorder("a", { triggers: ["2"] }, { protect: true, deleteBeforeReplace: true })),
    );
    expect(replacement.output).to.contain('"a" is protected and cannot be replaced');
    expect(journal.take()).to.deep.equal([]);
    const freed = await stack.up((register) => register(recorder("a", { triggers: ["1"] })));
    expect(freed.ok, "unprotected, the rest may go").to.equal(true);
    expect(journal.take()).to.deep.equal(["delete b"]);
  });

  it("inherits protect, retainOnDelete and deletedWith from the parent", async () => {
    const parent = component("parent", { protect: true, retainOnDelete: true, deletedWith: STACK_URN });
    await stack.up(async (register) => {
      const { urn } = (await register(parent)) as { urn: string };
      await register(recorder("child", {}, { parent: urn }));
    });
    expect(stack.find("child")).to.include({ protect: true, retainOnDelete: true, deletedWith: STACK_URN });
    expect(stack.find("child")!.urn).to.equal(
      `urn:pulumi:${STACK}::${PROJECT}::test:index:Component$command:local:Command::child`,
    );
  });

  it("ignores changes that it is told to ignore", async () => {
    const ignoring = { ignoreChanges: ["stdin", "environment.TIME"] };
    const program = (value: string) => (register: (goal: Goal) => Promise<unknown>) =>
      register(recorder("a", { stdin: value, environment: { TIME: value, ZONE: "UTC" } }, ignoring));
    await stack.up(program("1"));
    journal.take();
    const result = await stack.up(program("2"));
    expect(result.counts).to.include({ update: 0, same: 2 });
    expect(stack.find("a")!.inputs).to.deep.include({ stdin: "1", environment: { TIME: "1", ZONE: "UTC" } });
  });

  it("finds a renamed resource by its alias", async () => {
    await stack.up((register) => register(recorder("old")));
    journal.take();
    const renamed = () => ({ ...recorder("old"), name: "new", aliases: [{ name: "old" }] });
    const result = await stack.up((register) => register(renamed()));
    expect(journal.take()).to.deep.equal([]);
    expect(result.counts).to.include({ create: 0, delete: 0, same: 2 });
    expect(stack.find("new")!.aliases).to.deep.equal([commandUrn("old")]);
    expect(stack.find("old")).to.equal(undefined);
  });

  it("finds the children of a renamed component", async () => {
    const program = (name: string, aliases: Goal["aliases"]) => async (register: (goal: Goal) => Promise<unknown>) => {
      const { urn } = (await register(component(name, { type: `test:index:${name}`, aliases }))) as { urn: string };
      await register({ ...recorder("x"), name: `${name}-child`, parent: urn });
    };
    await stack.up(program("Before", []));
    journal.take();
    const result = await stack.up(program("After", [{ name: "Before", type: "test:index:Before" }]));
    expect(result.counts, result.output).to.include({ create: 0, delete: 0, same: 3 });
    expect(journal.take()).to.deep.equal([]);
  });

  it("marks additional secret outputs, and keeps secret inputs secret in the outputs", async () => {
    const options = { additionalSecretOutputs: ["stdout"] };
    await stack.up((register) => register(recorder("a", { create: "echo token", stdin: secret("password") }, options)));
    const { outputs, additionalSecretOutputs } = stack.find("a")!;
    expect(outputs).to.deep.include({ stdout: secret("token"), stdin: secret("password"), stderr: "" });
    expect(additionalSecretOutputs).to.deep.equal(["stdout"]);
  });

  it("stops at a failure, lets the others finish, and goes on the next time", async () => {
    const program = (broken: boolean) => async (register: (goal: Goal) => Promise<unknown>) => {
      const slow = register(recorder("slow", { create: `sleep 0.3; ${journal.note("create slow")}` }));
      await register(recorder("broken", broken ? { create: "echo alas >&2; exit 7" } : {}));
      await register(recorder("next"));
      await slow;
    };
    const failed = await stack.up(program(true));
    expect(failed.ok).to.equal(false);
    expect(failed.output).to.contain("exit status 7").and.to.contain("alas");
    expect(journal.take()).to.deep.equal(["create slow"]);
    expect(stack.find("slow")).to.not.equal(undefined);
    expect(stack.find("broken")).to.equal(undefined);
    expect(stack.state.pendingOperations).to.deep.equal([]);
    expect((await stack.up(program(false))).ok).to.equal(true);
    expect(journal.take()).to.deep.equal(["create broken", "create next"]);
  });

  it("keeps what was there when it is not reached in a failed run", async () => {
    await stack.up((register) => register(recorder("old")));
    journal.take();
    await stack.up((register) => register(recorder("broken", { create: "false" })));
    expect(journal.take()).to.deep.equal([]);
    expect(stack.find("old")).to.not.equal(undefined);
  });

  it("refuses two resources of one name", async () => {
    const result = await stack.up(async (register) => {
      await register(recorder("a"));
      await register(recorder("a"));
    });
    expect(result.output).to.contain("duplicate resource URN");
  });

  describe("preview", () => {
    it("runs nothing, writes nothing, and gives unknown outputs", async () => {
      let outputs: unknown;
      const result = await stack.up(async (register) => {
        outputs = ((await register(recorder("a"))) as { outputs: unknown }).outputs;
      }, true);
      expect(outputs).to.include({ stdout: UNKNOWN, stderr: UNKNOWN });
      expect(journal.take()).to.deep.equal([]);
      expect(stack.writes).to.equal(0);
      expect(result.output).to.contain("+ a  create  command:local:Command");
    });

    it("names the changed properties and hides secrets", async () => {
      const program = (value: string) => (register: (goal: Goal) => Promise<unknown>) =>
        register(recorder("a", { stdin: secret(value), dir: "/tmp", triggers: [value.length] }));
      await stack.up(program("old password"));
      const result = await stack.up(program("new, longer password"), true);
      expect(result.output).to.contain("+- a  replace");
      expect(result.output).to.contain("~ stdin: [secret] => [secret]");
      expect(result.output).to.contain("~ triggers[0]: 12 => 20  (needs replacement)");
      expect(result.output).to.not.contain("dir");
      expect(result.output).to.not.contain("password");
    });

    it("gives the old outputs of what does not change, unknown ones of what does", async () => {
      await stack.up((register) => register(recorder("a", { create: "echo 1", stdin: "w" })));
      const outputsOf = async (more: Goal["inputs"]): Promise<unknown> => {
        let outputs: unknown;
        await stack.up(async (register) => {
          outputs = ((await register(recorder("a", { create: "echo 1", stdin: "w", ...more }))) as { outputs: unknown })
            .outputs;
        }, true);
        return outputs;
      };
      expect(await outputsOf({})).to.include({ stdout: "1" });
      expect(await outputsOf({ stdin: "x" })).to.include({ stdout: UNKNOWN, stdin: "x" });
      expect(await outputsOf({ triggers: [UNKNOWN] })).to.include({ stdout: UNKNOWN });
    });
  });
});
