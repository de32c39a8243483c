/** `up` and `preview`: run the program, make its resources, delete what it no longer wants. */
import { deletionLevels } from "./deletion";
import { Terminated } from "./executor";
import { printOutputs } from "./outputs";
import { Program } from "./program";
import { engineService } from "./rpc/engine";
import { monitorService } from "./rpc/monitor";
import { EngineService, ResourceMonitorService, serve } from "./rpc/protocol";
import { lockOf, openConfig, openStack, ORGANIZATION, reportInterrupted, RunOptions } from "./run";
import { Engine, Session, UpdateResult } from "./session";
import { urnName } from "./urn";

/** Shows what `up` would do. Changes nothing, not even the state. */
export async function preview(options: RunOptions): Promise<UpdateResult> {
  const stack = await openStack(options);
  options.write(`Preview of stack ${options.stack} of ${stack.project.name}`);
  return update(new Session(options, stack, await openConfig(options, stack.project), true));
}

export async function up(options: RunOptions): Promise<UpdateResult> {
  const lock = lockOf(options);
  lock.acquire("up", options.write);
  try {
    const stack = await openStack(options);
    options.write(`Update of stack ${options.stack} of ${stack.project.name} (state: ${stack.store.file})`);
    return await update(new Session(options, stack, await openConfig(options, stack.project), false));
  } finally {
    lock.release();
  }
}

function update(session: Session): Promise<UpdateResult> {
  const { options, stack, dryRun, display, executor, deployment } = session;
  return session.run(async () => {
    reportInterrupted(stack.state, display, "what is still wanted is done again");
    await runProgram(session);
    await executor.idle();
    if (!executor.isStopped) await deleteUnwanted(session);
    const outputs = deployment.finishStackOutputs(executor.isStopped);
    if (!executor.isStopped && !dryRun) printOutputs(outputs, options.write);
  });
}

/** Returns when the program has ended; what it started may still run. Stops the executor when anything went wrong. */
async function runProgram({ options, stack, config, dryRun, display, executor, ...session }: Session): Promise<void> {
  const { deployment, snapshot } = session;
  const fail = (message: string): void => {
    if (message) display.error(message);
    executor.stop();
  };
  const { project } = stack;
  const common = { stack: options.stack, organization: ORGANIZATION, config, dryRun, parallel: options.parallel };
  const monitor = monitorService({
    ...common,
    project: project.name,
    register: (goal) => deployment.register(goal),
    read: (wanted) => deployment.read(wanted),
    registerOutputs: (urn, outputs) => deployment.registerOutputs(urn, outputs),
    find: (urn) => snapshot.find(urn),
    refuse: fail,
  });
  const server = await serve([
    [ResourceMonitorService, monitor],
    [EngineService, engineService(display, executor)],
  ]);
  try {
    // What a program says after the run was stopped is but that its engine has left it.
    const print = (line: string): void => (executor.isStopped ? display.debug(line) : display.line(line));
    const program = new Program({ ...common, project, address: server.address, print });
    const stopped = executor.stopping.then(async () => {
      await executor.idle();
      await program.stop();
    });
    const problem = await program.ended;
    if (problem !== undefined && !executor.isStopped) fail(problem);
    if (executor.isStopped) await stopped;
  } finally {
    server.close();
  }
}

/** Deletes what the program did not register, and what was replaced. */
export async function deleteUnwanted({ executor, deployment, display, snapshot }: Engine): Promise<void> {
  const doomed = deployment.unwanted();
  const guarded = doomed.filter((resource) => resource.protect && !resource.delete);
  if (guarded.length > 0) {
    const names = guarded.map((resource) => urnName(resource.urn)).join(", ");
    display.error(`protected, not deleted: ${names}; remove \`protect\` with an \`up\` first`);
    return executor.stop();
  }
  for (const level of deletionLevels(doomed, snapshot.before)) {
    const deletions = level.map((resource) => deployment.deleteUnwanted(resource, doomed));
    // What has begun beside a failed deletion ends by itself.
    const results = await Promise.allSettled(deletions);
    const failed = results.find((result) => result.status === "rejected");
    if (failed && !(failed.reason instanceof Terminated)) throw failed.reason;
    if (failed) return;
  }
}
