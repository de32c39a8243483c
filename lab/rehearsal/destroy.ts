/** `destroy`: delete all resources of a stack. The program does not run. */
import { lockOf, openStack, reportInterrupted, RunOptions } from "./run";
import { Session, UpdateResult } from "./session";
import { deleteUnwanted } from "./update";

/** @param dryRun only show what would be deleted */
export async function destroy(options: RunOptions, dryRun: boolean): Promise<UpdateResult> {
  const lock = lockOf(options);
  if (!dryRun) lock.acquire("destroy", options.write);
  try {
    const stack = await openStack(options);
    const what = dryRun ? "Preview of the destruction" : "Destruction";
    options.write(`${what} of stack ${options.stack} of ${stack.project.name} (state: ${stack.store.file})`);
    const session = new Session(options, stack, { values: {}, secretKeys: [] }, dryRun);
    return await session.run(() => deleteEverything(session));
  } finally {
    lock.release();
  }
}

async function deleteEverything(session: Session): Promise<void> {
  reportInterrupted(
    session.stack.state,
    session.display,
    "what it was creating is not in the state and is not deleted",
  );
  // Without a program nothing is registered, so everything is unwanted.
  await deleteUnwanted(session);
}
