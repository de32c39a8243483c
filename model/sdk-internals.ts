/** Parts of @pulumi/pulumi that its types do not include. */
import type { Output } from "@pulumi/pulumi";
import * as state from "@pulumi/pulumi/runtime/state";

interface Store {
  supportsStateMigrations: boolean;
  settings: { options: { monitorAddr?: string } };
}
const store = () => (state as unknown as { getStore(): Store }).getStore();

/** Whether this is a unit test with the SDK's mocks, which have no state and no hooks. */
export const isMocked = () => store().settings.options.monitorAddr === "mock";

/** Whether the engine passes resources their previous state. */
export const hasStateMigrations = () => store().supportsStateMigrations;

/** Whether an output has a value. In a preview some have none; with --continue-on-error, outputs of failed resources have none. */
export const isKnown = (output: Output<unknown>) => (output as unknown as { isKnown: Promise<boolean> }).isKnown;
