/**
 * The wire protocol between engine and program, from @pulumi/pulumi: its generated stubs, with the very gRPC and
 * protobuf modules that it loads itself (a second copy of protobuf would not recognise its messages).
 */
import type * as grpcTypes from "@grpc/grpc-js";
import type * as enginePb from "@pulumi/pulumi/proto/engine_pb";
import type * as providerPb from "@pulumi/pulumi/proto/provider_pb";
import type * as resourcePb from "@pulumi/pulumi/proto/resource_pb";
import type * as emptyPb from "google-protobuf/google/protobuf/empty_pb";
import type * as structPb from "google-protobuf/google/protobuf/struct_pb";
import { createRequire } from "module";

const fromPulumi = createRequire(require.resolve("@pulumi/pulumi/package.json"));

export const grpc = fromPulumi("@grpc/grpc-js") as typeof grpcTypes;
export const { Empty } = fromPulumi("google-protobuf/google/protobuf/empty_pb.js") as typeof emptyPb;
export const { Struct } = fromPulumi("google-protobuf/google/protobuf/struct_pb.js") as typeof structPb;
export const resourceMessages = fromPulumi("./proto/resource_pb.js") as typeof resourcePb;
export const engineMessages = fromPulumi("./proto/engine_pb.js") as typeof enginePb;
export const providerMessages = fromPulumi("./proto/provider_pb.js") as typeof providerPb;
export const { ResourceMonitorService } = fromPulumi("./proto/resource_grpc_pb.js") as {
  ResourceMonitorService: grpcTypes.ServiceDefinition;
};
export const { EngineService } = fromPulumi("./proto/engine_grpc_pb.js") as {
  EngineService: grpcTypes.ServiceDefinition;
};

/** The SDK's version, which the state is written as. */
export const sdkVersion = (fromPulumi("./package.json") as { version: string }).version;

/** Larger than any message of a program; the SDK allows the same. */
const MAX_MESSAGE_BYTES = 400 * 1024 * 1024;

/** What a handler throws to answer with a status of its own. */
export class StatusError extends Error {
  constructor(
    readonly code: grpcTypes.status,
    message: string,
  ) {
    super(message);
  }
}

export type Handler<Request, Response> = (request: Request) => Response | Promise<Response>;

/** A gRPC handler of an asynchronous function. */
export function unary<Request, Response>(
  handler: Handler<Request, Response>,
): grpcTypes.handleUnaryCall<Request, Response> {
  return (call, callback) => {
    Promise.resolve()
      .then(() => handler(call.request))
      .then(
        (response) => callback(null, response),
        (error: Error) => {
          const code = error instanceof StatusError ? error.code : grpc.status.UNKNOWN;
          callback({ code, details: error.message });
        },
      );
  };
}

/** A server on a free port of the loopback. Returns its address too. */
export async function serve(
  services: [grpcTypes.ServiceDefinition, grpcTypes.UntypedServiceImplementation][],
): Promise<{ address: string; close: () => void }> {
  const server = new grpc.Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  });
  for (const [definition, implementation] of services) server.addService(definition, implementation);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}
