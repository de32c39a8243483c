/** State migrations as the engine runs them, for the SDK's mocks, which know none. */
import { Callback } from "@pulumi/pulumi/proto/callback_pb";
import * as pulumi from "@pulumi/pulumi";
import * as sdk from "@pulumi/pulumi/runtime/state";

interface SdkState {
  supportsStateMigrations: boolean;
  callbacks: { registerStateMigration?(migration: pulumi.StateMigration): Promise<Callback> };
}

interface Request {
  getType(): string;
  getName(): string;
  getStateMigrationsList(): Callback[];
}

/**
 * Call it after setMocks, and after a stand-in for the SDK's callbacks.
 *
 * @param outputs what the state has of a resource from the last run, as a state file has it; empty: there is no such resource.
 */
export function withStateMigrations(outputs: (resource: { type: string; name: string }) => object): void {
  const state = (sdk as unknown as { getStore(): SdkState }).getStore();
  state.supportsStateMigrations = true;
  const migrations = new Map<string, pulumi.StateMigration>();
  state.callbacks.registerStateMigration = (migration) => {
    const callback = new Callback();
    callback.setToken(`migration-${migrations.size}`);
    migrations.set(callback.getToken(), migration);
    return Promise.resolve(callback);
  };
  const monitor = pulumi.runtime.getMonitor() as unknown as {
    registerResource(request: Request, callback: unknown): unknown;
  };
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, callback) => {
    const [type, name] = [request.getType(), request.getName()];
    const urn = `urn:pulumi:test::tailkube::${type}::${name}`;
    const former = outputs({ type, name });
    for (const migration of request.getStateMigrationsList()) {
      if (Object.keys(former).length > 0)
        void migrations.get(migration.getToken())!({ urn, oldState: [{ urn, outputs: former }] });
    }
    return register(request, callback);
  };
}
