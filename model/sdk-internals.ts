/** What @pulumi/pulumi has and its types leave out. */
import type { Output } from "@pulumi/pulumi";
import * as state from "@pulumi/pulumi/runtime/state";

interface Store {
  supportsStateMigrations: boolean;
  settings: { options: { monitorAddr?: string } };
}
const store = () => (state as unknown as { getStore(): Store }).getStore();

/** Whether this is a unit test of a program, by the SDK's mocks: they have no state and no hooks. */
export const isMocked = () => store().settings.options.monitorAddr === "mock";

/** Whether the engine hands a resource its former state. */
export const hasStateMigrations = () => store().supportsStateMigrations;

/** Whether an output has a value: in a preview some have none, and with --continue-on-error what came of a failure has none either. */
export const isKnown = (output: Output<unknown>) => (output as unknown as { isKnown: Promise<boolean> }).isKnown;
