import * as sdk from "@pulumi/pulumi/runtime/state";

/** Whether this is a unit test of a program, by the SDK's mocks: they have no state and no hooks. */
export const isMocked = () =>
  (sdk as unknown as { getStore(): { settings: { options: { monitorAddr?: string } } } }).getStore().settings.options
    .monitorAddr === "mock";
